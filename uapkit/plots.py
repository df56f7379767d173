"""Tidy table to figure; nothing is computed here beyond placing and scaling what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

# Okabe & Ito: distinguishable with any colour vision; the marker tells the same as the colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "font.size": 10,
    "legend.frameon": False,
}


@contextmanager
def style(*, grid: bool = True) -> Iterator[None]:
    """The book's look, for the figures made inside the ``with`` block.

    They leave pyplot's list of open figures at its end, or a notebook would show each of them twice.
    """
    before = set(plt.get_fignums())
    with plt.rc_context({**STYLE, "axes.grid": grid}):  # type: ignore[dict-item]
        yield
    for number in set(plt.get_fignums()) - before:
        plt.close(number)


def short(spec: str) -> str:
    """A network's name as a label: without the tag "default"."""
    return spec.replace("[default]", "").replace("_", " ")


def broken(layer: str) -> str:
    """A layer's name on two lines where it is long, so that neighbouring labels do not overlap."""
    head, dot, tail = layer.rpartition(".")
    return f"{head}{dot}\n{tail}" if len(layer) > 14 and head else layer


def with_intervals(
    ax: plt.Axes, x: Sequence, rows: pd.DataFrame, value: str, place: int, label: str, line: bool = True
) -> None:
    """Points with their 95 % intervals, the ``place``-th colour and marker."""
    middle = rows[value].to_numpy(float)
    below, above = middle - rows["low"].to_numpy(float), rows["high"].to_numpy(float) - middle
    ax.errorbar(
        x,
        middle,
        yerr=[below.clip(0), above.clip(0)],
        color=COLOURS[place % len(COLOURS)],
        marker=MARKERS[place % len(MARKERS)],
        linestyle="-" if line else "none",
        capsize=3,
        label=label,
    )


def layers(table: pd.DataFrame) -> Figure:
    """Fooling rate and singular value of each layer, a panel a network, with the null of random signs as a band."""
    run = table[table["status"] == "run"]
    models = list(dict.fromkeys(run["model"]))
    with style():
        figure, axes = plt.subplots(len(models), 1, figsize=(7, 2.7 * len(models)), squeeze=False, layout="constrained")
        for ax, model in zip(axes[:, 0], models, strict=True):
            rows = run[run["model"] == model]
            attack, null = rows[rows["kind"] == "singular vector"], rows[rows["kind"] == "random signs"]
            place = range(len(attack))
            with_intervals(ax, list(place), attack, "fooling_rate", 0, "singular vector")
            if len(null):
                ax.axhspan(null["low"].min(), null["high"].max(), color=COLOURS[1], alpha=0.25, label="random signs")
            other = rows[rows["kind"] == "untrained network"]
            if len(other):
                at = list(attack["layer"]).index(other["layer"].iloc[0])
                with_intervals(ax, [at], other, "fooling_rate", 2, "untrained copy", line=False)
            ax.set(title=short(model), ylabel="fooling rate", ylim=(0, 1), xticks=list(place))
            names = [
                f"{broken(layer)}\nσ = {value:.3g}"
                for layer, value in zip(attack["layer"], attack["singular_value"], strict=True)
            ]
            ax.set_xticklabels(names, fontsize=8)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return figure


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
