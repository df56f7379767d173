"""Top-5 probabilities: ranks are the clean picture's, and flipped and kept labels are all images."""

import numpy as np
import pandas as pd
import pytest

from uapkit import lab, models
from uapkit.papers.khrulkov2018 import fig_top5

SMALL = {
    "models": ("mlp_digits",),
    "layer": "relu2",
    "n_fit": 8,
    "n_select": 32,
    "n_eval": 120,
    "max_iter": 6,
    "seed": 3,
}


def test_fig_top5():
    table = fig_top5.run(**SMALL, n_pictures=1, scales=(0.0, 1.0))
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
    run = lab.Run.of(table)
    (claim,) = fig_top5.claims(run)
    assert claim.found.value == kept["close_gain"]
    model, images = models.load("mlp_digits"), lab.Bench("digits", 8, 32, 120, 3).split("mlp_digits").scored
    before = model(images.x).softmax(1).topk(2, 1).values
    setting = fig_top5.Setting(lab.Bench("digits", 8, 32, 120, 3), eps=0.2, max_iter=6, seed=3)
    v = setting.directions("mlp_digits", "relu2")["singular vector"]
    after = model(images.x + v).softmax(1)
    same = after.argmax(1) == model(images.x).argmax(1)
    assert kept["top1_before"] == pytest.approx(float(before[same, 0].mean()), abs=1e-5)
    close = [(two[same, 1] > two[same, 0] / 2).float().mean() for two in (after.topk(2, 1).values, before)]
    assert kept["close_gain"] == pytest.approx(float(close[0] - close[1]), abs=1e-6), (
        "the same images, with and without v"
    )
    old = lab.Run.of(table.drop(columns=["close_gain", "close_low", "close_high"]))
    assert not list(fig_top5.claims(old)), "a run that did not pair the images says nothing"
    none = table[(table["kind"] == "mean") & (table["scale"] == 0)]
    assert not np.any(none["flipped"].astype(str) == "True"), "without a perturbation nothing flips"
    axes = fig_top5.figure(run).axes
    titles = [" ".join(ax.get_title().split()) for ax in axes if ax.lines]
    assert titles == ["MLP (digits) flips", "MLP (digits) keeps its label"]
    assert [len(ax.lines) for ax in axes if ax.lines] == [5, 5]


def test_a_network_that_is_not_here_has_no_curve():
    run = lab.Run.of(pd.DataFrame({"model": ["vgg19"], "status": ["not run here"]}))
    assert [t.get_text() for t in fig_top5.figure(run).axes[0].texts] == ["not run here"]
