"""Figure 2: nothing has moved at s = 0, claims at the ends of the walk, and the plane of two directions."""

import numpy as np
import pytest

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig2_positive as item

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
def run():
    return Run.of(item.run(**SMALL, n_positions=5, n_grid=4))


def test_fig2_positive(run):
    walks = run.table[run.table["kind"] != "grid"]
    assert len(walks) == 3 * 5
    middle = walks[walks["s"] == 0]
    assert (middle["moved_in"] == 0).all(), "nothing has moved at s = 0"
    assert (middle["stays"] == 1).all()
    assert (walks["target_score_30"] <= walks["target_score"]).all()
    assert (walks["n"] + walks["n_inside"] == 60).all()
    evidence = evidence_table(list(item.claims(run)))
    end = walks[(walks["kind"] == "positive") & (walks["rank"] == 1) & (walks["s"] == walks["s"].max())]
    found = evidence.loc[evidence["network"] == "mlp_digits (s > 0)", "estimate"].item()
    assert found == pytest.approx(end["moved_in"].item())


def test_the_plane_has_the_first_direction_on_its_first_axis(run):
    share = run.arrays["grid/mlp_digits"]
    assert share.shape == (13, 13)
    assert share[6, 6] == 0
    few = item.run(**SMALL | {"targets": (8, 3)}, n_positions=5, n_grid=4)
    assert few["kind"].tolist()[-1] == "grid", "the row of the plane comes last"
    assert not np.array_equal(few.attrs["arrays"]["grid/mlp_digits"], share), "the plane is that of the first target"
    assert item.plane(run).axes[0].get_xlabel() == "along the first"


def test_the_figure_tells_kinds_and_shares_apart(run):
    drawn = item.figure(run, "mlp_digits")
    assert len(drawn.axes) == 2 * 2, "two lines a class, a column for the positive and the random direction"
    labels = {text.get_text() for text in drawn.legends[0].get_texts()}
    assert labels == {"target class", "best other", "moved in", "softmax", "stay", "change label"}
