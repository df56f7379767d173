"""Every page of the built book in a real browser: quiet, self-contained, typeset, narrow enough, accessible."""

import re
from pathlib import Path

import pytest

from uapkit import names
from uapkit.book.build import pages

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PAGES = [*pages(), "search", "genindex"]


@pytest.fixture(scope="module")
def desk(watched):
    """One page at desktop width for all that is opened from the disk."""
    return watched()


@pytest.fixture(scope="module")
def online(watched):
    """Another for all that comes from a server: a late request of one way would be held against the other."""
    return watched()


@pytest.mark.parametrize("name", PAGES)
def test_page_from_disk(desk, name):
    desk.page.set_viewport_size({"width": 1280, "height": 900})
    page = desk.open(name)
    page.evaluate("() => window.MathJax?.startup?.promise")
    raw = page.evaluate(
        "() => [...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container')).map(m => m.textContent)"
    )
    assert raw == [], "mathematics is not typeset"
    assert page.locator("mjx-merror, [data-mml-node=merror]").count() == 0, "mathematics that MathJax cannot read"
    broken = page.evaluate(
        "() => [...document.images].filter(i => i.complete && i.naturalWidth === 0 && i.src).map(i => i.src.slice(0, 100))"
    )
    assert broken == []
    assert serious(page) == []
    assert cut(page) == [], "a table of an item's page fits its column on a desktop"
    assert raw_keys(page) == [], "networks and papers have names for people, uapkit/names.py; keys stand in code"
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390, f"sideways scroll: {too_wide(page)}"
    assert desk.complaints() == []


@pytest.mark.parametrize("name", PAGES)
def test_page_from_a_server(online, served, name):
    online.open(name, served)
    assert online.complaints() == []


def cut(page):
    """Captions of tables of at most five columns, and matrices, that are wider than the box that they scroll in."""
    return page.evaluate(
        """() => [...document.querySelectorAll('table:is(.uapkit-few, .uapkit-claimtable, .uapkit-matrix)')]
        .filter(t => t.checkVisibility({contentVisibilityAuto: true}))
        .filter(t => t.getBoundingClientRect().width > t.closest('.uapkit-scroll').clientWidth + 1)
        .map(t => t.closest('.uapkit-scroll').getAttribute('aria-label'))"""
    )


def serious(page):
    """axe-core's serious and critical violations, each with its first places."""
    if not AXE.is_file():
        pytest.skip("no axe-core; `npm ci` (part of `make book`) installs it")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations'], preload: false})).violations"
    )
    return [
        f"{v['id']}: {v['help']}; {[n['html'][:150] for n in v['nodes'][:3]]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


KEYS = re.compile(
    rf"(?<![\w/.-])(?:(?:{'|'.join(names.NETWORKS)})\w*(?:\[\w+\])?|\[(?:{'|'.join(names.PAPERS)})\])(?![\w/]|\.\w)"
)


def raw_keys(page):
    """Keys of networks and papers in what a page shows outside code, and in what a screen reader says."""
    texts = page.evaluate(
        """() => {
            const found = [], code = 'code, pre, script, style, kbd, samp, .sig, .highlight';
            const walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
            while (walk.nextNode()) if (!walk.currentNode.parentElement.closest(code)) found.push(walk.currentNode.data);
            for (const e of document.querySelectorAll('main [alt], main [aria-label]'))
                found.push(e.getAttribute('alt') || '', e.getAttribute('aria-label') || '');
            return found;
        }"""
    )
    return sorted({found[0] for text in texts for found in KEYS.finditer(text)})


def too_wide(page):
    """The elements that reach beyond the right edge, for the message of a failing test."""
    return page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 391
            && !e.closest('.uapkit-scroll, pre, .cell_output, .output')).slice(0, 5).map(e => e.outerHTML.slice(0, 150))"""
    )


@pytest.mark.parametrize("how", ["disk", "server"])
def test_search_finds_words_of_the_text(watched, served, how):
    fresh = watched()  # from a disk its complaints come late, to whoever has the page next
    page = fresh.open("search", served if how == "server" else None)
    page.goto(page.url + "?q=eigenvalue")
    page.wait_for_selector("#search-results li a")
    # from a disk the browser lets no script read the pages found, so the list stands there without excerpts
    assert [c for c in fresh.complaints() if how == "server" or c.startswith("asked for")] == []


def test_page_reads_without_javascript(watched):
    plain = watched(javascript=False)
    page = plain.open("book/laboratory")
    assert page.locator("main noscript").first.inner_text().startswith("The laboratory needs JavaScript")
    assert page.locator("main table").count() >= 1, "the measured rates stand there all the same"


@pytest.mark.parametrize("paper", ["equivariant2019", "jetley2018", "khrulkov2018", "moosavi2017"])
def test_a_phone_shows_what_a_paper_said_and_what_we_found_as_cards(desk, paper):
    page = desk.open(f"book/papers/{paper}")
    rows, widths = page.locator("#they-said-we-found tbody tr"), {}
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        first = [rows.first.locator("td").nth(k).bounding_box() for k in range(3)]
        widths[width] = [cell["x"] for cell in first], min(cell["width"] for cell in first)
    assert len(set(widths[1280][0])) == 3, "three columns on a desktop"
    assert len(set(widths[390][0])) == 1, "one below the other on a phone"
    assert widths[390][1] > 300, "as wide as the text"


def test_keyboard_reaches_links_and_shows_where_it_is(desk):
    desk.page.set_viewport_size({"width": 1280, "height": 900})
    page = desk.open("book/index")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUS))
    assert len({r["place"] for r in reached}) == len(reached), "each press moves on"
    assert [r for r in reached if not r["visible"]] == []


FOCUS = """() => {
    const e = document.activeElement; // the mark may be on a neighbour: a hidden radio's picture, a summary's arrow
    const marks = [e, e.parentElement, e.nextElementSibling, e.firstElementChild].filter(Boolean).map(getComputedStyle);
    return {
        place: [...document.querySelectorAll('*')].indexOf(e),
        what: e.outerHTML.slice(0, 120),
        visible: marks.some(s => (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none'),
    };
}"""
