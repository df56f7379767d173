"""The supplement: the class is left along negative curvature, with a network and images of the caller's own too."""

import pytest
import torch

from uapkit import models
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig_negative_flat as item

SMALL = {
    "models": ("mlp_digits",),
    "targets": (3,),
    "n_train": 120,
    "n_fit": 20,
    "n_eval": 60,
}


def test_fig_negative_flat(every_row_decides):
    run = Run.of(item.run(**SMALL, n_positions=5))
    table = run.table
    assert set(table["kind"]) == {"negative", "flat", "random"}
    far = table[table["s"].abs() == table["s"].max()].groupby("kind")
    assert far["stays"].mean()["negative"] < far["stays"].mean()["random"], "the class is left along negative curvature"
    evidence = evidence_table(list(item.claims(run)))
    assert set(evidence["claim"]) == {
        "negative_leaves",
        "flat_does_nothing",
        "flat_calmer_than_random",
    }
    counted = evidence.groupby("claim")["n"].first()
    assert counted["negative_leaves"] == table["n_inside"].iloc[0]
    assert counted["flat_does_nothing"] == 60, "flat directions are judged on all images"
    leaves = evidence[evidence["claim"] == "negative_leaves"].iloc[0]
    left = 1 - table[(table["kind"] == "negative") & (table["s"] > 0)]["stays"]
    assert leaves["estimate"] == pytest.approx(left.mean()), "over the whole way, not at its end"
    assert len(item.figure(run, "mlp_digits").axes) == 2 * 3


def test_no_flat_direction_where_only_the_ends_are_known():
    ends = Run.of(item.run(**SMALL, k=3, max_products=40, n_positions=5))
    assert set(ends.table["kind"]) == {"negative", "random"}
    assert not list(item.claims(ends)), "and Lanczos has not converged"


def test_a_users_own_module_and_settings_by_network():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10))
    mine = models.wrap(net, input_size=(1, 28, 28), name="mine")
    small = {"models": [mine], "n_fit": {"mine": 40}, "data": {"mine": "digits"}}
    target = int(mine.predict(torch.zeros(1, 1, 28, 28)))
    table = item.run(**SMALL | small | {"targets": (target,)}, n_positions=5)
    assert set(table["model"]) == {"mine"}
    assert set(table["data"]) == {"digits"}
    assert set(table["weights"]) == {"wrapped"}
