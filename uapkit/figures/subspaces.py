"""Figures of spans and of what is suppressed: tidy table to figure; nothing is computed beyond placing and scaling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from uapkit.figures.panels import of_what_was_run
from uapkit.figures.style import COLOURS, MARKERS, short, style

KINDS = {  # colour and marker, the same in every figure of spans
    "S_hi": 0,
    "S_lo": 1,
    "principal components": 2,
    "random": 6,
    "deepfool": 0,
    "gradient": 4,
    "gradients of all classes": 3,
    "gradient, untrained network": 1,
    "positive": 4,
    "negative": 3,
    "flat": 5,
}
ENERGY = ("S_hi", "S_lo", "principal components", "random", "positive", "negative", "flat")


def _panels(names: Sequence[str], columns: int = 2, height: float = 3.0, rows: int = 1) -> tuple[Figure, np.ndarray]:
    """(rows of the figure, one panel a network); with ``rows`` > 1 the networks stand side by side."""
    columns = min(columns, len(names)) if rows == 1 else len(names)
    lines = math.ceil(len(names) / columns) if rows == 1 else rows
    size = (4.0 * columns if columns > 1 else 6.0, height * lines)
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    if rows > 1:
        return figure, axes
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    return figure, axes.flatten()[: len(names)]


def _legend(figure: Figure, axes: Iterable[plt.Axes], columns: int = 3) -> None:
    found = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(list(found.values()), list(found), loc="outside upper center", ncols=columns, fontsize=8)


def _plain_log(axis: Axis) -> None:
    """A logarithmic axis with ordinary numbers on it, few enough to be read."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1e4 else f"{value:.0e}"))
    axis.set_minor_formatter(NullFormatter())


def _line(ax: plt.Axes, rows: pd.DataFrame, x: str, value: str, low: str, high: str, place: int, label: str) -> None:
    """Means over draws as a line, the hull of the draws' intervals as a band."""
    grouped = rows.groupby(x)
    middle = grouped[value].mean()
    colour = COLOURS[place % len(COLOURS)]
    finite = np.isfinite(middle)
    ax.plot(
        middle.index[finite],
        middle[finite],
        color=colour,
        marker=MARKERS[place % len(MARKERS)],
        markersize=4,
        label=label,
    )
    ax.fill_between(middle.index, grouped[low].min(), grouped[high].max(), color=colour, alpha=0.15, linewidth=0)


@of_what_was_run
def accuracy(run: pd.DataFrame) -> Figure:
    """Accuracy on projected images against the number of directions, a panel a network, a line a kind of span."""
    models = list(dict.fromkeys(run["model"]))
    with style():
        figure, axes = _panels(models)
        for ax, model in zip(axes, models, strict=True):
            rows = run[run["model"] == model]
            for kind, place in KINDS.items():
                some = rows[rows["kind"] == kind]
                if len(some):
                    _line(ax, some, "d", "accuracy", "low", "high", place, kind)
            whole = rows[rows["kind"] == "images"]
            if len(whole):
                ax.axhline(float(whole["accuracy"].iloc[0]), color="black", linestyle=":", label="images themselves")
            ax.set(title=short(model), xscale="log", ylim=(0, 1.02), xlabel="directions d", ylabel="accuracy")
            _plain_log(ax.xaxis)
        _legend(figure, axes)
    return figure


@of_what_was_run
def overlap(run: pd.DataFrame) -> Figure:
    """Overlap of each span with DeepFool's of the same dimension, and what chance would give, a panel a network."""
    models = list(dict.fromkeys(run["model"]))
    names = {"deepfool": "deepfool, two halves of the images"}
    with style():
        figure, axes = _panels(models)
        for ax, model in zip(axes, models, strict=True):
            rows = run[(run["model"] == model) & run["overlap"].notna()]
            for kind, place in KINDS.items():
                some = rows[rows["kind"] == kind]
                if len(some):
                    _line(ax, some, "d", "overlap", "overlap_low", "overlap_high", place, names.get(kind, kind))
            chance = rows.groupby("d")["chance"].first()
            ax.plot(chance.index, chance, color="black", linestyle=":", label="chance, d / D")
            ax.set(title=short(model), xscale="log", ylim=(0, 1.02), xlabel="directions d", ylabel="overlap")
            _plain_log(ax.xaxis)
        _legend(figure, axes, 2)
    return figure


