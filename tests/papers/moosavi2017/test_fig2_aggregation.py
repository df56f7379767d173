"""Figure 2 is computed: its steps are the algorithm's own."""

import pytest
import torch

from uapkit import attacks, runner
from uapkit.lab import Run
from uapkit.papers.moosavi2017 import fig2_aggregation as item


@pytest.fixture(scope="module")
def visits():
    return runner.run("moosavi2017/fig2_aggregation")


def test_fig2_aggregation(visits):
    assert (visits["norm"] <= 0.45 + 1e-6).all()
    steps = visits[~visits["fooled"]]
    assert (steps[["r_x", "r_y"]].abs().sum(axis=1) > 0).all()
    regions, points = visits.attrs["arrays"]["regions"], visits.attrs["arrays"]["points"]
    assert regions.shape == (3, item.SIDE, item.SIDE)
    assert len({int(r[item.SIDE // 2, item.SIDE // 2]) for r in regions}) == 3, "one point of each class"
    assert ((points >= 0) & (points <= 1)).all()
    last = visits.groupby("point").tail(1)
    assert len(last) == 3


@pytest.mark.parametrize("eps", [0.45, 0.2])
def test_the_drawn_path_is_that_of_uap(monkeypatch, eps):
    """The same network, points, order and steps as attacks.uap: v after each pass is equal."""
    made = []
    real = item.toy
    monkeypatch.setattr(item, "toy", lambda *args: made.append(real(*args)) or made[-1])
    again = item.run(eps=eps)
    x = torch.from_numpy(again.attrs["arrays"]["points"]).view(-1, 2, 1, 1)
    seen = []
    attacks.uap(made[0], x, norm=2, eps=eps, target_rate=1, max_passes=3, num_classes=3, seed=7, callback=seen.append)
    for state in seen:
        row = again[again["pass"] == state.number].iloc[-1]
        assert state.v.flatten().tolist() == pytest.approx([row["v_x"], row["v_y"]], abs=1e-5)
    assert len(seen) == again["pass"].max()
    assert (again["norm"].max() > 0.99 * eps) == (eps == 0.2), (
        "the smaller ball is reached, so that the projection counts"
    )


def test_figure_shows_every_point(visits):
    figure = item.figure(Run.of(visits))
    assert len(figure.axes[0].texts) == 6, "a name and an arrow for each point"
    assert len(figure.axes[1].texts) == (~visits["fooled"]).sum(), "an arrow a step"


def test_a_radius_that_cannot_be_is_refused_before_a_network_is_trained(monkeypatch):
    monkeypatch.setattr(item, "toy", lambda *args: pytest.fail("a network was trained"))
    with pytest.raises(ValueError, match=r"eps must lie in \[0, 1e\+30\], got -0.1"):
        item.run(eps=-0.1)


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="n_train must be an integer of at least 3, got 1"):
        item.run(n_train=1)
    with pytest.raises(ValueError, match="max_passes must be an integer of at least 1, got 0"):
        item.run(max_passes=0)
    with pytest.raises(ValueError, match=r"n_train=3, epochs=20 gives them \[79, 0, 0\] .*; raise n_train or epochs"):
        item.run(n_train=3)
    with pytest.raises(ValueError, match=r"n_points=3000 takes \[1000, 1000, 1000\] points.*or lower n_points"):
        item.run(n_points=3000)
