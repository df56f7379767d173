"""Figures of stacked attack directions: tidy table to figure; nothing is computed here beyond placing what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit.figures.pictures import as_picture
from uapkit.figures.style import COLOURS, MARKERS, short, style

KIND_COLOURS = {
    "trained": COLOURS[0],
    "untrained network": COLOURS[1],
    "random": COLOURS[6],
    "random in the data's subspace": COLOURS[2],
    "shuffled pixels": COLOURS[3],
}
LINES = ("-", "--", ":", "-.")


def run_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Without the rows of what was not run."""
    return table[table["status"] == "run"]


def first_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """The networks of training seed 0, for figures that would be crowded with all of them; a table has the others."""
    return rows[rows["training_seed"] == 0] if "training_seed" in rows else rows


def names_in(rows: pd.DataFrame, column: str) -> list[Any]:
    """Different values of a column, in their order."""
    return list(dict.fromkeys(rows[column].dropna()))


def panels(count: int, columns: int, width: float = 3.4, height: float = 2.9) -> tuple[Figure, list[plt.Axes]]:
    """A figure of ``count`` panels, ``columns`` a line, each ``width`` by ``height`` inches."""
    lines = -(-count // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(width * columns, height * lines), squeeze=False, layout="constrained"
    )
    for ax in list(axes.flat)[count:]:
        ax.axis("off")
    return figure, list(axes.flat)[:count]


def legend(figure: Figure, ax: plt.Axes, columns: int = 3) -> None:
    """One legend for the whole figure, below it, with the labels of ``ax``."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, max(1, len(labels))), fontsize=8)


def bars(table: pd.DataFrame, value: str, by: str = "model") -> Figure:
    """One group of bars a network, one bar a kind, with intervals."""
    run = run_rows(table)
    names, kinds = names_in(run, by), names_in(run, "kind")
    width = 0.8 / len(kinds)
    with style():
        figure, (ax,) = panels(1, 1, max(6.0, 1.6 * len(names)), 4.0)
        for j, kind in enumerate(kinds):
            rows = run[run["kind"] == kind].drop_duplicates(by).set_index(by).reindex(names)
            error = [(rows[value] - rows["low"]).clip(lower=0), (rows["high"] - rows[value]).clip(lower=0)]
            place = np.arange(len(names)) + (j - (len(kinds) - 1) / 2) * width
            ax.bar(
                place, rows[value], width, yerr=error, capsize=2, color=KIND_COLOURS.get(kind, COLOURS[j]), label=kind
            )
        ax.set(ylabel=value.replace("_", " "), xticks=range(len(names)))
        ax.set_xticklabels([short(str(n)).replace(" ", "\n", 1) for n in names], fontsize=8)
        legend(figure, ax)
    return figure


def spectra(table: pd.DataFrame) -> Figure:
    """Squared singular values as shares of their sum, a panel a (network, attack), full lines for the largest sample."""
    run, arrays = first_seed(run_rows(table)), table.attrs["arrays"]
    pairs = list(dict.fromkeys(zip(run["model"], run["attack"], strict=True)))
    samples = sorted(names_in(run, "sample"), reverse=True)
    with style():
        figure, axes = panels(len(pairs), 3)
        for ax, (model, attack) in zip(axes, pairs, strict=True):
            for kind, colour in KIND_COLOURS.items():
                for line, sample in zip(LINES, samples, strict=False):
                    s = arrays.get(f"s/{model}/{attack}/{sample:.0f}/{kind}")
                    if s is not None:
                        ax.plot(
                            np.arange(1, len(s) + 1),
                            s**2 / (s**2).sum(),
                            color=colour,
                            linestyle=line,
                            label=f"{kind}, n = {sample:.0f}",
                        )
            ax.set(title=f"{short(model)}\n{attack}", xscale="log", yscale="log", ylim=(1e-5, 1), xlabel="direction")
            ax.title.set_fontsize(9)
        axes[0].set_ylabel("share of the squares")
        legend(figure, axes[0])
    return figure


def dot_products(table: pd.DataFrame) -> Figure:
    """Mean modulus of the dot products, a panel a k, with the nulls beside; the dashed line is the paper's 0.07."""
    run = first_seed(run_rows(table))
    ks = sorted(names_in(run, "k"))
    with style():
        figure, axes = panels(len(ks), 1, 8.0, 3.6)
        for ax, k in zip(axes, ks, strict=True):
            rows = run[run["k"] == k]
            points = list(dict.fromkeys(zip(rows["model"], rows["attack"], rows["sample"], strict=True)))
            for j, kind in enumerate(names_in(rows, "kind")):
                here = rows[rows["kind"] == kind]
                place = [
                    points.index(p) + 0.15 * (j - 1.5)
                    for p in zip(here["model"], here["attack"], here["sample"], strict=True)
                ]
                error = [
                    (here["mean_dot"] - here["low"]).clip(lower=0),
                    (here["high"] - here["mean_dot"]).clip(lower=0),
                ]
                ax.errorbar(
                    place,
                    here["mean_dot"],
                    yerr=error,
                    fmt=MARKERS[j],
                    capsize=2,
                    markersize=4,
                    color=KIND_COLOURS[kind],
                    label=kind,
                )
            ax.axhline(0.07, color="black", linestyle="--", linewidth=0.8)
            ax.set(title=f"top {k:.0f}", ylabel="mean |dot product|", ylim=(0, None), xticks=range(len(points)))
            ax.set_xticklabels(
                [f"{short(m).replace(' mnist rot', '')}, {a}, {n:.0f}" for m, a, n in points],
                rotation=60,
                ha="right",
                fontsize=7,
            )
        legend(figure, axes[0], 4)
    return figure


