"""Pictures, labels, edges and probabilities of paper K: counted by hand where that can be done."""

import numpy as np
import pytest
import torch

from uapkit import evaluate, models
from uapkit.experiments import khrulkov2018 as paper
from uapkit.experiments.common import Bench
from uapkit.experiments.khrulkov2018_examples import DIRECTIONS, edge_density

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
    table = paper.fig_examples(**SMALL, n_pictures=2)
    scored = table[table["kind"] == "scored images"].set_index("direction")
    assert tuple(scored.index) == DIRECTIONS
    assert (table["kind"] == "picture").sum() == 6
    v = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits/singular vector"])
    bench = Bench("digits", 8, 32, 120, 3)
    model = bench.model("mlp_digits")
    images = bench.images(model)[2]
    assert float(evaluate.fooling_rate(model, images, v)) == pytest.approx(
        scored.loc["singular vector", "fooling_rate"]
    )
    after = float(edge_density(images.x + v, 0.1).mean())
    assert scored.loc["singular vector", "edges_after"] == pytest.approx(after)
    assert scored["edges_more"].to_numpy() == pytest.approx(
        (scored["edges_after"] - scored["edges_before"]).to_numpy(), rel=1e-3
    )
    evidence = paper.EVIDENCE["fig_examples"](table).iloc[0]
    assert evidence["estimate"] == scored.loc["singular vector", "edges_more"]
    assert evidence["null"] == scored.loc["random signs", "edges_more"]


def test_tab_predictions():
    table = paper.tab_predictions(**SMALL, n_pictures=2)
    scored = table[table["kind"] == "scored images"].set_index("direction")
    own = scored.loc["singular vector"]
    assert own["n_fooled"] == round(own["fooling_rate"] * 120)
    assert own["unsure_low"] <= own["unsure_share"] <= own["unsure_high"]
    model = models.load("mlp_digits")
    clean = model(Bench("digits", 8, 32, 120, 3).images(model)[2].x).softmax(1).max(1).values
    assert scored.loc["none", "unsure_share"] == pytest.approx(float((clean < 0.5).float().mean()))
    evidence = paper.EVIDENCE["tab_predictions"](table).iloc[0]
    assert (evidence["estimate"], evidence["null"]) == (own["unsure_share"], scored.loc["none", "unsure_share"])


def test_fig_top5():
    table = paper.fig_top5(**SMALL, n_pictures=1, scales=(0.0, 1.0))
    curve = table[table["kind"] == "curve"]
    assert set(curve["rank"]) == {1, 2, 3, 4, 5}
    clean = curve[(curve["eps"] == 0)].sort_values(["picture", "rank"])
    for _, part in clean.groupby("picture"):
        assert part["probability"].is_monotonic_decreasing, "ranks are those of the clean picture"
    for (_, flips), part in curve[curve["eps"] > 0].groupby(["picture", "flips"]):
        top = part.set_index("rank")["probability"]
        assert (top.drop(1).max() > top[1]) or not flips or top.sum() < 0.999, "a flip leaves the first rank behind"
    mean = table[(table["kind"] == "mean") & (table["direction"] == "singular vector") & (table["scale"] == 1)]
    assert mean["n"].sum() == 120, "flipped and not flipped are all images"
    kept = mean[mean["flipped"].astype(str) == "False"].iloc[0]
    assert 0 <= kept["top2"] <= kept["top1"] <= 1
    assert paper.EVIDENCE["fig_top5"](table)["estimate"].item() == kept["closeness"]
    none = table[(table["kind"] == "mean") & (table["scale"] == 0)]
    assert not np.any(none["flipped"].astype(str) == "True"), "without a perturbation nothing flips"
