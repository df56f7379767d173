"""Widgets of items: what they show is what is stored, and the two ways to an angle agree."""

import json
import re

import numpy as np
import pandas as pd

from uapkit import runner
from uapkit.figures import explore as plots_explore


def states(widget):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', widget.html, re.S).group(1))


def test_stored_gallery_is_picked_by_layer():
    run = runner.load("khrulkov2018/fig1_gallery")
    widget = plots_explore.vectors(run, by="layer")
    rows = run[(run["status"] == "run") & (run["kind"] == "vector")]
    assert widget.states == len(rows)
    assert len(widget.html) < 500_000
    first = states(widget)["states"][0]
    assert f"{rows['singular_value'].iloc[0]:.4g}" in first["words"]


def test_norm_slider_starts_without_change_and_says_the_rate(monkeypatch):
    monkeypatch.setenv("UAPKIT_STATIC", "1")
    from uapkit.data import load

    v = 0.2 * np.sign(np.random.default_rng(0).normal(size=load("digits", n=1).x.shape[1:])).astype("float32")
    run = pd.DataFrame({"model": ["vgg_digits"], "status": ["run"]})
    run.attrs["arrays"] = {"v/vgg_digits/random signs": v}
    params = {"data": "digits", "n_fit": 4, "n_select": 4, "n_eval": 40, "seed": 0, "eps": 0.2}
    run.attrs["provenance"] = {"params": params}
    widget = plots_explore.norm_slider(run, n_pictures=2, radii=(0, 1))
    data = states(widget)
    assert data["controls"][2]["values"] == ["0", "0.2"]
    assert widget.states == 4
    zero = next(s for s in data["states"] if s["at"] == [0, 0, 0])
    assert "0.000 [0.000," in zero["words"]
    assert "→" not in zero["words"]
    assert "n = 40" in zero["words"]


def test_vectors_by_q_shows_infinity():
    run = pd.DataFrame(
        {
            "model": "m",
            "layer": "1",
            "q": [1.0, np.inf],
            "status": "run",
            "kind": "vector",
            "singular_value": [1.5, 2.5],
        }
    )
    run.attrs["arrays"] = {f"v/m/q = {q:g}": np.ones((1, 5, 5)) for q in (1.0, np.inf)}
    data = states(plots_explore.vectors(run, by="q"))
    assert data["controls"][1]["values"] == ["1", "∞"]
    assert data["states"][1]["words"].endswith("singular value: <strong>2.5</strong>")


def test_many_large_vectors_are_shown_by_their_middle():
    v = np.arange(3 * 224 * 224, dtype=float).reshape(3, 224, 224)
    assert np.array_equal(plots_explore._middle(v, 160), v[:, 32:192, 32:192])
    assert plots_explore._middle(v[:, :28, :28], 160).shape == (3, 28, 28)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (30, 3, 224, 224))
    run = pd.DataFrame({"model": "m", "layer": "1", "q": np.arange(30.0), "status": "run", "kind": "vector"})
    run.attrs["arrays"] = {f"v/m/q = {k:g}": signs[k] for k in range(30)}
    widget = plots_explore.vectors(run, by="q")
    assert len(widget.html) < 500_000
    assert "middle 160 x 160" in widget.html
