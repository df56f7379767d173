"""Across networks and methods: the diagonal is the own attack, both methods see the same images, ascent climbs."""

import pytest
import torch

from uapkit import attacks, models
from uapkit.experiments import khrulkov2018 as paper
from uapkit.experiments.common import Bench

SMALL = {"n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}


@pytest.fixture(scope="module")
def matrix():
    return paper.tab4_transfer(
        models=("mlp_digits", "linear_digits"), layer={"mlp_digits": "relu2", "linear_digits": "fc"}, **SMALL
    )


def test_tab4_transfer(matrix):
    rate = matrix.groupby(["model", "built_on"])["fooling_rate"].mean()
    bench = Bench("digits", 8, 32, 120, 3)
    v = torch.from_numpy(matrix.attrs["arrays"]["v/linear_digits"])
    assert float(bench.fooled("mlp_digits", v).float().mean()) == pytest.approx(rate["mlp_digits", "linear_digits"])
    own = paper.fig_q_sweep(models=("mlp_digits",), layer="relu2", qs=(10.0,), **SMALL)
    assert rate["mlp_digits", "mlp_digits"] == pytest.approx(own["fooling_rate"].iloc[0]), (
        "the diagonal is the own attack"
    )
    assert rate["mlp_digits", "linear_digits"] > rate["mlp_digits", "random signs"], "perturbations transfer"
    assert set(matrix.loc[matrix["built_on"] == "linear_digits", "built_at"]) == {"fc"}


def test_tab4_transfer_evidence(matrix):
    evidence = paper.EVIDENCE["tab4_transfer"](matrix)
    transfers = evidence[evidence["claim"] == "transfers"].set_index("network")
    rate = matrix.groupby(["model", "built_on"])["fooling_rate"].mean()
    gain = rate["mlp_digits", "linear_digits"] - rate["mlp_digits", "random signs"]
    assert transfers.loc["mlp_digits, over random signs", "estimate"] == pytest.approx(gain)
    beaten = evidence[evidence["claim"] == "foreign_can_beat_own"]
    assert len(beaten) == 1
    source, target = beaten["network"].item().split(" on ")
    assert source != target
    assert beaten["estimate"].item() == pytest.approx(rate[target, source] - rate[target, target])


def test_networks_of_other_sizes_are_refused():
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(64, 10))
    mine = models.wrap(net, input_size=(1, 28, 28), name="mine")
    table = paper.tab4_transfer(models=[mine, "linear_digits"], layer={"mine": "2", "linear_digits": "fc"}, **SMALL)
    assert set(table["model"]) == {"mine", "linear_digits"}, "a network of one's own goes through"


def test_fig_against_uap():
    table = paper.fig_against_uap(models=("mlp_digits",), layer="relu2", n_images=(4, 8), max_passes=1, **SMALL)
    uap, own = (table[table["kind"] == k].set_index("n_images") for k in ("UAP", "singular vector"))
    assert list(uap.index) == list(own.index) == [4, 8]
    assert (table.loc[table["seconds"].notna(), "seconds"] > 0).all()
    bench = Bench("digits", 8, 32, 120, 3)
    model = bench.model("mlp_digits")
    made = attacks.uap(model, bench.images(model)[0].x[:4], eps=0.2, target_rate=0.8, max_passes=1, seed=3)
    assert float(bench.fooled("mlp_digits", made.v).float().mean()) == pytest.approx(uap.loc[4, "fooling_rate"])
    evidence = paper.EVIDENCE["fig_against_uap"](table).iloc[0]
    assert evidence["estimate"] == pytest.approx(own.loc[4, "fooling_rate"] - uap.loc[4, "fooling_rate"])


def test_ext_gradient_ascent():
    table = paper.ext_gradient_ascent(models=("mlp_digits",), layer="relu2", steps=(0.01, 100.0), **SMALL)
    value = table.set_index(["kind", "step"])["value"]
    power = table.loc[table["kind"] == "power method", "value"].item()
    assert value["gradient ascent", 0.01] < value["gradient ascent", 100.0]
    assert value["gradient ascent", 100.0] == pytest.approx(power, rel=0.1), "infinite steps are the power method"
    assert value["gradient ascent, no linearisation", 100.0] > value["gradient ascent, no linearisation", 0.01]
    evidence = paper.EVIDENCE["ext_gradient_ascent"](table)
    assert len(evidence) == 2
    assert evidence["n"].tolist() == [120, 120]
