"""Boxes that scroll inside a page say so, on the side where there is more, and can be scrolled by keyboard."""

import pytest

WIDE = "pre, .uapkit-scroll, div.math, .cell_output, .pst-scrollable-table-container"
MARKS = """all => all
    .filter(e => e.offsetParent && /auto|scroll/.test(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1)
    .map(e => [e.dataset.more || '', getComputedStyle(e).boxShadow, e.tabIndex, e.outerHTML.slice(0, 80)])"""


@pytest.mark.parametrize("name", ["book/rerun", "book/papers/khrulkov2018", "notebooks/khrulkov2018/tab1_layers"])
def test_what_is_cut_off_on_a_phone_is_marked(watched, name):
    page = watched(width=390).open(name)
    page.wait_for_selector("[data-more]", state="attached")
    found = page.locator("article.bd-article").locator(WIDE).evaluate_all(MARKS)
    assert found
    assert [one for one in found if "right" not in one[0].split() or "inset" not in one[1] or one[2] < 0] == []


def test_the_mark_moves_with_the_box(watched):
    page = watched(width=390).open("book/rerun")
    page.wait_for_selector("pre[data-more]")
    box = page.locator("pre[data-more]").first
    assert box.get_attribute("data-more") == "right"
    box.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('pre').scrollLeft > 0")
    box.evaluate("e => { e.scrollLeft = e.scrollWidth; }")
    page.wait_for_function("() => document.querySelector('pre').dataset.more === 'left'")


def test_a_long_table_scrolls_in_its_box_and_keeps_its_head(watched):
    page = watched().open("notebooks/equivariant2019/thm1_alignment")
    boxes = page.locator(".uapkit-scroll:has(thead)")
    heights = boxes.evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
    assert max(heights) <= 641
    long = boxes.nth(heights.index(max(heights)))
    assert "down" in long.get_attribute("data-more")
    top = long.evaluate("e => { e.scrollTop = 900; return e.getBoundingClientRect().top; }")
    head = long.locator("thead th").first.evaluate("e => e.getBoundingClientRect().top")
    assert abs(head - top) < 2
