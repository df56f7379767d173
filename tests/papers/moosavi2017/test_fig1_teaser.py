"""Figure 1: the labels are the network's, of the pictures and of the pictures plus the one perturbation."""

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import runner
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import fig1_teaser as item
from uapkit.papers.moosavi2017.pictures import example_pictures
from uapkit.papers.moosavi2017.setting import bench_of


def test_fig1_teaser():
    table = runner.run("moosavi2017/fig1_teaser", models=["mlp_digits"], n_fit=24, n_eval=120, seed=3, n_pictures=4)
    model = bench_of("digits", 24, 120, seed=3).network("mlp_digits")
    shown = example_pictures("digits", 4, 3, 28)
    v = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits"])
    rows = rows_of(table, kind="UAP", what="picture")
    for column, x in (("label", shown.x), ("perturbed_label", shown.x + v)):
        with torch.no_grad():
            assert [str(k) for k in model(x).argmax(1).tolist()] == [str(k) for k in rows[column]]
    scored = rows_of(table, what="scored images").set_index("kind")
    assert scored.loc["UAP", "low"] > scored.loc["random signs", "high"]
    own, null = rows, rows_of(table, kind="random signs", what="picture")
    changed = [int((part["label"] != part["perturbed_label"]).sum()) for part in (own, null)]
    told = item.words(Run.of(table))
    assert f"the label of {changed[0]} of the 4 pictures, random signs that of {changed[1]}" in told
    axes = item.figure(Run.of(table)).axes
    assert len(axes) == 12
    first, last = (axes[k].images[0].get_array() for k in (0, 2))
    assert np.abs(last - first).max() <= 0.2 + 1e-6, "the same picture, moved by the radius at most"


def scored(**rates):
    """A run whose networks have these (attack, null) rates on scored images, each within a point, and one picture that flips."""
    rows = []
    for model, pair in rates.items():
        for kind, rate in zip(("UAP", "random signs"), pair, strict=True):
            about = {"model": model, "kind": kind, "status": "run"}
            ends = {"fooling_rate": rate, "low": rate - 0.01, "high": rate + 0.01, "n": 100}
            rows.append({**about, "what": "scored images", **ends})
            rows.append({**about, "what": "picture", "label": "a", "perturbed_label": "b" if kind == "UAP" else "a"})
    return Run.of(pd.DataFrame(rows))


def test_the_network_is_the_one_that_stands_farthest_above_its_null():
    assert item.shown(scored(one=(0.7, 0.6), two=(0.5, 0.1))) == "two"
    assert item.shown(scored(one=(0.9, 0.1), two=(0.5, 0.1))) == "one"


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ((0.7, 0.2), "It changes the label of most images: 70%"),
        ((0.4, 0.2), "more labels than random signs of the same norm, not those of most images: 40%"),
        ((0.7, 0.7), "is not shown: 70%"),
        ((0.19, 0.18), "is not shown: 19%"),
    ],
)
def test_the_words_follow_from_the_numbers(rates, words):
    told = item.words(scored(net=rates))
    assert words in told
    assert "label of 1 of the 1 pictures, random signs that of 0" in told
