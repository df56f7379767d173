"""Figure 2 of [moosavi2017], a schematic computed instead of drawn by hand: how Algorithm 1 adds up minimal steps."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.attacks.deepfool import Settings, walk
from uapkit.checks import count, radius
from uapkit.figures.style import look_of_place, style
from uapkit.lab import Run
from uapkit.models import Model
from uapkit.norms import project
from uapkit.papers.moosavi2017.toy import toy
from uapkit.seeds import generator

SIDE = 121  # of the grid that regions are drawn on


def run(
    *,
    n_points: int = 3,
    eps: float = 0.45,
    max_passes: int = 3,
    n_train: int = 400,
    epochs: int = 20,
    seed: int = 7,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 2 of [moosavi2017], a schematic: how Algorithm 1 adds up minimal steps, in the plane.

    A network of three classes is trained on ``n_train`` points of the unit square, and Algorithm 1 (2-norm, radius
    ``eps``) runs on ``n_points`` others, one of each class in turn. One row a visit: number, pass, point, fooled (by v,
    before the step), r_x, r_y (the step), v_x, v_y (v after it), norm. In ``attrs["arrays"]``: points (n, 2), regions
    (n, 121, 121), the label at point + offset for offsets in the square [-1.5 eps, 1.5 eps]^2, first axis y, and
    plane (121, 121), the labels of the unit square.
    """
    radius(eps)
    count(n_points, "n_points")
    count(max_passes, "max_passes")
    count(n_train, "n_train", 3)
    settings: dict[str, Any] = {
        "eps": eps,
        "max_passes": max_passes,
        "n_train": n_train,
        "epochs": epochs,
        "seed": seed,
    }

    def drawn(model: str) -> tuple[list[dict], dict]:
        return lab.keep(visits, n_points, **settings, device=device)

    return lab.sweep([{"model": "toy network"}], drawn, desc="visits")


def visits(
    n_points: int, *, eps: float, max_passes: int, n_train: int, epochs: int, seed: int, device: str
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows and arrays of :func:`run`."""
    x, classes = plane_points(n_train + 200, seed)
    net = toy(2, classes[:n_train], x[:n_train], epochs, seed).to(device)
    spare = x[n_train:]
    spare = spare[(spare - 0.5).abs().amax(1) < 0.3]  # not so near the edge that a step leaves the square
    given = labels(net, spare.view(-1, 2, 1, 1))
    there, wanted = ([int((given == k).sum()) for k in range(3)], [len(range(k, n_points, 3)) for k in range(3)])
    if any(a < b for a, b in zip(there, wanted, strict=True)):
        raise ValueError(
            f"n_points={n_points} takes {wanted} points of the three classes, and the network trained with n_train={n_train}, "
            f"epochs={epochs} gives them {there} of its spare ones; raise n_train or epochs, or lower n_points"
        )
    points = torch.stack([spare[given == k % 3][k // 3] for k in range(n_points)]).view(-1, 2, 1, 1).to(device)
    clean = labels(net, points)
    v, settings = torch.zeros(2, 1, 1, device=device), Settings(num_classes=3, max_iter=10)
    rows: list[dict] = []
    for number in range(1, max_passes + 1):
        order = torch.randperm(n_points, generator=generator(seed, f"uap/pass{number}/batch0"))
        for i in order.tolist():
            step = walk(net, points[i : i + 1] + v, settings, away=clean[i : i + 1])
            fooled = int(step.n_iter) == 0
            r = step.r[0] * step.success
            v = v if fooled else project(v + r, 2, eps)
            places = dict(
                zip(("r_x", "r_y", "v_x", "v_y"), [*r.flatten().tolist(), *v.flatten().tolist()], strict=True)
            )
            visit = {"number": len(rows) + 1, "pass": number, "point": i, "fooled": fooled}
            rows.append({**visit, **places, "norm": float(v.norm()), "n": n_points})
        if bool((labels(net, points + v) != clean).all()):
            break
    offsets = grid(-1.5 * eps, 1.5 * eps).to(device)
    regions = torch.stack([labels(net, point + offsets).view(SIDE, SIDE) for point in points])
    arrays = {
        "points": points.flatten(1),
        "regions": regions.to(torch.int8),
        "plane": labels(net, grid(0, 1).to(device)).view(SIDE, SIDE).to(torch.int8),
    }
    return rows, {name: array.cpu().numpy() for name, array in arrays.items()}


def plane_points(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """(n, 2) points of the unit square and their classes, the three arms of a spiral."""
    x = torch.rand(n, 2, generator=generator(seed, "points of the plane"))
    centre = (x - 0.5) * 2
    angle = torch.atan2(centre[:, 1], centre[:, 0]) + 1.5 * centre.norm(dim=1)
    return x, ((angle + math.pi) / (2 * math.pi) * 3).long() % 3


@torch.no_grad()
def labels(net: Model, x: Tensor) -> Tensor:
    """(n,) classes of any points, outside the unit square too."""
    return net(x).argmax(1)


def grid(low: float, high: float) -> Tensor:
    """(121 * 121, 2, 1, 1) points of the square, row by row from low y to high y."""
    line = torch.linspace(low, high, SIDE)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1).view(-1, 2, 1, 1)


def figure(run: Run) -> Figure:
    """The plane with its points and where v takes them; and all points laid on one origin, with the path of v."""
    points, regions, eps = run.flags("points"), run.flags("regions").astype(int), run.provenance["params"]["eps"]
    steps = run.rows[~run.rows["fooled"].astype(bool)]
    path = np.vstack([[0, 0], steps[["v_x", "v_y"]].to_numpy()])
    colours = [look_of_place(i).colour for i in range(len(points))]
    pale = ListedColormap([0.25 * np.array(to_rgb(look_of_place(k).colour)) + 0.75 for k in range(3)])
    with style(grid=False):
        drawn, (left, right) = plt.subplots(1, 2, figsize=(7.6, 4.2), layout="constrained")
        left.imshow(run.flags("plane").astype(int), origin="lower", extent=(0, 1, 0, 1), cmap=pale, vmin=0, vmax=2)
        for i, (x, y) in enumerate(points):
            left.plot(x, y, look_of_place(i).marker, color=colours[i])
            end = x + path[-1][0], y + path[-1][1]
            left.annotate("", end, (x, y), arrowprops={"arrowstyle": "->", "color": colours[i]})
            left.annotate(f"$x_{i + 1}$", (x, y), textcoords="offset points", xytext=(6, -10))
        left.set(title="the plane, its classes, and $x_i + v$", xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        line = np.linspace(-1.5 * eps, 1.5 * eps, regions.shape[-1])
        for i, region in enumerate(regions):
            own = region[region.shape[0] // 2, region.shape[1] // 2]
            right.contour(line, line, region == own, [0.5], colors=[colours[i]], linewidths=1.5)
            right.plot([], [], color=colours[i], label=f"edge of the class of $x_{i + 1}$")
        for point, (start, stop) in zip(steps["point"].astype(int), pairwise(path), strict=True):
            right.annotate("", stop, start, arrowprops={"arrowstyle": "-|>", "color": colours[point], "linewidth": 2})
        right.add_patch(plt.Circle((0, 0), eps, fill=False, linestyle="--", color="black"))
        right.plot(0, 0, "k+")
        right.set(title="all points on one origin: the path of $v$", aspect="equal", xticks=[], yticks=[])
        drawn.legend(loc="outside lower center", ncols=min(3, len(points)), fontsize=9)
    return drawn
