"""Paper M's drawings are computed: the steps are the algorithm's own, the normals lie where the classes say."""

import pytest
import torch

from uapkit import attacks
from uapkit.experiments import moosavi2017 as paper
from uapkit.experiments import moosavi2017_schematic as module
from uapkit.figures import schematic as plots_schematic


@pytest.fixture(scope="module")
def visits():
    return paper.fig2_aggregation()


def test_fig2_aggregation(visits):
    assert (visits["norm"] <= 0.45 + 1e-6).all()
    steps = visits[~visits["fooled"]]
    assert (steps[["r_x", "r_y"]].abs().sum(axis=1) > 0).all()
    regions, points = visits.attrs["arrays"]["regions"], visits.attrs["arrays"]["points"]
    assert regions.shape == (3, module.SIDE, module.SIDE)
    assert len({int(r[module.SIDE // 2, module.SIDE // 2]) for r in regions}) == 3, "one point of each class"
    assert ((points >= 0) & (points <= 1)).all()
    last = visits.groupby("point").tail(1)
    assert len(last) == 3


def test_the_drawn_path_is_that_of_uap(visits, monkeypatch):
    """The same network, points, order and steps as attacks.uap: v after each pass is equal."""
    made = []
    real = module.toy
    monkeypatch.setattr(module, "toy", lambda *args: made.append(real(*args)) or made[-1])
    again = paper.fig2_aggregation()
    x = torch.from_numpy(again.attrs["arrays"]["points"]).view(-1, 2, 1, 1)
    seen = []
    attacks.uap(made[0], x, norm=2, eps=0.45, target_rate=1, max_passes=3, num_classes=3, seed=7, callback=seen.append)
    for state in seen:
        row = again[again["pass"] == state.number].iloc[-1]
        assert state.v.flatten().tolist() == pytest.approx([row["v_x"], row["v_y"]], abs=1e-5)
    assert len(seen) == again["pass"].max()


def test_fig10_subspace():
    table = paper.fig10_subspace()
    second = table[table["place"] == 2].set_index("kind")["energy"]
    assert second["trained"] > second["untrained"] > second["random, on the sphere"]
    plane, truth = (torch.from_numpy(table.attrs["arrays"][name]) for name in ("plane", "truth"))
    angles = torch.linalg.svdvals(plane @ truth.T)
    assert float(angles.min()) > 0.95, "the plane is that of the directions that the classes depend on"


def test_figures_show_every_point(visits):
    figure = plots_schematic.aggregation(visits, 0.45)
    assert len(figure.axes[0].texts) == 6, "a name and an arrow for each point"
    normals = plots_schematic.subspace(paper.fig10_subspace(n_points=10)).axes[0]
    assert sum(len(line.get_data_3d()[0]) == 2 for line in normals.lines) == 10
