"""Figure 1: the labels are the network's, of the pictures and of the pictures plus the one perturbation."""

import numpy as np
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
    axes = item.figure(Run.of(table)).axes
    assert len(axes) == 12
    first, last = (axes[k].images[0].get_array() for k in (0, 2))
    assert np.abs(last - first).max() <= 0.2 + 1e-6, "the same picture, moved by the radius at most"
