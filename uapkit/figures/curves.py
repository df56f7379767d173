"""More figures from tidy tables: curves with their nulls, matrices, spectra. Nothing is computed beyond placing and scaling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from uapkit.figures.panels import legend, models_of, of_what_was_run, panels
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import COLOURS, MARKERS, short, style, with_intervals

NULLS = ("random signs", "untrained network")


def _places(values: pd.Series, categories: Sequence[float]) -> list[int]:
    return [list(categories).index(v) for v in values]


@of_what_was_run
def curves(
    run: pd.DataFrame,
    x: str,
    *,
    value: str = "fooling_rate",
    by: str = "kind",
    label: str | None = None,
    limits: tuple[float, float] | None = (0, 1),
) -> Figure:
    """``value`` against ``x``, a panel a network, a line for each ``by``; several draws are thin points and their mean.

    Values of x stand at equal distances in their order (so that infinity has a place). Kinds without an x: a dotted
    line. Random signs: a band over all their intervals; the untrained copy: a dashed line.
    """
    with style():
        figure, axes = panels(models_of(run))
        for ax, model in zip(axes, models_of(run), strict=False):
            rows = run[run["model"] == model]
            attack = rows[~rows["kind"].isin(NULLS) & rows[x].notna() & rows[value].notna()]
            ticks = sorted(set(attack[x]))
            for place, (group, part) in enumerate(attack.groupby(by, sort=False)):
                name = group if isinstance(group, str) else f"{by.replace('_', ' ')} {group:g}"
                middle = part.groupby(x)[value].mean()
                if part[x].duplicated().any() or "low" not in part or part["low"].isna().all():
                    colour = COLOURS[place % len(COLOURS)]
                    ax.plot(_places(part[x], ticks), part[value], ".", color=colour, alpha=0.5)
                    ax.plot(_places(middle.index, ticks), middle, "-", color=colour, marker=MARKERS[place], label=name)
                else:
                    part = part.sort_values(x)
                    with_intervals(ax, _places(part[x], ticks), part, value, place, name)
            for kind, part in rows[~rows["kind"].isin(NULLS) & rows[x].isna()].groupby("kind", sort=False):
                ax.axhline(part[value].mean(), color="#000000", linestyle=":", label=str(kind))
            _nulls(ax, rows, value)
            ax.set(title=short(model), xlabel=x.replace("_", " "), ylabel=label or value.replace("_", " "))
            ax.set_xticks(range(len(ticks)), [f"{t:g}" for t in ticks], rotation=0 if len(ticks) < 9 else 60)
            if limits:
                ax.set_ylim(*limits)
        legend(figure, axes)
    return figure


def _nulls(ax: plt.Axes, rows: pd.DataFrame, value: str) -> None:
    random, fresh = (rows[(rows["kind"] == kind) & rows[value].notna()] for kind in NULLS)
    if len(random):
        ends = ("low", "high") if "low" in random and random["low"].notna().any() else (value, value)
        low, high = random[ends[0]].min(), random[ends[1]].max()
        ax.axhspan(low, high, color="#888888", alpha=0.35, label="random signs")
    if len(fresh):
        ax.axhline(fresh[value].mean(), color="#000000", linestyle="--", linewidth=1, label="untrained copy")


@of_what_was_run
def values(run: pd.DataFrame) -> Figure:
    """Singular value of every layer, a panel a network, beside random signs and an untrained copy; logarithmic."""
    lines = {"singular_value": "singular vector", "random_value": "random signs", "untrained_value": "untrained copy"}
    with style():
        figure, axes = panels(models_of(run))
        for ax, model in zip(axes, models_of(run), strict=False):
            rows = run[run["model"] == model].sort_values("place")
            for place, (column, name) in enumerate(lines.items()):
                marker, colour = MARKERS[place], COLOURS[place]
                ax.semilogy(range(len(rows)), rows[column], marker=marker, ms=3, color=colour, label=name)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set(title=short(model), xlabel="layer, from input to output", ylabel="singular value")
        legend(figure, axes)
    return figure


@of_what_was_run
def networks(run: pd.DataFrame) -> Figure:
    """Singular value against depth, all networks in one panel, so that their order can be seen."""
    with style():
        figure, axes = panels(["all"], height=3.6)
        for place, model in enumerate(models_of(run)):
            rows = run[run["model"] == model].sort_values("place")
            colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
            axes[0].semilogy(
                rows["depth"], rows["singular_value"], marker=marker, ms=3, color=colour, label=short(model)
            )
        axes[0].set(xlabel="depth, from input (0) to logits (1)", ylabel="singular value")
        legend(figure, axes)
    return figure


@of_what_was_run
def convergence(run: pd.DataFrame, published: Sequence[float] = ()) -> Figure:
    """Share of the last singular value over the iterations, a panel a (network, layer), beside the published trace."""
    names = list(dict.fromkeys(zip(run["model"], run["layer"], strict=True)))
    with style():
        figure, axes = panels([f"{m} {layer}" for m, layer in names])
        for ax, (model, layer) in zip(axes, names, strict=False):
            rows = run[(run["model"] == model) & (run["layer"] == layer)]
            for (kind, _), part in rows.groupby(["kind", "start"], sort=False):
                own = kind == "trained"
                name = "this network, one line a start" if own else "untrained copy"
                ax.plot(
                    part["iteration"], part["share"], color=COLOURS[0 if own else 2], marker=".", alpha=0.7, label=name
                )
            if published:
                share = np.asarray(published) / published[-1]
                ax.plot(range(1, len(share) + 1), share, "k--", label="published: VGG-19 block2_pool")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set(title=f"{short(model)} {layer}", xlabel="iteration", ylabel="share of last value", ylim=(0, 1.05))
        legend(figure, axes)
    return figure


def spectra(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Radially averaged spectra ``spectrum/<model>/<layer>``, a panel a network."""
    found = [(k.split("/", 2)[1:], v) for k, v in arrays.items() if k.startswith("spectrum/")]
    models = list(dict.fromkeys(name[0] for name, _ in found))
    with style():
        figure, axes = panels(models, height=3.3)
        for ax, model in zip(axes, models, strict=False):
            for place, (name, (frequency, power)) in enumerate((n[1], s) for n, s in found if n[0] == model):
                null = name == "random signs"
                colour = "#888888" if null else COLOURS[place % len(COLOURS)]
                ax.loglog(frequency, power, "--" if null else "-", color=colour, label=name)
            ax.set(title=short(model), xlabel="cycles a pixel", ylabel="power over its mean")
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.legend(fontsize=7)
    return figure


