"""Accuracy against robustness on a linear network: without its nine directions nothing is left to attack or to see."""

import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from uapkit import data, models
from uapkit.lab import Run, keeping
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import ext_tradeoff as item
from uapkit.papers.jetley2018.ext_tradeoff import Undefended
from uapkit.papers.jetley2018.setting import Projected, deepfool, right
from uapkit.papers.jetley2018.spans import singular_basis

NINE = 9 / 784
LINEAR = {
    "models": ("linear_digits",),
    "shares": (NINE,),
    "n_fit": 60,
    "n_eval": 80,
    "n_attack": 12,
    "max_iter": 20,
    "seed": 3,
}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**LINEAR, sides=(1.0, 0.2)))


def test_ext_tradeoff(run):
    at = run.table.set_index(["defence", "level"])
    assert at.loc[("only attack directions", NINE), "loss"] == 0
    assert at.loc[("only attack directions", NINE), "gain"] == pytest.approx(1, rel=1e-2)
    gone = at.loc[("without attack directions", NINE)]
    assert gone["accuracy"] < 0.3
    assert gone["gain"] > 100, "nothing to attack"
    assert gone["transferred"] == 0
    random = at.loc[("without random directions", NINE)]
    assert abs(random["loss"]) < 0.1
    assert random["gain"] < 1.2
    same = at.loc[("down-sampling", 1.0)]
    assert (same["loss"], same["gain"]) == (0, pytest.approx(1, rel=1e-3))
    assert (run.table["loss_low"] <= run.table["loss"]).all()
    assert set(run.table.loc[run.table["is_null"], "defence"]) == {
        "without random directions",
        "only random directions",
    }


def test_every_suppression_that_gains_counts_and_training_is_none():
    rows = [  # defence, level, loss, gain with a narrow interval
        ("without curvature directions", 0.1, 0.30, 3.0),
        ("without curvature directions", 0.02, 0.10, 1.5),
        ("only principal components", 0.1, 0.00, 1.05),
        ("without random directions", 0.1, -0.02, 0.9),
        ("adversarial training", 1.0, 0.04, 5.4),
    ]
    table = pd.DataFrame(rows, columns=["defence", "level", "loss", "gain"]).assign(model="net", status="run", n=500)
    table = table.assign(loss_low=table["loss"] - 0.01, loss_high=table["loss"] + 0.01, gain_low=table["gain"] - 0.01)
    found = list(item.claims(Run.of(table)))
    assert {(one.name, one.network.split(" at ")[0]): one.found.value for one in found} == {
        ("gain_costs_accuracy", "net, without curvature directions"): 0.10,
        ("gain_costs_accuracy", "net, only principal components"): 0.00,
        ("trained_robustness_costs_accuracy", "net, adversarial training"): 0.04,
    }


def test_claims_take_defences_that_gain(run):
    evidence = evidence_table(list(item.claims(run)))
    most = evidence[evidence["claim"] == "attack_directions_cost_most"]
    at = run.table.set_index(["defence", "level"])["accuracy"]
    expected = at["without random directions", NINE] - at["without attack directions", NINE]
    assert most["estimate"].iloc[0] == pytest.approx(expected)
    gains = evidence[evidence["claim"] == "gain_costs_accuracy"]
    assert gains["network"].str.contains("without attack directions").any()
    assert not gains["network"].str.contains("only attack directions").any(), "no gain, nothing to judge"


def test_an_adversarially_trained_twin_is_a_defence_of_its_own():
    table = item.run(
        models=("linear_digits",), robust={"linear_digits": "mlp_digits"}, shares=(0.01,), sides=(), n_fit=20, n_eval=40,
        n_attack=5, max_iter=10,
    )  # fmt: skip
    twin = table[table["defence"] == "adversarial training"]
    assert len(twin) == 1
    assert twin["gain"].item() > 0


def test_every_defence_is_its_own_network_with_and_without_a_store(run, tmp_path):
    with keeping(tmp_path):
        item.run(**LINEAR | {"shares": (0.1,)}, sides=(0.5,))
    with keeping(tmp_path) as memo:
        kept = Run.of(item.run(**LINEAR, sides=(1.0, 0.2)))
        assert memo.reused
    assert kept.table.equals(run.table)
    gain = kept.table.set_index(["defence", "level"])["gain"]
    for what in ("attack directions", "principal components", "random directions"):
        assert gain[f"without {what}", NINE] != gain[f"only {what}", NINE]
    assert gain["down-sampling", 1.0] != gain["down-sampling", 0.2]


TRUE = [  # network, images, fitted on, attacked; gain with only a tenth of all principal components: value, low, high
    ("lenet_digits", "digits", 100, 12, (1.054, 1.035, 1.086)),
    ("lenet_mnist", "mnist", 2000, 30, (1.08, 1.03, 1.23)),
]


@pytest.mark.parametrize(("network", "name", "n_fit", "n_attack", "true"), TRUE, ids=[case[0] for case in TRUE])
def test_gains_of_a_projected_lenet(network, name, n_fit, n_attack, true, tmp_path):
    try:
        images = data.load(name, n=500).to("cpu")[:n_attack]
    except FileNotFoundError:
        pytest.skip(f"{name} is not here")
    fit, net = data.load(name, split="train", n=n_fit).x, models.load(network)
    mean = fit.mean(0)
    span = singular_basis((fit - mean).flatten(1))[0][:, :78]
    plain = Undefended(images, right(net, images), images, deepfool(net, images, max_iter=30))
    defences = {
        "only": Projected(net, span, mean),
        "without": Projected(net, span, mean, remove=True),
        "another span": Projected(net, span[:, :77], mean),
        "another mean": Projected(net, span, torch.zeros_like(mean)),
    }

    def gains():
        return {name: plain.against(module, 30)[0] for name, module in defences.items()}

    alone = gains()
    only = alone["only"]
    assert (only["gain"], only["gain_low"], only["gain_high"]) == pytest.approx(true, abs=6e-3)
    assert len({row["gain"] for row in alone.values()}) == len(defences), "four networks, four gains"
    for reused in (0, 3 * len(defences)):  # labels, DeepFool and flags of each
        with keeping(tmp_path) as memo:
            assert gains() == alone
            assert (memo.reused, memo.computed) == (reused, 3 * len(defences) - reused)


def test_the_figure_leaves_out_what_nobody_can_fool_and_tells_filled_from_open():
    rows = [
        ("none", 1.0),
        ("without attack directions", math.inf),
        ("without attack directions", 3.0),
        ("down-sampling", 1.2),
        ("only attack directions", 1.0),
    ]
    columns = {"model": "net", "status": "run", "loss": 0.1, "loss_low": 0.0, "loss_high": 0.2}
    table = pd.DataFrame(rows, columns=["defence", "gain"]).assign(**columns)
    table = table.assign(gain_low=table["gain"] * 0.9, gain_high=table["gain"] * 1.1)
    figure = item.figure(Run.of(table))
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert labels == {"without attack directions", "down-sampling", "only attack directions"}
    points = {c.get_label(): c.lines[0] for c in figure.axes[0].containers}
    assert list(points["without attack directions"].get_xdata()) == [3.0]
    assert points["only attack directions"].get_markerfacecolor() == "white"
    plt.close("all")
