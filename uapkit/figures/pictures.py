"""Perturbations and images as pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit.figures.style import broken, short, style


def as_picture(v: np.ndarray, *, stretch: bool) -> np.ndarray:
    """A perturbation (c, h, w) as an image (h, w, 3): around mid grey, at true scale or stretched to the full range."""
    size = float(np.abs(v).max()) or 1.0
    picture = 0.5 + (v / (2 * size) if stretch else v)
    return np.repeat(picture, 3 // len(picture), axis=0).transpose(1, 2, 0).clip(0, 1)


def gallery(arrays: Mapping[str, np.ndarray], *, stretch: bool = True, columns: int | None = None) -> Figure:
    """Perturbations ``v/<model>/<layer>`` as pictures over the whole width, ``columns`` (at most 5) to a line.

    Each network begins a line, unless every one of them has one picture only.
    """
    networks: dict[str, list[tuple[str, str, np.ndarray]]] = {}
    for key, v in arrays.items():
        if key.startswith("v/"):
            model, layer = key.removeprefix("v/").split("/", 1)
            networks.setdefault(model, []).append((model, layer, v))
    groups = list(networks.values())
    if all(len(group) == 1 for group in groups):
        groups, columns = [[one for group in groups for one in group]], columns or min(4, len(groups))
    columns = columns or min(5, max(map(len, groups), default=1)) or 1
    lines = [group[i : i + columns] for group in groups for i in range(0, len(group), columns)]
    size = 7.4 / max(3, columns)
    with style(grid=False):
        shape = (size * columns, (size + 0.45) * len(lines))
        figure, axes = plt.subplots(max(1, len(lines)), columns, figsize=shape, squeeze=False, layout="constrained")
        for ax in axes.flat:
            ax.axis("off")
        for line, pictures in zip(axes, lines, strict=False):
            said = ""
            for ax, (model, layer, v) in zip(line, pictures, strict=False):
                ax.imshow(as_picture(v, stretch=stretch), interpolation="nearest")
                ax.set_title(
                    f"{'' if model == said else broken(short(model))}\n{broken(layer)}", fontsize=8, loc="left"
                )
                said = model
    return figure


def examples(images: np.ndarray, v: np.ndarray, rows: pd.DataFrame, title: str = "") -> Figure:
    """Pictures (n, c, h, w) before and after ``v``, clipped for display, with predicted labels and confidences.

    Six to a line. title: whose ``v`` it is, for pages that show several.
    """
    across = min(6, max(1, len(rows)))
    down, side = -(-len(rows) // across), 7.4 / max(3, across)
    with style(grid=False):
        size = (side * across, 2 * down * (side + 0.5))
        figure, axes = plt.subplots(2 * down, across, figsize=size, squeeze=False, layout="constrained")
        figure.suptitle(title, fontsize=11)
        for ax in axes.flat:
            ax.axis("off")
        for k, row in enumerate(rows.to_dict("records")):
            for after, shift, name, share in (
                (0, 0, "label", "confidence"),
                (1, v, "perturbed_label", "perturbed_confidence"),
            ):
                ax, shown = axes[2 * (k // across) + after, k % across], (images[k] + shift).clip(0, 1)
                ax.imshow(np.repeat(shown, 3 // len(shown), axis=0).transpose(1, 2, 0), interpolation="nearest")
                words = textwrap.fill(str(row[name]), int(15 * side), max_lines=2, placeholder=" …")
                ax.set_title(f"{words}\n{row[share]:.0%}", fontsize=8)
                if k % across == 0:
                    when = ("before", "after")[after]
                    ax.text(-0.04, 0.5, when, transform=ax.transAxes, rotation=90, ha="right", va="center", fontsize=9)
    return figure
