"""Table 4: the diagonal is the own attack, perturbations transfer, and one's own network goes through."""

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import lab, models
from uapkit.lab import Run
from uapkit.papers.khrulkov2018 import fig_q_sweep, tab4_transfer

SMALL = {"n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}


@pytest.fixture(scope="module")
def matrix():
    return tab4_transfer.run(
        models=("mlp_digits", "linear_digits"), layer={"mlp_digits": "relu2", "linear_digits": "fc"}, **SMALL
    )


def test_tab4_transfer(matrix):
    rate = matrix.groupby(["model", "built_on"])["fooling_rate"].mean()
    bench = lab.Bench("digits", 8, 32, 120, 3)
    v = torch.from_numpy(matrix.attrs["arrays"]["v/linear_digits"])
    assert float(bench.fooled("mlp_digits", v).float().mean()) == pytest.approx(rate["mlp_digits", "linear_digits"])
    own = fig_q_sweep.run(models=("mlp_digits",), layer="relu2", qs=(10.0,), **SMALL)
    assert rate["mlp_digits", "mlp_digits"] == pytest.approx(own["fooling_rate"].iloc[0]), (
        "the diagonal is the own attack"
    )
    assert rate["mlp_digits", "linear_digits"] > rate["mlp_digits", "random signs"], "perturbations transfer"
    assert set(matrix.loc[matrix["built_on"] == "linear_digits", "built_at"]) == {"fc"}


def test_claims(matrix):
    found = list(tab4_transfer.claims(Run.of(matrix)))
    transfers = {claim.network: claim for claim in found if claim.name == "transfers"}
    rate = matrix.groupby(["model", "built_on"])["fooling_rate"].mean()
    gain = rate["mlp_digits", "linear_digits"] - rate["mlp_digits", "random signs"]
    claim = transfers["mlp_digits, over random signs"]
    assert claim.found.value == pytest.approx(gain)
    fresh = matrix[(matrix["kind"] == "untrained network") & (matrix["model"] == "mlp_digits")]["fooling_rate"].mean()
    assert claim.null.value == pytest.approx(fresh - rate["mlp_digits", "random signs"])
    (beaten,) = (claim for claim in found if claim.name == "foreign_can_beat_own")
    source, target = beaten.network.split(" on ")
    assert source != target
    assert beaten.found.value == pytest.approx(rate[target, source] - rate[target, target])


def test_a_network_of_ones_own_goes_through():
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(64, 10))
    mine = models.wrap(net, input_size=(1, 28, 28), name="mine")
    table = tab4_transfer.run(models=[mine, "linear_digits"], layer={"mine": "2", "linear_digits": "fc"}, **SMALL)
    assert set(table["model"]) == {"mine", "linear_digits"}


def test_networks_of_other_sizes_are_refused(monkeypatch):
    shape = {"linear_digits": (1, 28, 28), "mlp_digits": (1, 14, 14)}
    monkeypatch.setattr(
        tab4_transfer.Setting, "better_sign", lambda self, network, v: (torch.zeros(shape[network]), 0.0)
    )
    with pytest.raises(ValueError, match="only fits networks of its own size"):
        tab4_transfer.run(models=list(shape), layer={"linear_digits": "fc", "mlp_digits": "relu1"}, **SMALL)


def test_figure_has_the_attacked_networks_as_rows():
    about = {"model": "net", "status": "run", "low": 0.0, "high": 1.0}
    table = pd.DataFrame({**about, "built_on": ["net", "other", "random signs"], "fooling_rate": [0.5, 0.25, 0.0]})
    ax = tab4_transfer.figure(Run.of(table)).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["net"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["net", "other", "random signs"]
    assert [t.get_text() for t in ax.texts] == ["0.50", "0.25", "0.00"]
    assert np.asarray(ax.images[0].get_array()).tolist() == [[0.5, 0.25, 0.0]]