@of_what_was_run
def confined(run: pd.DataFrame) -> Figure:
    """Norm of confined DeepFool (above) and of the projected images (below) against d, a column a network."""
    models = list(dict.fromkeys(run["model"]))
    with style():
        figure, axes = _panels(models, rows=2, height=2.8)
        for column, model in enumerate(models):
            rows = run[run["model"] == model]
            above, below = axes[:, column]
            for kind in ("S_hi", "S_lo", "principal components", "random"):
                some = rows[rows["kind"] == kind]
                _line(above, some, "d", "norm", "norm_low", "norm_high", KINDS[kind], kind)
                middle = some.groupby("d")["image_norm"].mean()
                below.plot(middle.index, middle, color=COLOURS[KINDS[kind]], marker=MARKERS[KINDS[kind]], markersize=4)
            whole = rows[rows["kind"] == "unconfined"].iloc[0]
            above.axhline(whole["norm"], color="black", linestyle=":", label="unconfined, whole images")
            below.axhline(whole["image_norm"], color="black", linestyle=":")
            above.set(title=short(model), xscale="log", yscale="log", ylabel="norm of the attack")
            below.set(xscale="log", ylim=(0, None), xlabel="directions d", ylabel="norm of the image")
            for ax in (above, below):
                _plain_log(ax.xaxis)
            _plain_log(above.yaxis)
        _legend(figure, axes[0])
    return figure


@of_what_was_run
def energy(run: pd.DataFrame) -> Figure:
    """Share of the norm in each span against d; full lines universal perturbations, dashed random signs, dotted chance."""
    models = list(dict.fromkeys(run["model"]))
    with style():
        figure, axes = _panels(models)
        for ax, model in zip(axes, models, strict=True):
            rows = run[run["model"] == model]
            for kind in [k for k in ENERGY if (rows["kind"] == k).any()]:
                for attack, line in (("uap", "-"), ("random signs", "--")):
                    some = rows[(rows["kind"] == kind) & (rows["attack"] == attack)].groupby("d")["norm_share"]
                    if attack == "uap" or kind == "S_hi":
                        ax.plot(
                            some.mean().index,
                            some.mean(),
                            linestyle=line,
                            color=COLOURS[KINDS[kind]],
                            marker=MARKERS[KINDS[kind]],
                            markersize=4,
                            label=f"{attack} in {kind}" + (" curvature" if kind in ENERGY[4:] else ""),
                        )
                        ax.fill_between(
                            some.min().index, some.min(), some.max(), color=COLOURS[KINDS[kind]], alpha=0.15
                        )
            chance = rows.groupby("d")["chance"].first()
            ax.plot(chance.index, chance, color="black", linestyle=":", label="chance, √(d / D)")
            ax.set(title=short(model), xscale="log", ylim=(0, 1.02), xlabel="directions d", ylabel="share of the norm")
            _plain_log(ax.xaxis)
        _legend(figure, axes, 2)
    return figure


