"""Drawing that several items of paper J share: curves along a walk, accuracy on spans, lines over draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ParamSpec

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from uapkit import lab, names
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import Look, look, short, style
from uapkit.lab import Run

P = ParamSpec("P")
SUBSPACES = {  # kind: how it is called in legends
    "positive": "S positive",
    "negative": "S negative",
    "both": "S negative and positive",
    "flat": "S flat",
    "random": "random subspace",
    "data": "principal components of the images",
}


def grid(rows: int, columns: int, height: float = 2.3) -> tuple[Figure, np.ndarray]:
    """A figure of small plots with one axis of positions for all of a column."""
    size = (min(7.6, 2.7 * columns), height * rows)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", sharex=True)


def bands(rows: pd.DataFrame, network: str) -> Figure:
    """Medians and bands of the scores (upper), shares of images moved in and staying (lower); a column a kind.

    All classes of the rows are in it, one after another from above.
    """
    targets, kinds = (list(dict.fromkeys(rows[column])) for column in ("target", "kind"))
    scores = (("target_score", "target class"), ("other_score", "best other"))
    shares = (("moved_in", "moved in", "-"), ("softmax", "softmax", ":"), ("stays", "stay", "--"))
    with style():
        figure, axes = grid(2 * len(targets), len(kinds), 2.0)
        for line, target in enumerate(targets):
            for column, kind in enumerate(kinds):
                part = lab.rows_of(rows, target=target, kind=kind).sort_values("s")
                upper, lower = axes[2 * line, column], axes[2 * line + 1, column]
                for name, label in scores:
                    shown = look(label)
                    upper.plot(part["s"], part[name], color=shown.colour, linestyle=shown.line, label=label)
                    ends = part[f"{name}_30"], part[f"{name}_70"]
                    upper.fill_between(part["s"], *ends, color=shown.colour, alpha=0.2)
                for name, label, dashes in shares:
                    lower.plot(part["s"], part[name], color=look("target class").colour, linestyle=dashes, label=label)
                shown = look("best other")
                lower.plot(part["s"], part["changed"], color=shown.colour, linestyle=shown.line, label="change label")
                lower.set_ylim(-0.03, 1.03)
                upper.set_title(f"{names.label(network, target)}, {kind}", fontsize=9)
            axes[2 * line, 0].set_ylabel("score")
            axes[2 * line + 1, 0].set_ylabel("share")
        for ax in axes[-1]:
            ax.set_xlabel("s")
        axes[0, 0].set_title(f"{short(network)}\n{names.label(network, targets[0])}, {kinds[0]}", fontsize=9)
        legend(figure, [axes[0, 0], axes[1, 0]], 3)
    return figure


def accuracy_on_spans(run: Run, kinds: Sequence[str]) -> Figure:
    """Accuracy on projected images against the number of directions, a panel a network, a line a kind of span."""
    networks, clean = list(run.by_network()), look("clean")
    with style():
        figure, axes = panels([network for network, _ in networks], height=3.0)
        for ax, (network, rows) in zip(axes, networks, strict=False):
            for kind in [kind for kind in kinds if (rows["kind"] == kind).any()]:
                draws(ax, lab.rows_of(rows, kind=kind), "d", ("accuracy", "low", "high"), look(kind), kind)
            whole = lab.rows_of(rows, kind="images")
            if len(whole):
                label = "images themselves"
                ax.axhline(whole["accuracy"].iloc[0], color=clean.colour, linestyle=clean.line, label=label)
            ax.set(title=short(network), xscale="log", ylim=(0, 1.02), xlabel="directions d", ylabel="accuracy")
            plain_log(ax.xaxis)
        legend(figure, axes)
    return figure


def draws(
    ax: plt.Axes,
    rows: pd.DataFrame,
    x: str,
    columns: tuple[str, str, str],
    shown: Look,
    label: str,
    alpha: float = 1.0,
) -> None:
    """Means over draws as a line, the hull of the draws' intervals as a band; columns: value, low and high."""
    value, low, high = (rows.groupby(x)[column] for column in columns)
    middle = value.mean()
    finite = middle[np.isfinite(middle)]
    line: dict[str, Any] = {"color": shown.colour, "marker": shown.marker, "linestyle": shown.line, "alpha": alpha}
    ax.plot(finite.index, finite, markersize=4, label=label, **line)
    ax.fill_between(middle.index, low.min(), high.max(), color=shown.colour, alpha=0.15 * alpha, linewidth=0)


def plain_log(axis: Axis) -> None:
    """A logarithmic axis with ordinary numbers on it, few enough to be read."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1e4 else f"{value:.0e}"))
    axis.set_minor_formatter(NullFormatter())
