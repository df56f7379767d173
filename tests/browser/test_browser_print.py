"""A chapter on paper: A4, the text alone, nothing behind a click, figures whole, where links lead is printed."""

import re

import pytest

from uapkit.book import whole

CHAPTER = "book/papers/khrulkov2018"
HIDDEN = (
    ".bd-sidebar-primary",
    ".bd-sidebar-secondary",
    ".bd-header-article",
    ".prev-next-area",
    ".headerlink",
    ".copybtn",
)


@pytest.fixture(scope="module")
def printed(watched):
    one = watched()
    one.context.set_default_navigation_timeout(120_000)  # formulas are typeset before the page counts as loaded
    page = one.open(CHAPTER)
    page.wait_for_timeout(1500)
    page.emulate_media(media="print")
    return page


def test_navigation_stays_off_the_paper(printed):
    for selector in HIDDEN:
        shown = printed.locator(selector).evaluate_all("all => all.filter(e => e.getClientRects().length).length")
        assert shown == 0, selector


def test_the_title_is_printed(printed):
    title = printed.locator("article.bd-article h1").first
    assert title.evaluate("e => e.getClientRects().length") == 1
    assert printed.locator("#jb-print-docs-body").evaluate("e => e.getClientRects().length") == 0, "once"


def test_one_line_a_network_stays_folded_and_tables_break_over_pages(printed):
    lists = printed.locator("td details ul").evaluate_all(
        "all => all.map(e => e.checkVisibility({contentVisibilityAuto: true}) && e.getBoundingClientRect().height)"
    )
    assert lists
    assert not any(lists)
    tables = printed.locator("article.bd-article table").evaluate_all(
        "all => all.map(e => getComputedStyle(e).breakInside)"
    )
    assert set(tables) == {"auto"}


def test_solutions_are_printed(printed):
    boxes = printed.locator(".solution .section, .solution > section, .solution > p").evaluate_all(
        "all => all.map(e => [getComputedStyle(e).visibility, e.getBoundingClientRect().height])"
    )
    assert boxes, "the chapter has solutions"
    assert all(visibility == "visible" and height > 10 for visibility, height in boxes), boxes


def test_figures_are_not_broken_and_fit_the_paper(printed):
    figures = printed.locator(".bd-article img").evaluate_all(
        "all => all.map(e => [getComputedStyle(e).breakInside, e.getBoundingClientRect().height])"
    )
    assert figures
    for inside, height in figures:
        assert inside == "avoid"
        assert height < 940, "240 mm at 96 dots an inch is 907"


def test_where_links_lead_is_printed(printed):
    links = printed.locator("article.bd-article p a.reference.external, article.bd-article li a.reference.external")
    texts = links.evaluate_all("all => all.map(e => getComputedStyle(e, '::after').content)")
    assert all("http" in text or "attr(" in text for text in texts)


def test_pdf_is_a4_and_has_pages(printed):
    pdf = printed.pdf(prefer_css_page_size=True, print_background=False)
    assert pdf.startswith(b"%PDF")
    boxes = set(re.findall(rb"/MediaBox\s*\[([\d. ]+)\]", pdf))
    assert boxes, "pages say their size"
    for box in boxes:
        _, _, width, height = map(float, box.split())
        assert abs(width - 595) < 2
        assert abs(height - 842) < 2
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 4 <= pages <= 40, pages


def test_the_whole_book_prints_no_shadow_no_thumbnail_and_names_each_formula(watched, built):
    source = built / "whole_book.test.html"
    source.write_text(whole.joined(built, [CHAPTER, "notebooks/khrulkov2018/tab1_layers"]), encoding="utf-8")
    try:
        page = watched().open("whole_book.test")
        page.wait_for_function("document.querySelectorAll('mjx-container[aria-label]').length > 0")
        names = page.locator("mjx-container").evaluate_all(
            "all => all.map(e => [e.getAttribute('role'), e.getAttribute('aria-label')])"
        )
    finally:
        source.unlink()
    assert len(names) > 50
    assert all(role == "img" and name for role, name in names), "a formula is one thing with its source as its name"
    soft = page.evaluate(
        "() => [...document.querySelectorAll('body *')].filter(e => getComputedStyle(e).boxShadow !== 'none').length"
    )
    assert soft == 0, "a shadow would be printed as a picture"
    thumbnails = page.locator(".tag_answer img").evaluate_all("all => all.map(e => e.getClientRects().length)")
    assert thumbnails
    assert not any(thumbnails), "the figure itself stands below"
