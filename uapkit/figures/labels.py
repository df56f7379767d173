"""Figures of paper M's labels, norms and normals: tidy table to figure, and one interactive picture as inline SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from uapkit.figures.panels import of_what_was_run
from uapkit.figures.style import COLOURS, MARKERS, short, style, with_intervals

GREY = "#777777"


def _panels(names: Sequence[str], width: float = 4.0, height: float = 3.4) -> tuple[Figure, list[plt.Axes]]:
    columns = max(1, min(2, len(names)))
    lines = max(1, -(-len(names) // columns))
    size = (width * columns if columns > 1 else 6.0, height * lines)
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    return figure, list(axes.flat)


def _legend(figure: Figure, ax: plt.Axes, columns: int = 3) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside upper center", ncols=min(columns, len(labels)), fontsize=9)


def _models(run: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(run["model"]))


@of_what_was_run
def norms(run: pd.DataFrame) -> Figure:
    """Fooling rate against the 2-norm, a panel a network, a line a kind: the mean of its draws, which are the dots."""
    with style():
        figure, axes = _panels(_models(run))
        for ax, model in zip(axes, _models(run), strict=False):
            for place, (kind, part) in enumerate(run[run["model"] == model].groupby("kind", sort=False)):
                colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
                mean = part.groupby("l2_norm")["fooling_rate"].mean()
                ax.plot(part["l2_norm"], part["fooling_rate"], ".", color=colour, alpha=0.4)
                ax.plot(mean.index, mean, color=colour, marker=marker, label=str(kind))
            ax.set(title=short(model), xlabel="2-norm, pixels 0 to 255", ylabel="fooling rate", ylim=(0, 1))
        _legend(figure, axes[0], 2)
    return figure


def spectrum(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Singular values ``values/<model>/<kind>`` over their place, a panel a network."""
    found = [(k.split("/", 2)[1], k.split("/", 2)[2], v) for k, v in arrays.items() if k.startswith("values/")]
    names = list(dict.fromkeys(model for model, _, _ in found))
    with style():
        figure, axes = _panels(names)
        for ax, name in zip(axes, names, strict=False):
            for place, (kind, values) in enumerate((k, v) for m, k, v in found if m == name):
                ax.plot(
                    range(1, len(values) + 1),
                    values,
                    color=COLOURS[place],
                    linestyle=("-", "--", "-.")[place],
                    label=kind,
                )
            ax.set(title=short(name), xlabel="place", ylabel="singular value", xscale="log")
        _legend(figure, axes[0], 1)
    return figure


@of_what_was_run
def subspace(run: pd.DataFrame) -> Figure:
    """Fooling rates of random vectors, a panel a network: a dot a draw, a bar their mean."""
    with style():
        figure, axes = _panels(_models(run), height=3.8)
        for ax, model in zip(axes, _models(run), strict=False):
            rows = run[run["model"] == model]
            groups = list(rows.groupby(["kind", "k"], sort=False))
            for place, ((kind, _), part) in enumerate(groups):
                colour = COLOURS[list(dict.fromkeys(rows["kind"])).index(kind)]
                ax.bar(place, part["fooling_rate"].mean(), color=colour, alpha=0.5)
                spread = place + 0.6 * (np.arange(len(part)) / max(1, len(part) - 1) - 0.5)
                ax.plot(spread, part["fooling_rate"], ".", color=colour)
            names = [kind.replace(" of ", "\nof ").replace(" dir", "\ndir") for (kind, _), _ in groups]
            names = [f"{name}\nk = {k:g}" if k else name for name, ((_, k), _) in zip(names, groups, strict=True)]
            ax.set_xticks(range(len(groups)), names, fontsize=7)
            ax.set(title=short(model), ylabel="fooling rate", ylim=(0, None))
    return figure


@of_what_was_run
def shares(run: pd.DataFrame, part: str = "targets", top_label: str = "share of fooled images") -> Figure:
    """Share of images whose new label is among the most frequent 1, 3, 10: a panel a network, a line a kind."""
    run = run[run["part"] == part]
    with style():
        figure, axes = _panels(_models(run))
        for ax, model in zip(axes, _models(run), strict=False):
            for place, (kind, rows) in enumerate(run[run["model"] == model].groupby("kind", sort=False)):
                ticks = sorted(set(run["top"]))
                mean = rows.groupby("top")[["top_share", "low", "high"]].mean().reset_index()
                with_intervals(
                    ax, [ticks.index(t) + 0.06 * place for t in mean["top"]], mean, "top_share", place, str(kind)
                )
            ax.set_xticks(range(len(ticks)), [f"{t:g}" for t in ticks])
            ax.set(title=short(model), xlabel="most frequent new labels", ylabel=top_label, ylim=(0, 1.02))
        _legend(figure, axes[0], 2)
    return figure


