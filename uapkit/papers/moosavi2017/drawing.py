"""What paper M's figures share: a matrix with its numbers, and the published rates read from the reported rows."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from uapkit.figures.style import short


def matrix(ax: plt.Axes, grid: pd.DataFrame, *, low: float, high: float, digits: int = 2, means: bool = False) -> None:
    """A matrix with its numbers; with ``means`` the last column is set apart."""
    values = grid.to_numpy(float)
    ax.imshow(values, vmin=low, vmax=high, cmap="cividis", aspect="auto")
    for (i, j), number in np.ndenumerate(values):
        if number == number:
            dark = (number - low) / (high - low) < 0.6
            ax.text(j, i, f"{number:.{digits}f}", ha="center", va="center", color="white" if dark else "black")
    ax.set_xticks(range(grid.shape[1]), [short(str(c)) for c in grid.columns], rotation=45, ha="right", fontsize=8)
    ax.set_yticks(range(grid.shape[0]), [short(str(r)) for r in grid.index], fontsize=8)
    if means:
        ax.axvline(grid.shape[1] - 1.5, color="white", linewidth=3)


def published(reported: pd.DataFrame) -> Iterator[tuple[str, dict[str, str], str]]:
    """(metric, place, value as printed) of what a paper prints; ``place`` says network, images and norm."""
    for row in reported[reported["kind"] == "level"].itertuples():
        yield str(row.metric), dict(p.split("=", 1) for p in str(row.where).split(";") if "=" in p), str(row.value)


def published_rates(reported: pd.DataFrame) -> dict[tuple[str, float], float]:
    """(network, norm) to the published rate on images that were not fitted on, from the reported rows of Table 1."""
    return {
        (place["model"], float(place["norm"])): float(value)
        for metric, place, value in published(reported)
        if metric == "fooling_rate" and place.get("data") == "imagenet"
    }
