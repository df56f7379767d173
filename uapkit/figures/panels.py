"""What figures from tidy tables share: one plot a network, one legend, and nothing drawn of what was not run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

Draw = Callable[..., Figure]
WIDTH = 7.6  # inches of the widest figure: letters of 8 points are then over 9 pixels high in the book's column


def of_a_run(draw: Draw) -> Draw:
    """A figure of a :class:`uapkit.lab.Run`; where none of its rows was run, an empty one that says so."""

    @wraps(draw)
    def drawn(run: Any, *args: object, **kwargs: object) -> Figure:
        if len(run.rows):
            return draw(run, *args, **kwargs)
        figure, ax = plt.subplots(figsize=(4, 1))
        ax.axis("off")
        ax.text(0.5, 0.5, "not run here", ha="center")
        plt.close(figure)  # or a notebook shows it twice
        return figure

    return drawn


def panels(
    names: Sequence[Any], columns: int = 2, height: float = 2.8, width: float | None = None
) -> tuple[Figure, list[plt.Axes]]:
    """A figure with one plot for each name. height: of a plot, width: of the whole figure, in inches, at most WIDTH."""
    columns = min(columns, len(names)) or 1
    rows = max(1, math.ceil(len(names) / columns))
    size = (min(WIDTH, width or (3.8 * columns if columns > 1 else 6.0)), height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    return figure, list(axes.flat)


def legend(figure: Figure, axes: Sequence[plt.Axes], columns: int = 3) -> None:
    """One legend for all plots of a figure, each entry once."""
    found = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if found:
        figure.legend(list(found.values()), list(found), loc="outside upper center", ncols=min(columns, len(found)))


def legend_beside(ax: plt.Axes) -> None:
    """A plot's own legend, to its right: where every plot of a figure has other lines, such as the layers of its network."""
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, handlelength=1.5, borderaxespad=0.0)


def models_of(table: pd.DataFrame) -> list[str]:
    """The networks of a table, in its order."""
    return list(dict.fromkeys(table["model"]))
