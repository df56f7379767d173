"""Previews of terms and references: by mouse and by keyboard, gone on Escape, accessible, from the book's own folder."""

import pytest

from tests.browser.test_browser_pages import serious

CHAPTER = "book/papers/moosavi2017"
TERM = "article a[href*='glossary.html#term-fooling-rate']"
WORK = "article a[href*='references.html#id']"
BOX = "#uapkit-preview"


@pytest.fixture
def chapter(watched):
    one = watched()
    yield one.open(CHAPTER)
    assert one.complaints() == [], "nothing is asked for beyond the book"


def test_the_pointer_shows_a_term_and_may_move_into_the_box(chapter):
    chapter.locator(TERM).first.hover()
    chapter.wait_for_selector(f"{BOX}:visible")
    assert "Share of images" in chapter.locator(BOX).inner_text()
    chapter.locator(BOX).hover()
    chapter.wait_for_timeout(500)
    assert chapter.locator(BOX).is_visible()
    chapter.mouse.move(5, 5)
    chapter.wait_for_selector(BOX, state="hidden")


def test_a_page_that_moves_hides_it_only_where_the_pointer_has_left_the_term(chapter):
    """The page moves by itself while a formula above is set, or a busy machine is late to say that it was scrolled."""
    chapter.locator(TERM).first.hover()
    chapter.evaluate("scrollBy(0, 1)")  # before the box is there
    chapter.wait_for_selector(f"{BOX}:visible")
    chapter.evaluate("scrollBy(0, 1)")  # and while it is
    chapter.wait_for_selector(BOX, state="hidden")
    chapter.wait_for_selector(f"{BOX}:visible")
    chapter.keyboard.press("Escape")
    chapter.evaluate("scrollBy(0, 1)")
    chapter.wait_for_timeout(500)
    assert not chapter.locator(BOX).is_visible(), "who has closed it is not shown it again"
    chapter.mouse.move(5, 5)
    chapter.locator(TERM).first.hover()
    chapter.wait_for_selector(f"{BOX}:visible")
    chapter.evaluate("scrollBy(0, 300)")
    chapter.wait_for_timeout(500)
    assert not chapter.locator(BOX).is_visible()


def test_the_keyboard_shows_it_and_escape_closes_it(chapter):
    link = chapter.locator(TERM).first
    link.focus()  # which scrolls it into view
    chapter.wait_for_selector(f"{BOX}:visible")
    assert link.get_attribute("aria-describedby") == BOX[1:], "a screen reader says it with the link"
    assert chapter.locator(BOX).get_attribute("role") == "tooltip"
    assert serious(chapter) == []
    chapter.keyboard.press("Escape")
    assert not chapter.locator(BOX).is_visible()
    assert link.get_attribute("aria-describedby") is None


def test_a_reference_is_shown_once_not_by_the_browser_too(chapter):
    link = chapter.locator(WORK).first
    title = link.get_attribute("title")
    link.focus()
    chapter.wait_for_selector(f"{BOX}:visible")
    assert chapter.locator(BOX).inner_text()[:20] == title[:20]
    assert link.get_attribute("title") is None
    chapter.keyboard.press("Tab")
    chapter.wait_for_timeout(200)
    assert link.get_attribute("title") == title


def test_nothing_of_it_is_printed_and_nothing_is_cut_on_a_phone(watched):
    page = watched(width=390).open(CHAPTER)
    for link in page.locator(TERM).all()[:3]:
        link.focus()
        page.wait_for_selector(f"{BOX}:visible")
        box = page.locator(BOX).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    page.emulate_media(media="print")
    assert not page.locator(BOX).is_visible()


def test_an_items_table_of_claims_explains_its_heads(watched):
    page = watched().open("notebooks/khrulkov2018/tab1_layers")
    page.locator(".uapkit-claimtable th a", has_text="Null").first.focus()
    page.wait_for_selector(f"{BOX}:visible")
    assert "same measurement where there is nothing to find" in page.locator(BOX).inner_text()
