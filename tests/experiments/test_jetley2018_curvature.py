"""Paper J's curves: measures with known answers, claims as inequalities on a small network, a network of the user's."""

import numpy as np
import pytest
import torch

from uapkit import models
from uapkit.experiments import jetley2018 as paper
from uapkit.experiments.jetley2018_along import best_centre, bootstrap, direction, even_share, shift_share, walk
from uapkit.experiments.jetley2018_shared import Curved
from uapkit.figures import curvature as plots_curvature
from uapkit.lab.sweep import for_network

SMALL = {
    "models": ("mlp_digits",),
    "targets": (3,),
    "n_train": 120,
    "n_fit": 10,
    "n_eval": 60,
    "k": 3,
    "max_products": 40,
}


@pytest.fixture(scope="module")
def scores():
    return paper.fig1_scores(**SMALL, n_positions=11)


def test_measures_of_curves_with_known_answers():
    s = np.linspace(-1, 1, 21)
    rng = np.random.default_rng(0)
    shifts = s**2 + rng.normal(size=(50, 1))
    assert shift_share(shifts) == pytest.approx(1)
    assert even_share(shifts, 10) == pytest.approx(1)
    assert even_share(np.tile(s, (3, 1)), 10) == pytest.approx(0)
    assert even_share(np.tile((s - 0.2) ** 2, (3, 1)), best_centre(np.tile((s - 0.2) ** 2, (3, 1)))) == pytest.approx(1)
    assert shift_share(rng.normal(size=(400, 21))) < 0.01, "unrelated curves have no common shape"
    low, high = bootstrap(lambda w: shift_share(shifts + 0.1 * s * rng.normal(size=(50, 1)), w), 50, 0, n_boot=50)
    assert 0.5 < low < high <= 1


def test_counts_repeat_images():
    rng = np.random.default_rng(1)
    curves = rng.normal(size=(6, 9)) + np.linspace(0, 3, 9)
    counts = np.array([2.0, 0, 1, 3, 0, 0])
    repeated = np.repeat(curves, counts.astype(int), 0)
    assert shift_share(curves, counts) == pytest.approx(shift_share(repeated))
    assert even_share(curves, 4, counts) == pytest.approx(even_share(repeated, 4))


def test_fig1_scores(scores):
    assert scores["kind"].tolist() == ["positive", "negative", "random"]
    rows = scores.set_index("kind")
    assert rows.loc["positive", "curvature"] > 0 > rows.loc["negative", "curvature"]
    assert ((scores["low"] <= scores["shift_share"]) & (scores["shift_share"] <= scores["high"])).all()
    arrays = scores.attrs["arrays"]
    at = "mlp_digits/3/positive"
    assert np.linalg.norm(arrays[f"v/{at}"]) == pytest.approx(1, abs=1e-5)
    net = models.load("mlp_digits")
    x, s = torch.from_numpy(arrays["x/mlp_digits"]), arrays["s/mlp_digits"]
    moved = net(x + float(s[2]) * torch.from_numpy(arrays[f"v/{at}"]))
    torch.testing.assert_close(torch.from_numpy(arrays[f"scores/{at}"][:, 2]), moved, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.from_numpy(arrays[f"curves/{at}"][:6, 2]), moved[:, 3], atol=1e-4, rtol=1e-4)
    evidence = paper.EVIDENCE["fig1_scores"](scores)
    assert set(evidence["claim"]) == {"curves_are_shifts", "symmetric_curves"}
    assert evidence["null_high"].notna().all()


def test_the_slider_holds_each_position_once(scores):
    page = plots_curvature.walk(scores, "mlp_digits", n_images=1, every=1)
    assert page.states == 3 * 11
    assert "predicted" in page.html


