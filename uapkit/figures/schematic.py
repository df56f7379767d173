"""Paper M's two drawings: what was computed in the plane and in space, drawn as it is."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from uapkit.figures.style import COLOURS, style

PALE = ("#CFE3F2", "#F7DCC8", "#CDEBE0")


def aggregation(table: pd.DataFrame, eps: float) -> Figure:
    """The plane with its points and where v takes them; and all points laid on one origin, with the path of v."""
    arrays = table.attrs["arrays"]
    points, regions = arrays["points"], arrays["regions"].astype(int)
    visits = table[(table["status"] == "run") & ~table["fooled"].astype(bool)]
    end = visits[["v_x", "v_y"]].to_numpy()[-1]
    with style(grid=False):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 4.4), layout="constrained")
        left.imshow(arrays["plane"].astype(int), origin="lower", extent=(0, 1, 0, 1), cmap=ListedColormap(PALE))
        for i, (x, y) in enumerate(points):
            left.plot(x, y, "o", color=COLOURS[i % 6])
            left.annotate(
                "", (x + end[0], y + end[1]), (x, y), arrowprops={"arrowstyle": "->", "color": COLOURS[i % 6]}
            )
            left.annotate(f"$x_{i + 1}$", (x, y), textcoords="offset points", xytext=(6, -10))
        left.set(title="the plane, its classes, and $x_i + v$", xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        line = np.linspace(-1.5 * eps, 1.5 * eps, regions.shape[-1])
        for i, region in enumerate(regions):
            own = region[region.shape[0] // 2, region.shape[1] // 2]
            right.contour(line, line, region == own, [0.5], colors=[COLOURS[i % 6]], linewidths=1.5)
            right.plot([], [], color=COLOURS[i % 6], label=f"edge of the class of $x_{i + 1}$")
        path = np.vstack([[0, 0], visits[["v_x", "v_y"]].to_numpy()])
        for k, (start, stop) in enumerate(pairwise(path)):
            colour = COLOURS[int(visits["point"].iloc[k]) % 6]
            right.annotate("", stop, start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2})
        right.add_patch(plt.Circle((0, 0), eps, fill=False, linestyle="--", color="black"))
        right.plot(0, 0, "k+")
        right.set(title="all points on one origin: the path of $v$", aspect="equal", xticks=[], yticks=[])
        figure.legend(loc="outside lower center", ncols=min(3, len(points)), fontsize=9)
    return figure


def subspace(table: pd.DataFrame) -> Figure:
    """Unit normals as arrows from one origin, and the plane of their first two singular vectors."""
    arrays = table.attrs["arrays"]
    normals, plane = arrays["normals"], arrays["plane"]
    with style(grid=False):
        figure = plt.figure(figsize=(5.6, 5.2), layout="constrained")
        ax = figure.add_subplot(projection="3d")
        side = np.array([-1.1, 1.1])
        a, b = np.meshgrid(side, side)
        sheet = a[..., None] * plane[0] + b[..., None] * plane[1]
        ax.plot_surface(sheet[..., 0], sheet[..., 1], sheet[..., 2], color=COLOURS[4], alpha=0.3)
        for normal in normals:
            ax.plot(*np.stack([np.zeros(3), normal]).T, color=COLOURS[0], linewidth=1)
        ax.plot(*normals.T, "o", color=COLOURS[0], markersize=3, label="unit normals at boundary points")
        ax.plot([], [], color=COLOURS[4], linewidth=6, alpha=0.4, label="plane of two singular vectors")
        ax.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), xticks=[], yticks=[], zticks=[])
        ax.view_init(elev=18, azim=35)
        figure.legend(loc="outside lower center", fontsize=9)
    return figure
