"""Sliders and pickers of the built pages: every control changes what is shown, by keyboard too."""

import pytest

from uapkit.figures.widgets import Bar, State, frames

WIDGET = "figure.uapkit-frames"


@pytest.fixture
def written(tmp_path, watched):
    """A page with one widget, opened from the disk."""

    def write(widget, **settings):
        path = tmp_path / "page.html"
        path.write_text(f"<!doctype html><html lang='en'><title>t</title><main>{widget.html}</main>", encoding="utf-8")
        one = watched(**settings)
        one.home = path.as_uri()
        one.page.goto(path.as_uri())
        return one

    return write


def shown(page, k=0):
    widget = page.locator(WIDGET).nth(k)
    return widget.evaluate(
        "w => [...w.querySelectorAll('img')].map(i => i.src).join() + w.querySelector('.uapkit-frames-words').innerHTML"
        " + w.querySelector('.uapkit-frames-bars').innerHTML"
    )


STATES = [State(at={"net": "a", "k": k}, caption=f"a at {k}.", bars={"x": Bar(k, null=(0, 1))}) for k in (1, 2, 3)] + [
    State(at={"net": "b", "k": k}, caption=f"b at {k}.") for k in (2, 7)
]


def test_controls_offer_only_what_exists(written):
    one = written(frames(STATES, title="A widget"))
    page = one.page
    picker, slider = page.get_by_label("net"), page.get_by_label("k", exact=False).last
    words = page.locator(".uapkit-frames-words")
    assert words.inner_text() == "a at 1."
    slider.focus()
    page.keyboard.press("End")
    assert words.inner_text() == "a at 3."
    assert slider.get_attribute("aria-valuetext") == "3"
    picker.select_option("b")
    assert words.inner_text() == "b at 2.", "3 does not exist for b"
    assert slider.get_attribute("max") == "1"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert words.inner_text() == "b at 7."
    assert one.complaints() == []


def test_first_state_without_javascript(written):
    one = written(frames(STATES, title="A widget", start=1), javascript=False)
    assert one.page.locator(".uapkit-frames-words").inner_text() == "a at 2."
    assert "Without JavaScript one state is shown: net a, k 2." in one.page.content()
    assert not one.page.locator(".uapkit-frames-controls").is_visible()


def test_every_widget_of_the_book_responds(watched, built):
    one = watched()
    names = [str(p.relative_to(built).with_suffix("")) for p in built.rglob("*.html") if WIDGET_CLASS in p.read_text()]
    assert names, "no page has a widget"
    for name in names:
        page = one.open(name)
        page.evaluate(
            "() => document.querySelectorAll('details').forEach(d => { d.open = true; })"
        )  # quick runs are folded
        for k in range(page.locator(WIDGET).count()):
            controls = page.locator(WIDGET).nth(k).locator("input, select")
            assert controls.count() >= 1
            for i in reversed(range(controls.count())):  # sliders first: at 0 all directions look the same
                control, before = controls.nth(i), shown(page, k)
                control.focus()
                assert control.evaluate("c => getComputedStyle(c).outlineStyle") != "none"
                here, end = control.evaluate(
                    "c => c.type === 'range' ? [+c.value, +c.max] : [c.selectedIndex, c.options.length - 1]"
                )
                if end == 0:
                    continue
                goal = 0 if here == end else end  # some widgets start at their last state
                if control.get_attribute("type") == "range":
                    page.keyboard.press("End" if goal else "Home")
                else:
                    control.select_option(index=goal)
                assert shown(page, k) != before, f"control {i} of widget {k} on {name} changes nothing"
    assert one.complaints() == []


WIDGET_CLASS = 'class="uapkit-frames"'
