"""Widgets over computed states: what is stored is what was given, text is escaped, sizes are kept."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from uapkit.figures.widgets import MAX_BYTES, Bar, State, frames, slider


def data_of(widget):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', widget.html, re.S).group(1))


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def grid():
    x = torch.linspace(0, 1, 28 * 28).reshape(1, 28, 28)
    return [
        State(at={"net": net, "eps": eps}, pictures=(x * eps).clamp(0, 1), facts={"label": label}, bars={"0": eps})
        for net, eps, label in [("a", 0.2, "7"), ("a", 0.1, "3"), ("b", 0.1, "<b>&")]
    ]


def test_every_state_is_found_at_its_setting():
    data = data_of(frames(grid(), title="t"))
    assert [c["values"] for c in data["controls"]] == [["a", "b"], ["0.1", "0.2"]], "numbers in order, text as it comes"
    assert [s["at"] for s in data["states"]] == [[0, 1], [0, 0], [1, 0]], "the first state is the one that starts"
    assert "7" in data["states"][0]["words"]


def test_equal_pictures_are_stored_once_and_without_loss():
    states = grid()
    data = data_of(frames(states, title="t"))
    assert len(data["pictures"]) == 2, "two of the three states show the same picture"
    for state, row in zip(states, data["states"], strict=True):
        assert np.array_equal(
            decoded(data["pictures"][row["pictures"][0]])[..., 0], (state.pictures[0] * 255).round().numpy()
        )


def test_signs_of_a_perturbation_are_stored_without_loss():
    signs = np.random.default_rng(0).choice([0.25, 0.75], (3, 200, 200))
    uri = data_of(frames([State(pictures=signs)], title="t"))["pictures"][0]
    assert np.array_equal(decoded(uri), (signs * 255).round().astype(np.uint8).transpose(1, 2, 0))
    assert len(uri) < 30_000


def test_text_is_escaped():
    widget = frames(grid(), title='x"<script>', note="</figure>")
    assert '"x&quot;&lt;script&gt;"' in widget.html
    assert "<b>&" not in widget.html
    assert widget.html.count("</figure>") == 1
    assert widget.html.count("</script>") == 2, "the data cannot end their own script"


def test_first_state_stands_there_without_javascript():
    visible = frames(grid(), title="t", start=2).html.partition('<script type="application/json">')[0]
    assert "&lt;b&gt;&amp;" in visible
    assert "data:image/png;base64," in visible
    assert "Without JavaScript one state is shown: net b, eps 0.1." in visible


def test_bars_say_value_interval_and_null():
    bars = {"angle": Bar(72.99, low=60.7, high=85.2, null=(88.0, 89.5)), "other": 45}
    row = data_of(frames([State(bars=bars, marked="other")], title="t", bar_range=(0, 90)))["states"][0]
    assert "72.99 [60.7, 85.2]; null 88 to 89.5" in row["bars"]
    assert "left:0.0%;width:50.0%" in row["bars"]
    assert row["bars"].count('class="marked"') == 1


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ([], "empty"),
        ([State(at={"a": 1}), State(at={"b": 1})], "controls"),
        ([State(at={"a": 1}), State(at={"a": 1})], "same setting"),
        ([State(pictures=np.zeros((2, 5, 5)))], "shape"),
        ([State(pictures=b"GIF89a")], "PNG"),
    ],
)
def test_bad_states_are_refused(states, message):
    with pytest.raises(ValueError, match=message):
        frames(states, title="t")


def test_a_widget_that_is_too_heavy_is_refused():
    noise = np.random.default_rng(0).random((12, 3, 400, 400))
    with pytest.raises(ValueError, match=f"allowed are {MAX_BYTES // 1000}"):
        frames([State(at={"k": k}, pictures=x) for k, x in enumerate(noise)], title="t")


def test_slider_draws_all_states_for_a_page_and_live_in_jupyter(monkeypatch):
    widgets = pytest.importorskip("ipywidgets")
    calls = []

    def draw(eps, net):
        calls.append((eps, net))
        return State(caption=f"{net} at {eps}")

    monkeypatch.setenv("UAPKIT_STATIC", "1")
    page = slider(draw, title="t", choices={"eps": [0.1, float("inf")], "net": ["a", "b"]})
    assert page.states == len(calls) == 4
    assert data_of(page)["controls"][0]["values"] == ["0.1", "∞"]
    monkeypatch.delenv("UAPKIT_STATIC")
    calls.clear()
    box = slider(draw, title="t", choices={"eps": [0.1, 0.2], "net": ["a", "b"]})
    assert len(calls) == 1, "live: only what is looked at"
    picker = next(w for w in box.children if isinstance(w, widgets.SelectionSlider))
    picker.value = 0.2
    assert calls[-1] == (0.2, "a")
