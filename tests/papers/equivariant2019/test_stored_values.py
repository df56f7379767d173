"""Stored numbers that the verdicts on paper E stand on: a rerun that leaves these bounds needs a reason."""

import pytest

from uapkit import runner

SMALL = 0.5  # norm of the attack, in units of the images' mean norm
SGD, ADAMW = "stdcnn_mnist_rot_sgd", "stdcnn_mnist_rot"
SEEDS = 3
NULL = "random direction in the data's subspace"


def rows(item, **where):
    """The stored rows with these values; at least one."""
    table = runner.stored_run(f"equivariant2019/{item}").where(**where)
    assert len(table), f"{item}: no row has {where}"
    return table


@pytest.mark.parametrize(("network", "low", "high"), [(SGD, 0.18, 0.21), (ADAMW, 0.063, 0.077)])
def test_the_share_of_five_directions_depends_on_the_training(network, low, high):
    found = rows("fig1_energy", network=network, kind="trained", attack="gradient")
    assert len(found) == SEEDS
    assert found["top_share"].between(low, high).all()
    assert (found["n_rows"] == 10_000).all(), "a smaller sample has a larger share"


@pytest.mark.parametrize(("network", "low", "high"), [(SGD, 0.82, 0.855), (ADAMW, 0.49, 0.71)])
def test_the_error_at_half_the_mean_norm_depends_on_the_training(network, low, high):
    found = rows("fig5_fooling", network=network, attack="gradient", fit="other half", relative_norm=SMALL)
    assert len(found) == SEEDS
    assert found["error_rate"].between(low, high).all()


@pytest.mark.parametrize(("network", "low", "high"), [(SGD, 0.92, 0.93), (ADAMW, 0.96, 0.97)])
def test_networks_of_both_trainings_read_turned_digits(network, low, high):
    found = rows("sec_accuracy", network=network, kind="clean", rotation=180)
    assert len(found) == SEEDS
    assert found["accuracy"].between(low, high).all()


@pytest.mark.parametrize(("attack", "rate"), [("gradient", 0.136), ("fgsm", 0.026)])
def test_roteqnet_is_fooled_less_than_along_random_directions_among_the_images(attack, rate):
    about = {"model": "roteqnet_mnist_rot", "relative_norm": SMALL}
    found = rows("ext_roteqnet_fooling", **about, attack=attack, kind="singular vector", fit="other half")
    assert found["fooling_rate"].item() == pytest.approx(rate, abs=0.02)
    null = rows("ext_roteqnet_fooling", **about, kind=NULL).groupby("energy")["fooling_rate"]
    assert null.size().min() >= 50
    assert found["fooling_rate"].item() < null.mean().max(), "the mean draw of the strongest subspace fools more"
    assert found["fooling_rate"].item() < null.max().min(), "and the worst draw of every one"