@of_what_was_run
def downsampling(run: pd.DataFrame) -> Figure:
    """Fooling rate against d_low, a line for each f, with the accuracy and the random null, a panel a network."""
    models = list(dict.fromkeys(run["model"]))
    with style():
        figure, axes = _panels(models, height=3.2)
        for ax, model in zip(axes, models, strict=True):
            rows = run[run["model"] == model]
            attack, null = rows[rows["kind"] == "deepfool"], rows[rows["kind"] == "random direction"]
            for place, f in enumerate(sorted(set(attack["f"]))):
                some = attack[attack["f"] == f]
                _line(ax, some, "d_low", "fooling_rate", "low", "high", place, f"f = {f:g}")
            most = null[null["f"] == null["f"].max()].sort_values("d_low")
            ax.plot(
                most["d_low"], most["fooling_rate"], color="grey", linestyle="--", label="random direction, largest f"
            )
            right = attack.groupby("d_low")["accuracy"].first()
            ax.plot(right.index, right, color="black", linestyle=":", label="accuracy of the resampled network")
            ax.set(title=short(model), ylim=(0, 1.02), xlabel="d_low (input of 227)", ylabel="fooling rate")
        _legend(figure, axes)
    return figure


@of_what_was_run
def direct(run: pd.DataFrame) -> Figure:
    """Fooling rate of the direct attack and of others at its norm, a group a (network, d_low)."""
    rows = run[run["d_low"] < 227]  # at full size there is no resampling
    points = list(dict.fromkeys(zip(rows["model"], rows["d_low"], strict=True)))
    with style():
        figure, axes = _panels(["all"], height=3.6)
        ax = axes[0]
        for place, kind in enumerate(("direct", "transferred", "random direction")):
            some = rows[rows["kind"] == kind].set_index(["model", "d_low"]).loc[points]
            error = [(some["fooling_rate"] - some["low"]).clip(0), (some["high"] - some["fooling_rate"]).clip(0)]
            x = np.arange(len(points)) + 0.18 * (place - 1)
            ax.errorbar(
                x,
                some["fooling_rate"],
                yerr=error,
                color=COLOURS[place],
                marker=MARKERS[place],
                linestyle="none",
                capsize=3,
                label=kind,
            )
        ratios = rows[rows["kind"] == "direct"].set_index(["model", "d_low"]).loc[points, "norm_ratio"]
        names = [f"{short(m)}\n{d:g}: norm × {r:.2f}" for (m, d), r in zip(points, ratios, strict=True)]
        ax.set(ylim=(-0.04, 1.04), ylabel="fooling rate", xticks=range(len(points)))
        ax.set_xticklabels(names, fontsize=7, rotation=40, ha="right")
        _legend(figure, [ax])
    return figure


@of_what_was_run
def tradeoff(run: pd.DataFrame) -> Figure:
    """Accuracy lost against robustness gained, a panel a network, a colour a defence; intervals in both directions."""
    models = list(dict.fromkeys(run["model"]))
    places = {
        "attack directions": 0,
        "curvature directions": 4,
        "random directions": 6,
        "principal components": 2,
        "down-sampling": 1,
        "adversarial training": 3,
    }
    with style():
        figure, axes = _panels(models, height=3.4)
        for ax, model in zip(axes, models, strict=True):
            rows = run[(run["model"] == model) & (run["defence"] != "none")]
            for defence, some in rows.groupby("defence", sort=False):
                what = str(defence).removeprefix("without ").removeprefix("only ")
                finite = some[np.isfinite(some["gain_high"])]
                ax.errorbar(
                    finite["gain"],
                    finite["loss"],
                    xerr=[
                        (finite["gain"] - finite["gain_low"]).clip(0),
                        (finite["gain_high"] - finite["gain"]).clip(0),
                    ],
                    yerr=[
                        (finite["loss"] - finite["loss_low"]).clip(0),
                        (finite["loss_high"] - finite["loss"]).clip(0),
                    ],
                    color=COLOURS[places[what]],
                    marker=MARKERS[places[what]],
                    markersize=5,
                    markerfacecolor="white" if str(defence).startswith("only") else None,
                    linestyle="none",
                    elinewidth=0.8,
                    label=str(defence),
                )
            ax.axvline(1, color="black", linewidth=0.8)
            ax.axhline(0, color="black", linewidth=0.8)
            ax.set(title=short(model), xscale="log", xlabel="robustness gained (norm ratio)", ylabel="accuracy lost")
            _plain_log(ax.xaxis)
        _legend(figure, axes)
    return figure
