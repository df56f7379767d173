"""The primer's classifier of two pixels: by mouse, by keyboard, on a phone, in the dark, without scripts, without violations."""

import re
from pathlib import Path

import pytest

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PLACE = "#uapkit-primer"


@pytest.mark.parametrize("width", [1280, 390])
def test_sliders_and_norms_change_what_is_told(watched, width):
    one = watched(width=width)
    page = one.open("book/primer")
    told = page.locator(f"{PLACE} output")
    before = told.inner_text()
    assert re.search(r"The network says [ABC]; .*\d of 8 other images \(95 % interval \d+ to \d+ %\)", before)
    page.locator(f"{PLACE} input").nth(0).focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert told.inner_text() != before
    outline = page.locator(f"{PLACE} .ball").get_attribute("d")
    page.locator(f"{PLACE} select").select_option("1")
    assert page.locator(f"{PLACE} .ball").get_attribute("d") != outline
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert one.complaints() == []
    one.context.close()


def test_the_image_can_be_dragged(watched):
    one = watched()
    page = one.open("book/primer")
    box = page.locator(f"{PLACE} svg").bounding_box()
    labels = set()
    for x, y in ((0.8, 0.3), (0.2, 0.2), (0.15, 0.85)):
        page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        page.mouse.down()
        page.mouse.up()
        labels.add(page.locator(f"{PLACE} output b").first.inner_text())
    assert labels == {"A", "B", "C"}
    one.context.close()


def test_the_step_of_the_largest_pixel_ends_in_a_corner_and_the_boundary_is_where_it_is_told(watched):
    one = watched()
    page = one.open("book/primer")
    ends = page.locator(f"{PLACE} .step").evaluate("l => ['x1', 'y1', 'x2', 'y2'].map(k => Number(l.getAttribute(k)))")
    size = float(page.locator(f"{PLACE} .controls span").nth(2).inner_text())
    assert abs(ends[2] - ends[0]) == pytest.approx(320 * size, rel=1e-6)
    assert abs(ends[3] - ends[1]) == pytest.approx(320 * size, rel=1e-6)
    one.context.close()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_no_violation(watched, mode):
    if not AXE.is_file():
        pytest.skip("no axe-core; `npm ci` (part of `make book`) installs it")
    one = watched(width=390)
    one.context.add_init_script(f"localStorage.setItem('mode', '{mode}'); localStorage.setItem('theme', '{mode}')")
    page = one.open("book/primer")
    page.add_script_tag(path=AXE)
    found = page.evaluate(f"async () => (await axe.run('{PLACE}', {{preload: false}})).violations.map(v => v.id)")
    assert found == []
    one.context.close()


def test_without_scripts_a_sentence_stands_in_its_place(watched):
    one = watched(javascript=False)
    page = one.open("book/primer")
    assert "JavaScript" in page.locator(PLACE).inner_text()
    one.context.close()
