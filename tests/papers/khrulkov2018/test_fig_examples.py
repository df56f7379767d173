"""Examples: edges counted by hand, numbers of the stored vectors, and a slider that starts without change."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import evaluate, lab
from uapkit.data import load
from uapkit.lab import Run
from uapkit.papers.khrulkov2018 import fig_examples
from uapkit.papers.khrulkov2018.fig_examples import edge_density
from uapkit.papers.khrulkov2018.setting import DIRECTIONS

SMALL = {
    "models": ("mlp_digits",),
    "layer": "relu2",
    "n_fit": 8,
    "n_select": 32,
    "n_eval": 120,
    "max_iter": 6,
    "seed": 3,
}


def test_edge_density_counts_a_step():
    """A step of height 1 in a 40 x 40 picture is an edge in the few columns next to it, in every row."""
    x = torch.zeros(1, 3, 40, 40)
    x[..., 20:] = 1
    density = float(edge_density(x, 0.1))
    assert density == pytest.approx(4 / 32), "the smoothed step rises by more than 0.1 in four of 32 columns"
    assert float(edge_density(x, 0.5)) == 0, "and nowhere by more than half"
    assert float(edge_density(x.transpose(2, 3), 0.1)) == pytest.approx(density), "down as across"
    assert float(edge_density(torch.full((1, 1, 20, 20), 0.7), 1e-4)) == 0


def test_fig_examples():
    table = fig_examples.run(**SMALL, n_pictures=2)
    scored = table[table["kind"] == "scored images"].set_index("direction")
    assert tuple(scored.index) == DIRECTIONS
    assert (table["kind"] == "picture").sum() == 6
    v = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits/singular vector"])
    bench = lab.Bench("digits", 8, 32, 120, 3)
    model, images = bench.network("mlp_digits"), bench.split("mlp_digits").scored
    own = scored.loc["singular vector"]
    assert float(evaluate.fooling_rate(model, images, v)) == pytest.approx(own["fooling_rate"])
    assert own["edges_after"] == pytest.approx(float(edge_density(images.x + v, 0.1).mean()))
    assert scored["edges_more"].to_numpy() == pytest.approx(
        (scored["edges_after"] - scored["edges_before"]).to_numpy(), rel=1e-3
    )
    run = Run(table, table.attrs["arrays"], {"params": {"pictures": "digits", "seed": 3}})
    (claim,) = fig_examples.claims(run)
    assert (claim.found.value, claim.found.n) == (own["edges_more"], 120)
    assert claim.null.value == scored.loc["random signs", "edges_more"]
    titles = [drawn.get_suptitle() for drawn in fig_examples.figures(run)]
    assert titles == [f"MLP (digits), {direction}" for direction in DIRECTIONS]


def test_norm_slider_starts_without_change_and_says_the_rate(monkeypatch):
    monkeypatch.setenv("UAPKIT_STATIC", "1")
    v = 0.2 * np.sign(np.random.default_rng(0).normal(size=load("digits", n=1).x.shape[1:])).astype("float32")
    params = {"data": "digits", "n_fit": 4, "n_select": 4, "n_eval": 40, "seed": 0, "eps": 0.2}
    table = pd.DataFrame({"model": ["vgg_digits"], "status": ["run"]})
    run = Run(table, {"v/vgg_digits/random signs": v}, {"params": params})
    widget = fig_examples.norm_slider(run, n_pictures=2, radii=(0, 1))
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', widget.html, re.S).group(1))
    assert data["controls"][2]["values"] == ["0", "0.2"]
    assert widget.states == 4
    zero = next(s for s in data["states"] if s["at"] == [0, 0, 0])
    assert "0.000 [0.000," in zero["words"]
    assert "→" not in zero["words"]
    assert "n = 40" in zero["words"]
