"""Figure 2: nothing has moved at s = 0, claims at the ends of the walk, and the plane of two directions."""

import numpy as np
import pytest
import torch

from uapkit import models
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig2_positive as item
from uapkit.papers.jetley2018 import subspaces

SMALL = {
    "models": ("mlp_digits",),
    "targets": (3,),
    "n_train": 120,
    "n_fit": 20,
    "n_eval": 60,
}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**SMALL, n_positions=5, n_grid=4))


def test_fig2_positive(run, every_row_decides):
    walks = run.table[run.table["kind"] != "grid"]
    assert len(walks) == 3 * 5
    middle = walks[walks["s"] == 0]
    assert (middle["moved_in"] == 0).all(), "nothing has moved at s = 0"
    assert (middle["stays"] == 1).all()
    assert (walks["target_score_30"] <= walks["target_score"]).all()
    assert (walks["n"] + walks["n_inside"] == 60).all()
    evidence = evidence_table(list(item.claims(run)))
    way = walks[(walks["kind"] == "positive") & (walks["rank"] == 1) & (walks["s"] > 0)]["moved_in"]
    found = evidence[evidence["network"] == "mlp_digits (s > 0)"].set_index("claim")["estimate"]
    assert found["target_overtakes"] == pytest.approx(way.max())
    assert found["positive_beyond_random"] == pytest.approx(way.mean())
    assert walks["overlap_halves"].between(0, 1).all()


def test_scores_in_the_plane_are_those_of_the_moved_images_and_sums_are_told_from_products(run, every_row_decides):
    net, x = models.load("mlp_digits"), torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    v = torch.eye(784)[:2].view(2, 1, 28, 28)
    s = np.array([-2.0, 0.0, 1.0])
    plane = item.scores_in_plane(net, x, 3, *v, s)
    torch.testing.assert_close(plane[:, 0, 2], net(x - 2 * v[0] + v[1])[:, 3], atol=1e-5, rtol=1e-5)
    a = torch.linspace(-1, 1, 5)
    planes = torch.stack([a[:, None] ** 2 + a, a[:, None] * a, a[:, None] + a + a[:, None] * a])
    assert item.additive_share(planes).tolist() == pytest.approx([1, 0, 0.8])
    row = run.where(kind="grid").iloc[0]
    assert 0 < row["additive_low"] <= row["additive"] <= row["additive_high"] <= 1.05
    evidence = evidence_table(list(item.claims(run))).set_index("claim").loc["directions_add_up"]
    assert (evidence["estimate"], evidence["null"]) == (row["additive"], row["additive_random"])


def test_the_plane_has_the_first_direction_on_its_first_axis(run):
    share = run.arrays["grid/mlp_digits/3"]
    assert share.shape == (13, 13)
    assert share[6, 6] == 0
    few = item.run(**SMALL | {"targets": (8, 3)}, n_positions=5, n_grid=4)
    assert few["kind"].tolist()[-2:] == ["grid", "grid"], "the rows of the planes come last"
    assert few["target"].tolist()[-2:] == [8, 3], "each class has its own plane"
    arrays = few.attrs["arrays"]
    assert np.array_equal(arrays["grid/mlp_digits/3"], share)
    assert not np.array_equal(arrays["grid/mlp_digits/8"], share)
    drawn = item.plane(Run.of(few)).axes
    assert drawn[0].get_xlabel() == "along the first"
    assert [ax.get_title().rpartition(" ")[2] for ax in drawn if ax.get_title()] == ["8", "3"]


def test_only_planes_that_other_images_confirm_are_shown_and_judged(run, monkeypatch):
    monkeypatch.setattr(subspaces, "LEAST_OVERLAP", 1.1)
    assert not len(subspaces.vouched_for(run).where(kind="grid"))
    assert "directions_add_up" not in {one.name for one in item.claims(run)}


def test_the_figure_tells_kinds_and_shares_apart(run):
    drawn = item.figure(run, "mlp_digits")
    assert len(drawn.axes) == 2 * 2, "two lines a class, a column for the positive and the random direction"
    labels = {text.get_text() for text in drawn.legends[0].get_texts()}
    assert labels == {"target class", "best other", "moved in", "softmax", "stay", "change label"}
