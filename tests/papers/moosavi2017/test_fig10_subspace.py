"""Figure 10 is computed: the normals lie where the classes say."""

import torch

from uapkit.lab import Run
from uapkit.papers.moosavi2017 import fig10_subspace as item


def test_fig10_subspace():
    table = item.run()
    second = table[table["place"] == 2].set_index("kind")["energy"]
    assert second["trained"] > second["untrained"] > second["random, on the sphere"]
    plane, truth = (torch.from_numpy(table.attrs["arrays"][name]) for name in ("plane", "truth"))
    angles = torch.linalg.svdvals(plane @ truth.T)
    assert float(angles.min()) > 0.95, "the plane is that of the directions that the classes depend on"
    assert set(Run.of(table).measured["kind"]) == {"trained"}


def test_figure_shows_every_normal():
    ax = item.figure(Run.of(item.run(n_points=10))).axes[0]
    assert sum(len(line.get_data_3d()[0]) == 2 for line in ax.lines) == 10