def test_fig2_positive():
    table = paper.fig2_positive(**SMALL, n_positions=5, n_grid=4)
    walks = table[table["kind"] != "grid"]
    assert len(walks) == 3 * 5
    middle = walks[walks["s"] == 0]
    assert (middle["moved_in"] == 0).all(), "nothing has moved at s = 0"
    assert (middle["stays"] == 1).all()
    assert (walks["target_score_30"] <= walks["target_score"]).all()
    assert (walks["n"] + walks["n_inside"] == 60).all()
    grid = table.attrs["arrays"]["grid/mlp_digits"]
    assert grid.shape == (13, 13)
    assert grid[6, 6] == 0
    evidence = paper.EVIDENCE["fig2_positive"](table)
    end = walks[(walks["kind"] == "positive") & (walks["rank"] == 1) & (walks["s"] == walks["s"].max())]
    assert evidence.loc[evidence["network"] == "mlp_digits (s > 0)", "estimate"].item() == pytest.approx(
        end["moved_in"].item()
    )


def test_fig_negative_flat():
    table = paper.fig_negative_flat(**SMALL, n_positions=5)
    assert set(table["kind"]) == {"negative", "flat", "random"}
    far = table[table["s"].abs() == table["s"].max()].groupby("kind")
    assert far["stays"].mean()["negative"] < far["stays"].mean()["random"], "the class is left along negative curvature"
    evidence = paper.EVIDENCE["fig_negative_flat"](table)
    assert set(evidence["claim"]) == {"negative_leaves", "flat_does_nothing"}
    leaves = evidence[evidence["claim"] == "negative_leaves"]
    assert (leaves["n"] == table["n_inside"].iloc[0]).all()


def test_ext_step():
    table = paper.ext_step(
        factors=(10.0,), betas=(5.0,), noises=(), n_fit=8, n_train=60, n_eval=30, max_products=20, k=2
    )
    rows = table.set_index("how")
    assert rows.loc["exact", "largest"] == 0
    assert rows.loc["finite step", "overlap"] == pytest.approx(1, abs=1e-4)
    assert rows.loc["softplus", "overlap"] > 10 * rows.loc["softplus", "chance"]
    evidence = paper.EVIDENCE["ext_step"](table).set_index("claim")
    assert evidence.loc["exact_hessian_vanishes", "estimate"] == 0


def test_directions_where_only_the_ends_are_known():
    study = Curved("digits", 12, 0, 10, 0, n_train=120, k=3)
    study.specs(["mlp_digits"])
    flat, value = direction(study, "mlp_digits", 3, "flat")
    ends = study.curvatures("mlp_digits", 3).vectors
    assert float((ends.T @ flat.flatten()).abs().max()) < 1e-5
    assert np.isnan(value)
    negative, value = direction(study, "mlp_digits", 3, "negative")
    assert torch.equal(negative.flatten(), ends[:, -1] / ends[:, -1].norm())
    logits = walk(study, "mlp_digits", study.part("test", "mlp_digits").x, flat, [0.0])
    assert logits.shape == (10, 1, 10)
    with pytest.raises(ValueError, match="kind of direction"):
        direction(study, "mlp_digits", 3, "upward")


def test_a_users_own_module_and_settings_by_network():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10))
    mine = models.wrap(net, input_size=(1, 28, 28), name="mine")
    small = SMALL | {
        "models": [mine],
        "n_fit": {"mine": 40},
        "data": {"mine": "digits"},
        "targets": (int(mine.predict(torch.zeros(1, 1, 28, 28))),),
    }
    table = paper.fig_negative_flat(**small, n_positions=5)
    assert set(table["model"]) == {"mine"}
    assert set(table["data"]) == {"digits"}
    assert for_network({"a": 1, "other": 2}, "b[tag]") == 2
    assert for_network({"b": None, "other": 2}, "b[tag]") is None
    with pytest.raises(ValueError, match="needs a value for 'b'"):
        for_network({"a": 1}, "b")


def test_figures_are_drawn_from_tables(scores):
    for draw in (plots_curvature.scores, plots_curvature.directions):
        assert draw(scores, "mlp_digits").axes
