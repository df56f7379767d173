"""Paper M's idea in a picture: Algorithm 1 walks from image to image over the boundaries that one vector has not yet crossed."""

from __future__ import annotations

import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from uapkit.figures.style import look_of_place, style
from uapkit.norms import project

# each image lies at the origin; its label changes beyond the line <normal, v> = distance
NORMALS = ((1.0, 0.15), (0.55, 1.0), (0.95, 0.75))
DISTANCES = (0.6, 0.8, 1.1)
OVERSHOOT = 1.02


def walk(norm: float, passes: int = 2) -> np.ndarray:
    """(steps + 1, 2) the vectors v of Algorithm 1 on three affine images, radius 1, in the order of the images."""
    normals = torch.tensor(NORMALS, dtype=torch.float64)
    normals = normals / normals.norm(dim=1, keepdim=True)
    v = torch.zeros(2, dtype=torch.float64)
    found = [v]
    for normal, distance in itertools.islice(
        itertools.cycle(zip(normals, DISTANCES, strict=True)), passes * len(NORMALS)
    ):
        gap = distance - float(normal @ v)
        if gap > 0:  # this image is not fooled yet
            v = project((v + OVERSHOOT * gap * normal).view(1, 1, 2), norm, 1.0).flatten()
            found.append(v)
    return torch.stack(found).numpy()


def figure() -> Figure:
    """Two panels: three images' boundaries, moved so that the images coincide, the ball, and the steps of the algorithm."""
    with style(grid=False):
        made, axes = plt.subplots(1, 2, figsize=(7.6, 4.0), layout="constrained")
        for ax, norm in zip(axes, (2.0, math.inf), strict=True):
            ball = Circle((0, 0), 1, fill=False) if norm == 2 else Rectangle((-1, -1), 2, 2, fill=False)
            ax.add_patch(ball)
            ball.set_linewidth(1.6)
            for k, (normal, distance) in enumerate(zip(NORMALS, DISTANCES, strict=True)):
                unit = np.array(normal) / math.hypot(*normal)
                along = np.array([-unit[1], unit[0]])
                ends = np.stack([distance * unit - 2.2 * along, distance * unit + 2.2 * along])
                shown = look_of_place(k)
                ax.plot(*ends.T, color=shown.colour, linewidth=1.6, label=f"boundary of image {k + 1}")
                ax.plot(*ends.mean(0), shown.marker, color=shown.colour, markersize=7)
            places = walk(norm)
            for here, there in itertools.pairwise(places):
                ax.annotate("", there, here, arrowprops={"arrowstyle": "->", "color": "black", "lw": 1.6})
            ax.plot(0, 0, "ko", markersize=5)
            ax.annotate("x1, x2, x3", (0, 0), xytext=(-58, -14), textcoords="offset points")
            ax.annotate("v", places[-1], xytext=(6, 6), textcoords="offset points", weight="bold")
            ax.set(xlim=(-1.2, 1.6), ylim=(-1.2, 1.6), aspect="equal", xlabel="pixel 1", ylabel="pixel 2")
            ax.set_title(f"norm {norm:g}: the ball is a {'disc' if norm == 2 else 'square'}")
        handles, labels = axes[0].get_legend_handles_labels()
        made.legend(handles, labels, loc="outside lower center", ncols=3)
    return made
