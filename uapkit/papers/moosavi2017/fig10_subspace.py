"""Figure 10 of [moosavi2017], a schematic computed instead of drawn by hand: normals that lie near a subspace, in space."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import attacks, lab, spectra
from uapkit.figures.style import look, style
from uapkit.lab import Run
from uapkit.papers.moosavi2017.toy import toy
from uapkit.seeds import child_seed, generator

SPHERE = "random, on the sphere"


def run(
    *,
    n_points: int = 60,
    n_train: int = 600,
    epochs: int = 30,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 10 of [moosavi2017], a schematic: normals that lie near a subspace, in space.

    A network of three classes is trained on ``n_train`` points of the unit cube whose classes depend on two directions
    only; the normals are the unit minimal perturbations (DeepFool) of ``n_points`` others. One row a (kind, place):
    singular_value and energy, the share of the sum of squares up to there. Kinds: "trained"; nulls "untrained", the
    same network before training, and "random, on the sphere". In ``attrs["arrays"]``: normals (n, 3), plane (2, 3), their
    first two singular vectors, and truth (2, 3), the directions that the classes depend on.
    """

    def drawn(model: str) -> tuple[list[dict], dict]:
        return lab.keep(normals, n_points, n_train=n_train, epochs=epochs, seed=seed, device=device)

    return lab.sweep([{"model": "toy network"}], drawn, desc="normals")


def normals(
    n_points: int, *, n_train: int, epochs: int, seed: int, device: str
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows and arrays of :func:`run`."""
    draws = generator(seed, "points of space")
    truth = torch.linalg.qr(torch.randn(3, 3, generator=draws))[0][:, :2].T
    x = torch.rand(n_train + n_points, 3, generator=draws)
    a, b = ((x - 0.5) @ truth.T).unbind(1)
    classes = ((torch.atan2(b, a) + math.pi) / (2 * math.pi) * 3).long() % 3
    points = x[n_train:].view(-1, 3, 1, 1).to(device)
    rows, arrays = [], {"truth": truth.numpy()}
    for kind, trained in (("trained", epochs), ("untrained", 0)):
        net = toy(3, classes[:n_train], x[:n_train], trained, seed).to(device)
        steps = attacks.deepfool(net, points, num_classes=3)
        normal = spectra.unit_rows(steps.r[steps.success].flatten(1).cpu())
        rows += spectrum(kind, normal)
        if kind == "trained":
            arrays |= {"normals": normal.numpy(), "plane": spectra.top_singular(normal, 2).vectors.numpy()}
    sphere = spectra.random_directions(len(normal), 3, child_seed(seed, "sphere"))
    return rows + spectrum(SPHERE, sphere), arrays


def spectrum(kind: str, rows: Tensor) -> list[dict]:
    """A row a place: singular value and energy of unit rows (n, 3)."""
    values = spectra.singular_values(rows)
    cells = zip(values.tolist(), spectra.energy(values).tolist(), strict=True)
    return [
        {"kind": kind, "place": place, "singular_value": value, "energy": energy, "n": len(rows)}
        for place, (value, energy) in enumerate(cells, 1)
    ]


def figure(run: Run) -> Figure:
    """Unit normals as arrows from one origin, and the plane of their first two singular vectors."""
    normals, plane, colour = run.flags("normals"), run.flags("plane"), look("normals").colour
    with style(grid=False):
        drawn = plt.figure(figsize=(5.6, 5.2), layout="constrained")
        ax = drawn.add_subplot(projection="3d")
        side = np.array([-1.1, 1.1])
        a, b = np.meshgrid(side, side)
        sheet = a[..., None] * plane[0] + b[..., None] * plane[1]
        ax.plot_surface(sheet[..., 0], sheet[..., 1], sheet[..., 2], color=colour, alpha=0.2)
        for normal in normals:
            ax.plot(*np.stack([np.zeros(3), normal]).T, color=colour, linewidth=1)
        ax.plot(*normals.T, "o", color=colour, markersize=3, label="unit normals at boundary points")
        ax.plot([], [], color=colour, linewidth=6, alpha=0.25, label="plane of two singular vectors")
        ax.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), xticks=[], yticks=[], zticks=[])
        ax.view_init(elev=18, azim=35)
        drawn.legend(loc="outside lower center", fontsize=9)
    return drawn
