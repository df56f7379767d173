"""Perturbations and images as pictures."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit.figures.style import short, style


def as_picture(v: np.ndarray, *, stretch: bool) -> np.ndarray:
    """A perturbation (c, h, w) as an image (h, w, 3): around mid grey, at true scale or stretched to the full range."""
    size = float(np.abs(v).max()) or 1.0
    picture = 0.5 + (v / (2 * size) if stretch else v)
    return np.repeat(picture, 3 // len(picture), axis=0).transpose(1, 2, 0).clip(0, 1)


def gallery(arrays: Mapping[str, np.ndarray], *, stretch: bool = True, columns: int | None = None) -> Figure:
    """Perturbations ``v/<model>/<layer>`` as pictures; each network begins a line, ``columns`` (at most 6) to a line."""
    networks: dict[str, dict[str, np.ndarray]] = {}
    for key, v in arrays.items():
        if key.startswith("v/"):
            model, layer = key.removeprefix("v/").split("/", 1)
            networks.setdefault(model, {})[layer] = v
    columns = columns or min(6, max(map(len, networks.values()), default=1))
    lines = [
        (model, dict(list(vectors.items())[i : i + columns]))
        for model, vectors in networks.items()
        for i in range(0, len(vectors), columns)
    ]
    size = 9.2 / max(4, columns)
    with style(grid=False):
        figure, axes = plt.subplots(
            max(1, len(lines)),
            columns,
            figsize=(size * columns, (size + 0.4) * len(lines)),
            squeeze=False,
            layout="constrained",
        )
        for ax in axes.flat:
            ax.axis("off")
        for (model, vectors), line in zip(lines, axes, strict=True):
            for k, (ax, (layer, v)) in enumerate(zip(line, vectors.items(), strict=False)):
                ax.imshow(as_picture(v, stretch=stretch), interpolation="nearest")
                ax.set_title(f"{short(model) if k == 0 else ''}\n{layer}", fontsize=8, loc="left")
    return figure


def examples(images: np.ndarray, v: np.ndarray, rows: pd.DataFrame, title: str = "") -> Figure:
    """Pictures (n, c, h, w) before and after ``v``, clipped for display, with predicted labels and confidences.

    title: whose ``v`` it is, for pages that show several.
    """
    n = len(rows)
    with style(grid=False):
        figure, axes = plt.subplots(2, n, figsize=(2.2 * n, 5.2), squeeze=False, layout="constrained")
        figure.suptitle(title, fontsize=11)
        for ax, words in zip(axes[:, 0], ("before", "after"), strict=True):
            ax.text(-0.04, 0.5, words, transform=ax.transAxes, rotation=90, ha="right", va="center", fontsize=9)
        for k, row in enumerate(rows.to_dict("records")):
            for line, shift, name, share in (
                (0, 0, "label", "confidence"),
                (1, v, "perturbed_label", "perturbed_confidence"),
            ):
                shown = (images[k] + shift).clip(0, 1)
                axes[line, k].imshow(
                    np.repeat(shown, 3 // len(shown), axis=0).transpose(1, 2, 0), interpolation="nearest"
                )
                axes[line, k].set_title(f"{str(row[name])[:22]}\n{row[share]:.0%}", fontsize=9)
                axes[line, k].axis("off")
    return figure
