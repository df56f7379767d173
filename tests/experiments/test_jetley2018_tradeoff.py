"""Accuracy against robustness on a linear network: without its nine directions nothing is left to attack or to see."""

import pytest

from uapkit.experiments import jetley2018 as paper

NINE = 9 / 784


@pytest.fixture(scope="module")
def table():
    return paper.ext_tradeoff(
        models=("linear_digits",),
        shares=(NINE,),
        sides=(1.0, 0.2),
        n_fit=60,
        n_eval=80,
        n_attack=12,
        max_iter=20,
        seed=3,
    )


def test_ext_tradeoff(table):
    at = table.set_index(["defence", "level"])
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
    assert (table["loss_low"] <= table["loss"]).all()


def test_ext_tradeoff_evidence(table):
    evidence = paper.EVIDENCE["ext_tradeoff"](table)
    most = evidence[evidence["claim"] == "attack_directions_cost_most"]
    at = table.set_index(["defence", "level"])["accuracy"]
    expected = at["without random directions", NINE] - at["without attack directions", NINE]
    assert most["estimate"].iloc[0] == pytest.approx(expected)
    gains = evidence[evidence["claim"] == "gain_costs_accuracy"]
    assert gains["network"].str.contains("without attack directions").any()
    assert not gains["network"].str.contains("only attack directions").any(), "no gain, nothing to judge"


def test_an_adversarially_trained_twin_is_a_defence_of_its_own():
    table = paper.ext_tradeoff(
        models=("linear_digits",), robust={"linear_digits": "mlp_digits"}, shares=(0.01,), sides=(), n_fit=20, n_eval=40,
        n_attack=5, max_iter=10,
    )  # fmt: skip
    twin = table[table["defence"] == "adversarial training"]
    assert len(twin) == 1
    assert twin["gain"].item() > 0
