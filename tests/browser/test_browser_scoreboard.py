"""The scoreboard in a browser: sorting, filtering, by keyboard, on a phone, and without JavaScript; and the page of times."""

import json
import re

import pytest

PAGE = "book/scoreboard"
ROWS = "table.uapkit-scoreboard tbody tr"


def visible(page):
    return page.locator(f"{ROWS}:visible").count()


@pytest.fixture
def board(watched):
    one = watched()
    page = one.open(PAGE)
    page.wait_for_selector("#uapkit-controls select")
    yield page
    assert one.complaints() == []


def test_filters_narrow_the_rows_and_say_how_many(board):
    every = visible(board)
    board.get_by_label("Paper", exact=True).select_option("E")
    papers = board.locator(f"{ROWS}:visible").evaluate_all("all => all.map(e => e.dataset.paper)")
    assert set(papers) == {"E"}
    assert 0 < len(papers) < every
    assert f"{len(papers)} of {every}" in board.locator("#uapkit-controls output").inner_text()
    board.get_by_label("Text", exact=True).fill("principal angles")
    assert 1 <= visible(board) < len(papers)
    board.get_by_label("Text", exact=True).fill("no such words")
    assert visible(board) == 0


def test_a_verdict_is_chosen_by_the_address(watched, built):
    states = {
        c["verdict"] for r in json.loads((built / "_static" / "scoreboard.json").read_text()) for c in r["claims"]
    }
    verdict = "confirmed"
    assert verdict in states
    page = watched().open(PAGE)
    page.goto(f"{page.url}?verdict={verdict}")
    page.wait_for_selector("#uapkit-controls select")
    verdicts = page.locator(f"{ROWS}:visible").evaluate_all("all => all.map(e => e.dataset.verdicts)")
    assert verdicts
    assert all(verdict in one.split("|") for one in verdicts)


def test_a_count_in_words_is_what_its_link_shows(watched):
    """Each "confirmed 12" of the opening words leads to a board that shows and counts twelve claims."""
    one = watched()
    page = one.open(PAGE)
    links = page.locator("article a[href*='scoreboard.html?whose=']").evaluate_all(
        "all => all.map(e => [e.href, e.textContent])"
    )
    assert len(links) >= 6
    for address, words in links:
        page.goto(address)
        page.wait_for_selector("#uapkit-controls select")
        count = int(words.rsplit(" ", 1)[1])
        told = page.locator("#uapkit-controls output").inner_text()
        assert told.startswith(f"{count} of "), f"{words} leads to {told}"
        assert page.locator(f"{ROWS} li[data-whose]:not([data-whose='']):visible").count() == count
    assert one.complaints() == []


def test_the_address_holds_the_filters(board, watched):
    board.get_by_label("Paper", exact=True).select_option("J")
    board.get_by_label("Whose", exact=True).select_option("papers")
    board.get_by_label("Text", exact=True).fill("curvature")
    board.wait_for_url("**?paper=J&whose=papers&text=curvature")  # written when the typing pauses
    address, told = board.url, board.locator("#uapkit-controls output").inner_text()
    other = watched().open(PAGE)
    other.goto(address)
    other.wait_for_selector("#uapkit-controls select")
    assert other.locator("#uapkit-controls output").inner_text() == told
    assert other.get_by_label("Text", exact=True).input_value() == "curvature"


def test_every_stored_run_says_whether_it_was_verified(board, built):
    stored = [r for r in json.loads((built / "_static" / "scoreboard.json").read_text()) if r["commit"]]
    said = board.locator(f"{ROWS} .uapkit-checked").all_inner_texts()
    assert len(said) == len(stored) > 50
    assert all(re.match(r"not yet checked since|verified \d{4}-|a rerun differed", words) for words in said)
    told = sum(bool(re.search("same code|the present code|code changed since", words)) for words in said)
    assert told == sum(r["verified"]["code"] != "" for r in stored), "where it can be told"
    assert sum(words.startswith("verified") for words in said) == sum(
        r["verified"]["current"] and r["verified"]["agrees"] for r in stored
    )


def test_times_sort_as_numbers_and_the_total_stays_below(watched):
    one = watched()
    page = one.open("book/times")
    table = page.locator("table.uapkit-sortable")
    head = table.locator("th", has_text="Full run")
    for direction in ("ascending", "descending"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == direction
        seconds = table.locator("tbody tr").evaluate_all("all => all.map(e => e.dataset.full)")
        known = [float(s) for s in seconds if s]
        assert known == sorted(known, reverse=direction == "descending")
        assert len(known) > 50
    assert table.locator("tfoot").inner_text().strip().startswith("all")
    assert one.complaints() == []


def test_heads_sort_by_keyboard_and_say_so(board):
    head = board.locator("table.uapkit-scoreboard th", has_text="Seconds").first
    button = head.locator("button")
    button.focus()
    board.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    board.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    table = board.locator("table.uapkit-scoreboard").first
    seconds = table.locator("tbody tr").evaluate_all("all => all.map(e => e.dataset.seconds)")
    known = [float(s) for s in seconds if s]
    assert known == sorted(known, reverse=True)
    assert seconds[len(known) :] == [""] * (len(seconds) - len(known)), "what was not run comes last"


def test_ids_sort_as_numbers(board):
    board.get_by_label("Sort by", exact=True).select_option("title")
    board.get_by_label("Sort by", exact=True).select_option("order")
    ids = (
        board.locator("table.uapkit-scoreboard")
        .first.locator("tbody tr")
        .evaluate_all("all => all.map(e => e.dataset.order)")
    )
    numbers = [int(one[1:]) for one in ids if one.startswith("K")]
    assert numbers == sorted(numbers)
    assert ids[-1] == "", "our additions come last"


def test_a_phone_shows_cards_and_no_sideways_scroll(watched):
    page = watched(width=390).open(PAGE)
    page.wait_for_selector("#uapkit-controls select")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    cards = page.locator(ROWS).first.evaluate("e => getComputedStyle(e).display")
    assert cards == "block"


def test_a_phone_shows_claims_as_cards_with_their_verdicts(watched):
    page = watched(width=390).open("book/disagreements")
    rows = page.locator("table.uapkit-claimtable tbody tr")
    edges = rows.locator(".uapkit-verdict").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    assert len(edges) == rows.count() > 10
    assert max(edges) <= 390, "no verdict lies beyond the edge of the screen"


def test_without_javascript_a_plain_table_remains(watched, built):
    page = watched(javascript=False).open(PAGE)
    rows = json.loads((built / "_static" / "scoreboard.json").read_text())
    assert visible(page) == len(rows)
    assert page.locator("#uapkit-controls select").count() == 0