def beside(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Singular vectors ``v/<name>`` above the activation maximisations ``activation/<name>``, contrast stretched."""
    names = [k.removeprefix("activation/") for k in arrays if k.startswith("activation/")]
    with style(grid=False):
        rows = 2 * math.ceil(len(names) / 4)
        figure, axes = plt.subplots(
            rows, min(4, len(names)), figsize=(9.2, 2.5 * rows), squeeze=False, layout="constrained"
        )
        for ax in axes.flat:
            ax.axis("off")
        for k, name in enumerate(names):
            model, layer = name.split("/", 1)
            for line, (kind, words) in enumerate((("v", f"{short(model)}\n{layer}"), ("activation", "its features"))):
                ax = axes[2 * (k // 4) + line, k % 4]
                ax.imshow(as_picture(arrays[f"{kind}/{name}"], stretch=True), interpolation="nearest")
                ax.set_title(words, fontsize=8)
    return figure


@of_what_was_run
def matrix(run: pd.DataFrame, *, value: str = "fooling_rate") -> Figure:
    """Networks attacked (rows) by the vectors built on others (columns), and by the nulls, with the numbers."""
    columns = sorted(dict.fromkeys(run["built_on"]), key=lambda s: (s.startswith("untrained "), s == "random signs"))
    rows = models_of(run)
    grid = run.groupby(["model", "built_on"])[value].mean().unstack().reindex(index=rows, columns=columns)
    with style(grid=False):
        figure, ax = plt.subplots(figsize=(1.0 * len(columns) + 2.2, 0.6 * len(rows) + 2.4), layout="constrained")
        shown = ax.imshow(grid, vmin=0, vmax=1, cmap="cividis", aspect="auto")
        for i in range(len(rows)):
            for j in range(len(columns)):
                number = grid.iloc[i, j]
                if number == number:
                    ax.text(j, i, f"{number:.2f}", ha="center", va="center", color="white" if number < 0.6 else "black")
        ax.set_xticks(range(len(columns)), [short(c) for c in columns], rotation=45, ha="right", fontsize=8)
        ax.set_yticks(range(len(rows)), [short(r) for r in rows], fontsize=8)
        ax.set(xlabel="vector built on", ylabel="network attacked")
        figure.colorbar(shown, label=value.replace("_", " "))
    return figure


@of_what_was_run
def top5(run: pd.DataFrame) -> Figure:
    """Probability of the clean top five classes against the norm; a row a network, flips left, the others right."""
    rows = run[run["kind"] == "curve"]
    pictures = list(dict.fromkeys(zip(rows["model"], rows["flips"].astype(str), rows["picture"], strict=True)))
    with style():
        figure, axes = panels([str(p) for p in pictures], columns=4 if len(pictures) > 2 else 2, height=2.4)
        for ax, (model, flips, picture) in zip(axes, pictures, strict=False):
            part = rows[(rows["model"] == model) & (rows["picture"] == picture) & (rows["flips"].astype(str) == flips)]
            for rank, line in part.groupby("rank"):
                place = int(rank) - 1
                ax.plot(
                    line["eps"],
                    line["probability"],
                    color=COLOURS[place],
                    marker=MARKERS[place],
                    ms=3,
                    label=f"rank {rank:g}",
                )
            ax.set_title(f"{short(model)}: {'flips' if flips == 'True' else 'keeps its label'}", fontsize=8)
            ax.set(xlabel="norm", ylabel="probability", ylim=(-0.02, 1.02))
        legend(figure, axes, columns=5)
    return figure


@of_what_was_run
def linearity(run: pd.DataFrame, *, value: str = "error") -> Figure:
    """What the Jacobian misses against the norm, a line a layer, a panel a network; logarithmic, 0.5 as a thin line."""
    with style():
        figure, axes = panels(models_of(run), height=3.3)
        for ax, model in zip(axes, models_of(run), strict=False):
            rows = run[run["model"] == model]
            for place, (layer, part) in enumerate(
                rows[rows["direction"] == "singular vector"].groupby("layer", sort=False)
            ):
                colour = COLOURS[place % len(COLOURS)]
                ax.loglog(part["eps"], part[value], marker=MARKERS[place % len(MARKERS)], color=colour, label=layer)
                null = rows[(rows["direction"] == "random signs") & (rows["layer"] == layer)]
                ax.loglog(null["eps"], null[value], ":", color=colour)
            ax.axhline(0.5, color="black", linewidth=0.8)
            ax.set(title=short(model), xlabel="norm", ylabel=f"{value} (dotted: random signs)")
            ax.legend(fontsize=7)
    return figure


@of_what_was_run
def cost(run: pd.DataFrame) -> Figure:
    """Seconds against batch size and against iterations, double logarithmic, beside lines of slope one."""
    with style():
        figure, axes = panels(["batch_size", "iterations"], height=3.2)
        for ax, varied in zip(axes, ("batch_size", "iterations"), strict=True):
            for place, model in enumerate(models_of(run)):
                rows = run[(run["model"] == model) & (run["varied"] == varied)]
                colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
                ax.loglog(rows[varied], rows["seconds"], marker=marker, color=colour, label=short(model))
                line = rows["seconds"].iloc[-1] * rows[varied] / rows[varied].iloc[-1]
                ax.loglog(rows[varied], line, ":", color=colour)
            ticks = sorted(set(run.loc[run["varied"] == varied, varied]))
            ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.set(xlabel=varied.replace("_", " "), ylabel="seconds (dotted: slope one)")
        legend(figure, axes)
    return figure


@of_what_was_run
def strengths(run: pd.DataFrame) -> Figure:
    """Accuracy, singular value and rates against the strength of the term: a point a seed, lines through the means."""
    lines = {
        "accuracy": "accuracy",
        "fooling_rate": "fooled by the singular vector",
        "uap_rate": "fooled by UAP",
        "random_rate": "fooled by random signs",
    }
    with style():
        figure, axes = panels([name for m in models_of(run) for name in (m, f"{m} values")], height=3.2)
        for left, right, model in zip(axes[::2], axes[1::2], models_of(run), strict=False):
            rows = run[run["model"] == model].sort_values("strength")
            ticks = sorted(set(rows["strength"]))
            for ax, columns in ((left, lines), (right, {"singular_value": "sum of singular values"})):
                for place, (column, name) in enumerate(columns.items()):
                    ax.plot(_places(rows["strength"], ticks), rows[column], ".", color=COLOURS[place], alpha=0.5)
                    mean = rows.groupby("strength")[column].mean()
                    ax.plot(range(len(ticks)), mean, marker=MARKERS[place], color=COLOURS[place], label=name)
                ax.set_xticks(range(len(ticks)), [f"{t:g}" for t in ticks])
                ax.set(title=short(model), xlabel="strength of the term")
            left.set_ylim(0, 1)
            right.set_ylim(0, None)
            right.set_ylabel("sum of singular values")
        legend(figure, axes[::2], columns=2)
    return figure