def angles(table: pd.DataFrame) -> Figure:
    """Principal angles, the largest first, a panel a network, with bands or points of the nulls."""
    run = run_rows(table)
    names = names_in(run, "model")
    with style():
        figure, axes = panels(len(names), min(3, len(names)), 3.6, 3.2)
        for ax, model in zip(axes, names, strict=True):
            for j, kind in enumerate(names_in(run, "kind")):
                rows = run[(run["model"] == model) & (run["kind"] == kind)].sort_values("index")
                if kind.startswith("random"):
                    ax.fill_between(
                        rows["index"], rows["low"], rows["high"], alpha=0.3, color=KIND_COLOURS[kind], label=kind
                    )
                else:
                    error = [rows["principal_angle"] - rows["low"], rows["high"] - rows["principal_angle"]]
                    error = [e.clip(lower=0) for e in error]
                    ax.errorbar(
                        rows["index"],
                        rows["principal_angle"],
                        yerr=error,
                        marker=MARKERS[j],
                        capsize=3,
                        color=KIND_COLOURS[kind],
                        label=kind,
                    )
            ax.set(title=short(model), xlabel="index", ylabel="angle in degrees", ylim=(0, 91))
        legend(figure, axes[0], 4)
    return figure


def vectors(arrays: Mapping[str, np.ndarray], prefix: str, columns: int = 5) -> Figure:
    """The vectors whose names begin with ``prefix`` as contrast-stretched pictures, ``columns`` a line."""
    chosen = {k: v for k, v in arrays.items() if k.startswith(prefix)}
    with style(grid=False):
        figure, axes = panels(len(chosen), columns, 1.5, 1.75)
        for ax, (name, v) in zip(axes, chosen.items(), strict=True):
            ax.imshow(as_picture(v, stretch=True), interpolation="nearest")
            ax.axis("off")
            parts = name.split("/")[1:]
            ax.set_title("\n".join([*map(short, parts[:-1]), f"vector {parts[-1]}"]), fontsize=7)
    return figure


def survival(table: pd.DataFrame) -> Figure:
    """Share of directions aligned by at least delta, held out and in sample, with the bound and the random null."""
    run = run_rows(table)
    pairs = list(dict.fromkeys(zip(run["model"], run["attack"], strict=True)))
    with style():
        figure, axes = panels(len(pairs), 3)
        for ax, (model, attack) in zip(axes, pairs, strict=True):
            here = run[(run["model"] == model) & (run["attack"] == attack)]
            for kind in names_in(here, "kind"):
                for line, sample in zip(LINES, ("held out", "in sample"), strict=False):
                    rows = here[(here["kind"] == kind) & (here["sample"] == sample)]
                    if kind == "trained" or sample == "held out":
                        ax.plot(
                            rows["delta"],
                            rows["survival"],
                            color=KIND_COLOURS[kind],
                            linestyle=line,
                            label=f"{kind}, {sample}",
                        )
            rows = here[(here["kind"] == "trained") & (here["sample"] == "held out")]
            ax.plot(rows["delta"], rows["bound"], color=COLOURS[4], linewidth=2, label="bound of Theorem 1")
            seen = here.loc[here["survival"] > 1e-3, "delta"].max()
            ax.set(title=f"{short(model)}\n{attack}", xlabel="delta", ylim=(0, 1), xlim=(0, min(1, seen + 0.1)))
            ax.title.set_fontsize(9)
        axes[0].set_ylabel("share with |cos| ≥ delta")
        legend(figure, axes[0])
    return figure


def sampling(table: pd.DataFrame) -> Figure:
    """Distance of the sampled eigenvector from that of all rows against m, with the stated bound, a panel a (network, attack)."""
    run = run_rows(table)
    pairs = list(dict.fromkeys(zip(run["model"], run["attack"], strict=True)))
    with style():
        figure, axes = panels(len(pairs), 3)
        for ax, (model, attack) in zip(axes, pairs, strict=True):
            here = run[(run["model"] == model) & (run["attack"] == attack) & (run["kind"] == "trained")]
            for j, (column, label) in enumerate(
                (
                    ("distance", "distance, measured"),
                    ("bound", "bound as stated"),
                    ("sine", "sine, measured"),
                    ("davis_kahan", "2 error / gap"),
                )
            ):
                middle = here.groupby("m")[column].median().dropna()
                ax.plot(middle.index, middle, marker=MARKERS[j], markersize=4, color=COLOURS[j], label=label)
            ax.axhline(2**0.5, color="black", linestyle="--", linewidth=0.8, label="√2: says nothing above")
            ax.set(title=f"{short(model)}\n{attack}", xscale="log", yscale="log", xlabel="rows m")
            ax.title.set_fontsize(9)
        legend(figure, axes[0])
    return figure


def training(curves_by_name: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy on training and test images by epoch: a colour a network, a line a training seed (``_seedK`` of the name)."""
    families = list(dict.fromkeys(name.partition("_seed")[0] for name in curves_by_name))
    with style():
        figure, (ax,) = panels(1, 1, 6.5, 3.6)
        for name, curve in curves_by_name.items():
            family, _, seed = name.partition("_seed")
            j = families.index(family)
            for column, line, what in (
                ("test_accuracy", "-", "test"),
                ("train_accuracy", ":", "training (with dropout)"),
            ):
                label = None if seed else f"{short(family)}, {what}"
                marker = MARKERS[j % len(MARKERS)] if line == "-" else None
                ax.plot(
                    curve["epoch"],
                    curve[column],
                    color=COLOURS[j % len(COLOURS)],
                    linestyle=line,
                    linewidth=1,
                    marker=marker,
                    markersize=3,
                    label=label,
                )
        ax.set(xlabel="epoch", ylabel="accuracy", ylim=(0.7, 1))
        legend(figure, ax, 2)
    return figure
