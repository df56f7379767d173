"""Fooling rate against the batch: what a linear network must give, each network's own images, and the claims."""

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import lab, models, runner
from uapkit.files import cache_folder
from uapkit.operators import JacobianOperator
from uapkit.papers.khrulkov2018 import fig_batch_size
from uapkit.singular import pq_singular

SMALL = {"models": ("mlp_digits",), "n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}
LINEAR = {**SMALL, "models": ("linear_digits",), "layer": "fc"}


def test_fig_batch_size():
    table = fig_batch_size.run(**SMALL | {"n_fit": 16}, layer="relu2", batch_sizes=(2, 16), n_draws=2)
    fixed, redrawn = (table[table["kind"] == k] for k in ("fixed batch", "redrawn each iteration"))
    assert len(fixed) == 4
    assert len(redrawn) == 2
    largest = fixed.loc[fixed["batch_size"] == 16, "singular_value"].iloc[0]
    assert largest > fixed.loc[fixed["batch_size"] == 2, "singular_value"].max(), (
        "values of stacked Jacobians grow with the number of images"
    )
    run = lab.Run.of(table)
    mean = np.mean([run.flags("fooled", "mlp_digits", 16, "fixed", k) for k in (0, 1)])
    change = run.flags("fooled", "mlp_digits", 16, "redrawn", 0).mean() - mean
    found = list(fig_batch_size.claims(run))
    assert [one.name for one in found] == ["redrawing_hardly_matters"] * 2, (
        "16 is the smallest batch of the other claim, and the largest here"
    )
    assert [one.found.value for one in found] == [pytest.approx(change)] * 2
    more = fig_batch_size.run(**SMALL | {"n_fit": 40}, layer="relu2", batch_sizes=(16, 32), n_draws=2)
    told = {one.network for one in fig_batch_size.claims(lab.Run.of(more)) if one.name == "redrawing_hardly_matters"}
    assert told == {"mlp_digits (b = 16)", "mlp_digits (b = 32)"}, "at both ends, where the largest alone would hide it"
    table.attrs["provenance"] = {"params": {"n_fit": 16}}
    told = {one.network for one in fig_batch_size.claims(lab.Run.of(table))}
    assert told == {"mlp_digits (b = 2)"}, "a batch of all 16 images is the same in every draw"
    labels = {line.get_label() for line in fig_batch_size.figure(run).axes[0].lines}
    assert {"fixed batch", "untrained copy"} <= labels


def test_the_redrawn_vector_of_a_batch_of_all_images_is_the_power_methods():
    """Where the batch is all images, drawing it anew changes their order only."""
    model, x = models.load("mlp_digits"), lab.Bench("digits", 6, 0, 1).split("mlp_digits").fit.x
    given = {"layer": "relu1", "batch_size": 6, "draw": 0, "p": 2.0, "q": 3.0, "max_iter": 4, "seed": 0}
    v = fig_batch_size.redrawn_vector(model, x, **given)
    start = fig_batch_size.child_seed(0, "start 0")
    known = pq_singular(JacobianOperator(model.until("relu1"), x), p=2.0, q=3.0, seed=start, max_iter=4).v
    assert torch.allclose(v.flatten(), known, atol=1e-5)


def test_a_linear_network_does_not_care_which_images():
    """Every image has the same Jacobian: with one start, all batches lead to one vector, redrawn or not."""
    table = fig_batch_size.run(**LINEAR, batch_sizes=(2, 8), n_draws=2, q=4.0)
    values = table[table["kind"] == "fixed batch"].groupby("batch_size")["singular_value"].mean()
    assert values[8] == pytest.approx(values[2] * 4 ** (1 / 4), rel=1e-4), (
        "four times the rows, 4^(1/q) times the value"
    )
    assert table.loc[table["kind"] == "fixed batch", "fooling_rate"].nunique() == 1


def test_batches_on_each_networks_own_images():
    own = {"data": {"default": "digits", "linear_digits": "digits"}, "n_fit": {"default": 16, "linear_digits": 8}}
    own |= {"n_eval": {"default": 40, "linear_digits": 30}, "layer": {"mlp_digits": "relu2", "linear_digits": "fc"}}
    table = fig_batch_size.run(
        **SMALL | own | {"models": ["mlp_digits", "linear_digits"]}, batch_sizes=(4, 16), n_draws=1
    )
    sizes = table[table["kind"] == "fixed batch"].groupby("model")["batch_size"].apply(list)
    assert sizes.to_dict() == {"mlp_digits": [4, 16], "linear_digits": [4]}, (
        "no batch is larger than its network's n_fit"
    )
    assert table[table["kind"] == "random signs"].groupby("model")["n"].first().to_dict() == {
        "mlp_digits": 40,
        "linear_digits": 30,
    }
    assert {name.split("/")[1] for name in table.attrs["arrays"]} == {"mlp_digits", "linear_digits"}
    with pytest.raises(ValueError, match='"default"'):
        fig_batch_size.run(**LINEAR | {"data": {"other_net": "digits"}})


def test_too_large_batches_are_refused():
    with pytest.raises(ValueError, match="batch_sizes must hold a size in \\[1, 8\\]"):
        fig_batch_size.run(**LINEAR, batch_sizes=(9,))


def test_a_change_for_one_network(tmp_path, monkeypatch):
    """It gives what a run from nothing gives, and computes the other network no more."""
    both = ["lenet_digits", "mlp_digits"]
    trained = cache_folder("models")
    for network in both:
        models.load(network)

    def table(cache, n_eval):
        monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / cache))
        (tmp_path / cache).mkdir(exist_ok=True)
        if not (link := tmp_path / cache / "models").exists():
            link.symlink_to(trained, target_is_directory=True)
        small = {"n_select": 20, "n_fit": 16, "batch_sizes": [4], "max_iter": 2}
        return runner.run(
            "khrulkov2018/fig_batch_size", models=both, **small, n_eval={"default": 30, "mlp_digits": n_eval}
        )

    before, after, anew = table("one", 30), table("one", 40), table("two", 40)
    pd.testing.assert_frame_equal(after, anew)
    assert not after.equals(before), "the change must show"
    own, still = (t[t["model"] == "lenet_digits"] for t in (before, after))
    pd.testing.assert_frame_equal(own, still)
    assert after.attrs["provenance"]["kept"]["reused"] > anew.attrs["provenance"]["kept"]["reused"]
    assert after.attrs["provenance"]["kept"]["computed"] < anew.attrs["provenance"]["kept"]["computed"]