@of_what_was_run
def rounds(run: pd.DataFrame) -> Figure:
    """Fooling rate and accuracy after each round of fine-tuning, a panel a network; dots are seeds, lines their means."""
    lines = {
        "fooling_rate": "new universal perturbation",
        "old_rate": "the pool it was tuned on",
        "random_rate": "random",
    }
    with style():
        figure, axes = _panels(_models(run))
        for ax, model in zip(axes, _models(run), strict=False):
            rows = run[run["model"] == model]
            for place, (column, name) in enumerate({**lines, "accuracy": "accuracy, clean images"}.items()):
                tuned = rows[(rows["kind"] == "perturbed") & rows[column].notna()]
                mean = tuned.groupby("round")[column].mean()
                ax.plot(tuned["round"], tuned[column], ".", color=COLOURS[place], alpha=0.5)
                ax.plot(mean.index, mean, color=COLOURS[place], marker=MARKERS[place], label=name)
            control = rows[rows["kind"] == "control"]
            mean = control.groupby("round")["fooling_rate"].mean()
            ax.plot(mean.index, mean, color=GREY, linestyle="--", marker="x", label="new one, tuned on clean images")
            ax.set_xticks(sorted(set(rows["round"])))
            ax.set(title=short(model), xlabel="rounds of fine-tuning", ylabel="rate", ylim=(0, 1.02))
        _legend(figure, axes[0], 2)
    return figure


CSS = """
.lg{display:flex;flex-wrap:wrap;gap:4px;margin:0}
.lg-hub{position:relative;width:170px;text-align:center;cursor:pointer;border-radius:6px}
.lg-hub:focus{outline:2px solid currentColor}
.lg-hub:hover line,.lg-hub:focus line{stroke-width:2.5;opacity:1}
.lg-hub svg{width:100%;display:block}
.lg-note{display:none;position:absolute;left:0;top:100%;z-index:3;width:16rem;max-width:80vw;padding:6px;text-align:left;
font-size:.85rem;background:var(--pst-color-surface,#fff);color:var(--pst-color-text-base,#111);border:1px solid #888}
.lg-hub:hover .lg-note,.lg-hub:focus .lg-note{display:block}
"""


def label_graph(table: pd.DataFrame, model: str, *, kind: str = "universal", hubs: int = 12) -> HTML:
    """The graph of labels as inline SVG: every dominant label with the labels that point to it around it.

    Needs no network connection and no script. Each of the ``hubs`` labels with most edges is one picture that the mouse
    and the tabulator key reach; the labels that lead there are then listed, and screen readers read the same list. A
    dot grows with the number of images on its edge. What is left out is said below.
    """
    edges = table[(table["model"] == model) & (table["kind"] == kind) & (table["part"] == "edge")]
    degrees = edges["target"].value_counts(sort=False).sort_values(ascending=False, kind="stable")
    chosen = list(degrees.index[:hubs])
    pictures = "".join(
        _hub(edges[edges["target"] == target], str(target), COLOURS[k % 6]) for k, target in enumerate(chosen)
    )
    caption = (
        f"{short(model)}: {len(edges)} edges lead to {len(degrees)} labels; shown are the {len(chosen)} labels with the "
        f"most edges, {int(degrees[chosen].sum())} edges in all. Point at one, or step through them with the tabulator key."
    )
    name = html.escape(f"Graph of labels of {short(model)}")
    return HTML(
        f'<style>{CSS}</style><div class="lg" role="group" aria-label="{name}">{pictures}</div><p>{html.escape(caption)}</p>'
    )


def _hub(edges: pd.DataFrame, target: str, colour: str) -> str:
    """One dominant label in the middle, and its sources on a ring around it, on two where they are many."""
    sources = list(zip(edges["source"].astype(str), edges["count"].astype(int), edges["n"].astype(int), strict=True))
    images, many = sum(count for _, count, _ in sources), len(sources) > 14
    names = ", ".join(name if n == 1 else f"{name} ({count} of {n})" for name, count, n in sources)
    said = html.escape(f"{target}: from {len(sources)} labels, {images} images. {names}")
    parts = []
    for k, (name, count, _) in enumerate(sources):
        ring, angle = 88 * (0.62 + 0.38 * (k % 2) if many else 1.0), 2 * math.pi * k / len(sources) - math.pi / 2
        x, y, size = ring * math.cos(angle), ring * math.sin(angle), min(9.0, 3 + math.sqrt(count) / 2)
        parts.append(f'<line x1="{x:.0f}" y1="{y:.0f}" x2="0" y2="0" stroke="{colour}" opacity="0.45"/>')
        title = f"<title>{html.escape(name)}</title>"
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{size:.1f}" fill="{colour}">{title}</circle>')
    return (
        f'<div class="lg-hub" tabindex="0" role="img" aria-label="{said}"><svg viewBox="-100 -100 200 200" '
        f'aria-hidden="true">{"".join(parts)}<circle r="16" fill="{colour}"/></svg>{html.escape(target)}'
        f'<div class="lg-note" aria-hidden="true">{said}</div></div>'
    )
