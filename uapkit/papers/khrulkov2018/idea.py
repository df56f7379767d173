"""Paper K's idea in a picture: the power method walks over a unit ball towards the vector that a matrix stretches most."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from uapkit.figures.style import look, style
from uapkit.operators import DenseOperator
from uapkit.singular import pq_singular

STACKED = ((0.95, 0.35), (0.3, 0.5), (0.35, 0.75), (0.25, -0.1))  # two images' Jacobians, two rows each
SETTINGS = ((2.0, 3.0, "p = 2, q = 3: the ball is a disc"), (float("inf"), 10.0, "p = ∞, q = 10: the ball is a square"))

START = (0.9, -1.0)


def walk(p: float, q: float, start: tuple[float, float], steps: int) -> np.ndarray:
    """(steps + 1, 2) the iterates of the power method from ``start``."""
    operator, v0 = DenseOperator(torch.tensor(STACKED, dtype=torch.float64)), torch.tensor(start, dtype=torch.float64)
    v0 = v0 / torch.linalg.vector_norm(v0, p)
    found = [pq_singular(operator, p=p, q=q, v0=v0, max_iter=k).v.numpy() for k in range(1, steps + 1)]
    return np.stack([v0.numpy(), *found])


def figure() -> Figure:
    """Two panels: the unit ball in the plane of two pixels, lines of equal change of the layer, and the iterates."""
    grid = np.linspace(-1.35, 1.35, 181)
    x, y = np.meshgrid(grid, grid)
    with style(grid=False):
        made, axes = plt.subplots(1, 2, figsize=(7.6, 3.8), layout="constrained")
        for ax, (p, q, title) in zip(axes, SETTINGS, strict=True):
            rows = np.tensordot(np.array(STACKED), np.stack([x, y]), axes=1)
            change = (np.abs(rows) ** q).sum(0) ** (1 / q)
            ax.contour(x, y, change, levels=8, colors="0.6", linewidths=0.8)
            ball = np.abs(np.stack([x, y])).max(0) if np.isinf(p) else (np.abs(x) ** p + np.abs(y) ** p) ** (1 / p)
            ax.contour(x, y, ball, levels=[1.0], colors="black", linewidths=1.6)
            colour = look("singular vector").colour
            places = walk(p, q, START, 8)
            for k, (here, there) in enumerate(itertools.pairwise(places)):
                if np.abs(there - here).max() > 0.02:
                    ax.annotate("", there, here, arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.6})
                if np.abs(there - here).max() > 0.15:
                    ax.annotate(f"v{k}", here, xytext=(5, -13), textcoords="offset points")
            ax.plot(*places[0], "o", color=colour)
            ax.plot(*places[-1], "s", color=colour)
            ax.annotate("v", places[-1], xytext=(7, 5), textcoords="offset points", weight="bold")
            ax.set(title=title, xlabel="pixel 1", ylabel="pixel 2", aspect="equal")
    return made
