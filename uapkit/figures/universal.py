"""Figures of paper M: rates beside the published ones, sizes of X, shuffles, transfer, cosines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from uapkit.figures.pictures import as_picture
from uapkit.figures.style import COLOURS, MARKERS, short, style, with_intervals

ATTACKS = ("UAP", "UAP, blocked")


def _was_run(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["status"] == "run"] if "status" in table else table


def _panels(count: int, *, columns: int = 2, width: float = 3.9, height: float = 3.0) -> tuple[Figure, list[plt.Axes]]:
    columns = max(1, min(columns, count))
    rows = max(1, math.ceil(count / columns))
    figure, axes = plt.subplots(
        rows, columns, figsize=(max(5.0, width * columns), height * rows), squeeze=False, layout="constrained"
    )
    for ax in axes.flat[count:]:
        ax.axis("off")
    return figure, list(axes.flat[:count])


def _legend(figure: Figure, axes: Sequence[plt.Axes], columns: int = 2) -> None:
    found = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if found:
        figure.legend(list(found.values()), list(found), loc="outside upper center", ncols=columns)


def rates(table: pd.DataFrame, reported: pd.DataFrame | None = None) -> Figure:
    """Fooling rates of each network with 95 % intervals, a panel a norm: on X, on other images, blocked, and the null.

    reported: rows of the published table; where the network is the same a cross marks its rate on other images.
    """
    run = _was_run(table)
    norms = sorted(set(run["norm"]))
    series: list[tuple[str | None, str]] = [(kind, where) for kind in ATTACKS for where in ("held out", "X")]
    series += [(None, "held out"), ("equal length", "held out")]
    with style():
        figure, axes = _panels(len(norms), columns=1, width=7.0, height=0.45 * run["model"].nunique() + 1.6)
        for ax, norm in zip(axes, norms, strict=True):
            part = run[run["norm"] == norm]
            models = list(dict.fromkeys(part["model"]))
            for place, (kind, where) in enumerate(series):
                same = part["kind"].str.startswith("random") if kind is None else part["kind"] == kind
                rows = part[same & (part["scored_on"] == where)]
                middle = rows["fooling_rate"]
                y = [models.index(m) + 0.14 * (place - 2.5) for m in rows["model"]]
                errors = [(middle - rows["low"]).clip(lower=0), (rows["high"] - middle).clip(lower=0)]
                words = {None: "random, of norm eps", "equal length": "random, same 2-norm as UAP"}
                name = words.get(kind, f"{kind}, {'on X' if where == 'X' else 'other images'}")
                if len(rows):
                    ax.errorbar(
                        middle, y, xerr=errors, linestyle="none", capsize=2, color=COLOURS[place],
                        marker=MARKERS[place], markersize=4, label=name,
                    )  # fmt: skip
            for (model, at), value in ({} if reported is None else published_rates(reported)).items():
                if model in models and at == norm:
                    ax.plot(value, models.index(model), "kx", markersize=8, label="published, other images")
            ax.set(xlim=(0, 1), xlabel="fooling rate", title=f"norm {norm:g}")
            ax.set_yticks(range(len(models)), [short(m) for m in models])
            ax.invert_yaxis()
        _legend(figure, axes)
    return figure


def published_rates(reported: pd.DataFrame) -> dict[tuple[str, float], float]:
    """(network, norm) to the published rate on images that were not fitted on."""
    found = {}
    for row in reported[reported["kind"] == "level"].itertuples():
        where = dict(p.split("=", 1) for p in row.where.split(";") if "=" in p)
        if row.metric == "fooling_rate" and where.get("data") == "imagenet":
            found[where["model"], float(where["norm"])] = float(row.value)
    return found


def published_table(reported: pd.DataFrame) -> pd.DataFrame:
    """The published fooling rates as they are printed: a row a norm and set of images, a column a network."""
    cells = []
    for row in reported[(reported["kind"] == "level") & (reported["metric"] == "fooling_rate")].itertuples():
        where = dict(p.split("=", 1) for p in row.where.split(";") if "=" in p)
        held = "validation set" if where["data"] == "imagenet" else "X"
        cells.append((where["norm"], held, where["model"], float(row.value)))
    table = pd.DataFrame(cells, columns=["norm", "scored on", "model", "rate"])
    wide = table.pivot(index=["norm", "scored on"], columns="model", values="rate")
    return wide[list(dict.fromkeys(table["model"]))].sort_index(ascending=[True, False]).reset_index()


def published_matrix(reported: pd.DataFrame) -> pd.DataFrame:
    """The published table of transfer: rows the network that a perturbation was computed for, columns the one attacked."""
    cells = []
    for row in reported[reported["kind"] == "level"].itertuples():
        where = dict(p.split("=", 1) for p in row.where.split(";") if "=" in p)
        cells.append((where["source"], where["model"], float(row.value)))
    table = pd.DataFrame(cells, columns=["computed for", "model", "rate"])
    names = list(dict.fromkeys(table["computed for"]))
    return table.pivot(index="computed for", columns="model", values="rate").loc[names, names].reset_index()


def sizes(table: pd.DataFrame, published: Mapping[str, float] | None = None) -> Figure:
    """Fooling rate against the number of images in X, a panel a network; the null as a band.

    published: rates at 10,000 images by network, marked by a cross.
    """
    run = _was_run(table)
    models = list(dict.fromkeys(run["model"]))
    with style():
        figure, axes = _panels(len(models))
        for ax, model in zip(axes, models, strict=True):
            rows = run[run["model"] == model]
            attack = rows[rows["kind"] == "UAP"].sort_values("n_images")
            null = rows[rows["kind"].str.startswith("random")]
            with_intervals(ax, list(attack["n_images"]), attack, "fooling_rate", 0, "other images")
            ax.plot(attack["n_images"], attack["rate_on_fit"], "--", color=COLOURS[1], marker=MARKERS[1], label="on X")
            ax.axhspan(null["low"].min(), null["high"].max(), color="#888888", alpha=0.35, label="random, same norm")
            if published and model in published:
                ax.plot(10_000, published[model], "kx", markersize=8, label="published, 10,000 images")
            ax.set(xscale="log", ylim=(0, 1), title=short(model), xlabel="images in X", ylabel="fooling rate")
            ticks = list(attack["n_images"]) + ([10_000] if published and model in published else [])
            ax.set_xticks(ticks, [f"{t:g}" for t in ticks], rotation=45)
            ax.minorticks_off()
        _legend(figure, axes)
    return figure


def passes(arrays: Mapping[str, np.ndarray]) -> Figure | None:
    """Fooling rate pass by pass, ``passes/<model>/<n_images>`` (on X, on other images), a panel a network.

    Runs of a single pass are no curve; None where there are no others.
    """
    found = {tuple(k.split("/")[1:]): v for k, v in arrays.items() if k.startswith("passes/") and v.shape[1] > 1}
    models = list(dict.fromkeys(model for model, _ in found))
    if not found:
        return None
    with style():
        figure, axes = _panels(len(models))
        for ax, model in zip(axes, models, strict=True):
            for place, (n, curve) in enumerate((n, c) for (name, n), c in found.items() if name == model):
                number = range(1, curve.shape[1] + 1)
                colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
                ax.plot(number, curve[1], color=colour, marker=marker, label=f"{n} images in X, other images")
                ax.plot(number, curve[0], "--", color=colour, marker=marker, label=f"{n} images in X, on X")
            ax.set(title=short(model), ylim=(0, 1), xlabel="pass", ylabel="fooling rate")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(figure, axes)
    return figure


def _heat(ax: plt.Axes, grid: pd.DataFrame, *, low: float, high: float, digits: int = 2, rule: bool = False) -> None:
    """A matrix with its numbers; with ``rule`` the last row and column are set apart as means."""
    values = grid.to_numpy(float)
    ax.imshow(values, vmin=low, vmax=high, cmap="cividis", aspect="auto")
    for (i, j), number in np.ndenumerate(values):
        if number == number:
            dark = (number - low) / (high - low) < 0.6
            ax.text(j, i, f"{number:.{digits}f}", ha="center", va="center", color="white" if dark else "black")
    ax.set_xticks(range(grid.shape[1]), [short(str(c)) for c in grid.columns], rotation=45, ha="right", fontsize=8)
    ax.set_yticks(range(grid.shape[0]), [short(str(r)) for r in grid.index], fontsize=8)
    if rule:
        ax.axvline(grid.shape[1] - 1.5, color="white", linewidth=3)


def transfer(table: pd.DataFrame) -> Figure:
    """Rows: the network that a perturbation was computed for; columns: the network attacked; one matrix a set of images.

    The null is the lowest row; the last row and column are the means over the other networks.
    """
    run = _was_run(table)
    sets = list(dict.fromkeys(run["data"]))
    most = max(run.loc[run["data"] == s, "model"].nunique() for s in sets)
    with style(grid=False):
        figure, axes = _panels(len(sets), columns=1, width=1.0 * most + 2.6, height=0.5 * most + 3.0)
        for ax, name in zip(axes, sets, strict=True):
            part = run[run["data"] == name]
            own = list(dict.fromkeys(part["model"]))
            null = list(dict.fromkeys(part.loc[part["kind"] == "null", "source"]))
            means = part[part["kind"] == "row mean"].set_index("model")["fooling_rate"]
            grid = part[part["kind"] != "row mean"].groupby(["source", "model"])["fooling_rate"].mean().unstack()
            grid = grid.reindex(index=[*own, "all others", *null], columns=own)
            grid["all others"] = means.reindex(grid.index)
            _heat(ax, grid, low=0, high=1, rule=True)
            ax.axhline(len(own) - 0.5, color="white", linewidth=3)
            ax.set(title=f"fooling rate, {name}", xlabel="network attacked", ylabel="computed for")
    return figure


def shuffles(table: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> Figure:
    """Normalised inner products of the perturbations of several shuffles, a panel a network."""
    run = _was_run(table)
    models = [m for m in dict.fromkeys(run["model"]) if f"gram/{m}" in arrays]
    with style(grid=False):
        figure, axes = _panels(len(models), height=3.4)
        for ax, model in zip(axes, models, strict=True):
            names = [int(k) for k in run.loc[(run["model"] == model) & (run["kind"] == "UAP"), "shuffle"]]
            _heat(ax, pd.DataFrame(arrays[f"gram/{model}"], names, names), low=-1, high=1)
            ax.set(title=short(model), xlabel="shuffle", ylabel="shuffle")
    return figure


def five(arrays: Mapping[str, np.ndarray], table: pd.DataFrame) -> Figure:
    """The perturbations ``v/<model>/<shuffle>`` as pictures, contrast stretched, a row a network."""
    models = [m for m in dict.fromkeys(_was_run(table)["model"]) if f"gram/{m}" in arrays]
    vectors = [[(k.rpartition("/")[2], v) for k, v in arrays.items() if k.startswith(f"v/{m}/")] for m in models]
    columns = max(map(len, vectors))
    with style(grid=False):
        figure, axes = plt.subplots(
            len(models), columns, figsize=(1.9 * columns, 2.2 * len(models)), squeeze=False, layout="constrained"
        )
        for ax in axes.flat:
            ax.axis("off")
        for line, (model, row) in enumerate(zip(models, vectors, strict=True)):
            for ax, (name, v) in zip(axes[line], row, strict=False):
                ax.imshow(as_picture(v, stretch=True), interpolation="nearest")
                ax.set_title(f"{short(model)}\nshuffle {name}", fontsize=8)
    return figure


def cosines(table: pd.DataFrame) -> Figure:
    """Normalised inner products of the networks' perturbations, one matrix a set of images."""
    run = _was_run(table)
    pairs = run[run["kind"] == "pair"]
    sets = list(dict.fromkeys(pairs["data"]))
    with style(grid=False):
        figure, axes = _panels(len(sets), columns=1, width=6.0, height=4.2)
        for ax, name in zip(axes, sets, strict=True):
            part = pairs[pairs["data"] == name]
            names = list(dict.fromkeys([*part["model"], *part["other_network"]]))
            grid = pd.DataFrame(np.eye(len(names)), names, names)
            for row in part.itertuples():
                grid.loc[row.model, row.other_network] = grid.loc[row.other_network, row.model] = row.cosine_similarity
            _heat(ax, grid, low=-0.2, high=1, digits=3)
            ax.set(title=f"normalised inner product, {name}")
    return figure


def teaser(images: np.ndarray, v: np.ndarray, rows: pd.DataFrame) -> Figure:
    """Left the pictures with their labels, in the middle the one perturbation, right the same pictures plus it."""
    n = len(rows)
    with style(grid=False):
        figure, axes = plt.subplots(n, 3, figsize=(6.6, 2.2 * n), squeeze=False, layout="constrained")
        for ax in axes.flat:
            ax.axis("off")
        for k, row in enumerate(rows.to_dict("records")):
            for place, shift, name in ((0, 0.0, "label"), (2, v, "perturbed_label")):
                shown = (images[k] + shift).clip(0, 1)
                axes[k, place].imshow(np.repeat(shown, 3 // len(shown), axis=0).transpose(1, 2, 0))
                axes[k, place].set_title(str(row[name])[:24], fontsize=9)
        axes[n // 2, 1].imshow(as_picture(v, stretch=True))
        axes[n // 2, 1].set_title("the perturbation\n(contrast stretched)", fontsize=9)
    return figure
