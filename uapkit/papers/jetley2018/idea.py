"""Paper J's idea in a picture: a piecewise linear score has no exact curvature, but a direction in which it bends."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from uapkit.curvature import MeanHessian, whole_basis
from uapkit.figures.style import look, style

BENT, FLAT = (0.88, 0.475), (-0.475, 0.88)  # the score bends along the first and is straight along the second
KINKS = (0.25, 0.55, 0.85)
STEP = 0.6
POINTS = ((-0.1, 0.5), (0.05, -0.1), (0.1, -0.75))


class Bowl(nn.Module):
    """Two classes over two pixels: ReLUs on both sides of a line make the first score grow away from it."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 2)."""
        x = x.flatten(1)
        along, across = (x @ torch.tensor(v, dtype=x.dtype) for v in (BENT, FLAT))
        hinges = sum((torch.relu(along - k) + torch.relu(-along - k) for k in KINKS), torch.zeros_like(along))
        return torch.stack([hinges + 0.35 * across, torch.full_like(along, 0.9)], 1)


def bend() -> np.ndarray:
    """(2, 2) the principal directions at the finite step, most positive first, as columns."""
    points = torch.tensor(POINTS, dtype=torch.float64).view(-1, 1, 1, 2)
    op = MeanHessian(Bowl().eval(), points, torch.ones(len(points), dtype=torch.long), 0, step=STEP, chunk=None)
    return whole_basis(op)[1].numpy()


def figure() -> Figure:
    """Left the plane of two pixels with the class, the boundary and the directions; right the score along one of them."""
    grid = np.linspace(-1.3, 1.3, 161)
    x, y = np.meshgrid(grid, grid)
    plane = torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1)).view(-1, 1, 1, 2)
    score = (lambda f: (f[:, 0] - f[:, 1]).view(161, 161).numpy())(Bowl()(plane))
    found = bend()
    shade, bent, flat = (look(meaning).colour for meaning in ("none", "positive", "flat"))
    with style(grid=False):
        made, (left, right) = plt.subplots(1, 2, figsize=(7.6, 4.2), layout="constrained")
        left.contourf(x, y, score, levels=[0, 10], colors=[shade], alpha=0.15)
        left.contour(x, y, score, levels=9, colors=shade, linewidths=0.5)
        left.contour(x, y, score, levels=[0], colors=shade, linewidths=1.8)
        for v, colour, name in zip(found.T, (bent, flat), ("bends", "flat"), strict=True):
            left.annotate("", 0.9 * v, -0.9 * v, arrowprops={"arrowstyle": "<->", "color": colour, "lw": 2})
            left.annotate(name, 0.92 * v, xytext=(4, 6), textcoords="offset points", color=colour, weight="bold")
        s = np.linspace(-1.2, 1.2, 241)
        for k, point in enumerate(POINTS):
            left.plot(*point, "o", color=shade, markersize=5)
            for v, colour in ((found[:, 0], bent), (found[:, 1], flat)):
                walk = torch.from_numpy(np.array(point) + s[:, None] * v).view(-1, 1, 1, 2)
                values = Bowl()(walk)[:, 0].numpy()
                label = ("along the bent direction", "along the flat direction")[colour == flat]
                right.plot(s, values, color=colour, linewidth=1.6, label=label if not k else None)
        for sign in (-1, 1):
            right.axvline(sign * STEP, color=shade, linestyle=":", label="finite step" if sign > 0 else None)
        left.set(title="shaded: the class", xlabel="pixel 1", ylabel="pixel 2", aspect="equal")
        right.set(title="its score on the way, three images", xlabel="s", ylabel="class score")
        right.legend(fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return made
