"""What two or more of paper E's figures share; nothing is computed beyond placing and scaling."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from uapkit.figures.panels import legend, panels
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import look, short, style
from uapkit.lab import Run, rows_of

LINES = ("-", "--", ":", "-.")
FITS = {"held out": "-", "in sample": "--", "other half": "-."}  # lines of the curves


def first_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """The networks of training seed 0, for figures that would be crowded with all of them; a table has the others."""
    return rows[rows["training_seed"] == 0] if "training_seed" in rows else rows


def pairs_in(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """The (network, attack) of the rows, in their order."""
    return list(dict.fromkeys(zip(rows["model"], rows["attack"], strict=True)))


def bounds(rows: pd.DataFrame, value: str, low: str = "low", high: str = "high") -> list[pd.Series]:
    """How far an interval reaches below and above its value, never negative."""
    return [(rows[value] - rows[low]).clip(lower=0), (rows[high] - rows[value]).clip(lower=0)]


def titled(ax: plt.Axes, title: str) -> None:
    """A small title, where a figure has many panels."""
    ax.set_title(title, fontsize=9)


def tint(colour: str, share: float) -> tuple[float, float, float]:
    """``colour`` mixed with white: of share 1 itself, of share 0 white."""
    r, g, b = (1 - share * (1 - part) for part in to_rgb(colour))
    return r, g, b


def bars(rows: pd.DataFrame, value: str) -> Figure:
    """One group of bars a network, one bar a kind, with intervals."""
    names, kinds = list(dict.fromkeys(rows["model"])), list(dict.fromkeys(rows["kind"]))
    width = 0.8 / (len(kinds) or 1)
    with style():
        # one bar below another, a group a network, so that many networks need no wider figure
        figure, ax = plt.subplots(figsize=(6.6, 0.9 + max(1.6, 0.17 * len(names) * len(kinds))), layout="constrained")
        for j, kind in enumerate(kinds):
            here = rows_of(rows, kind=kind).drop_duplicates("model").set_index("model").reindex(names)
            place = np.arange(len(names)) + (j - (len(kinds) - 1) / 2) * width
            shown, label = ("trained", "clean images") if kind == "clean" else (kind, kind)
            colour = look(shown).colour
            ax.barh(place, here[value], width, xerr=bounds(here, value), capsize=2, color=colour, label=label)
        ax.set(xlabel=value.replace("_", " "), yticks=range(len(names)))
        ax.set_yticklabels([short(str(n)) for n in names], fontsize=9)
        ax.invert_yaxis()
        legend(figure, [ax])
    return figure


def vectors(run: Run, prefix: str, columns: int = 5) -> Figure:
    """The vectors whose names begin with ``prefix`` as contrast-stretched pictures, ``columns`` a line."""
    chosen = {name: v for name, v in run.arrays.items() if name.startswith(prefix)}
    with style(grid=False):
        figure, axes = panels(list(chosen), columns, height=1.95, width=1.5 * columns)
        for ax, (name, v) in zip(axes, chosen.items(), strict=False):
            ax.imshow(as_picture(v, stretch=True), interpolation="nearest")
            ax.axis("off")
            parts = name.split("/")[1:]
            ax.set_title("\n".join([*map(short, parts[:-1]), f"vector {parts[-1]}"]), fontsize=8)
    return figure


def curves(run: Run, value: str = "error_rate") -> Figure:
    """Rate against the norm, a panel a (network, attack): each sample at its chosen sign, the other sign thin, baselines.

    The more images, the darker; how they were fitted is told by the line. Networks from other training seeds are dotted,
    for the largest sample scored with the vector of the other half. Bars: the central 95 % of the draws of a random null at
    the norm that has them all, in the images' subspace in which they err most; its line is the worst of those that were
    followed over all norms. Ticks: redraws.
    """
    ends = ("error_low", "error_high") if value == "error_rate" else ("low", "high")
    first = first_seed(run.rows)
    scored = rows_of(first, kind="singular vector")
    pairs, sizes = pairs_in(scored), sorted(set(scored["n_fit"]))
    colour = look("singular vector").colour
    with style():
        figure, axes = panels(pairs, height=2.8 if len(pairs) > 2 else 4.2)  # the legend takes as much as a row
        for ax, (model, attack) in zip(axes, pairs, strict=False):
            for (fit, n, chosen), one in _samples(rows_of(scored, model=model, attack=attack)):
                one, line, label = one.sort_values("relative_norm"), FITS[fit], f"{n:.0f} images, {fit}"
                darkness = tint(colour, 0.3 + 0.7 * (sizes.index(n) + 1) / len(sizes))
                if not chosen:
                    ax.plot(one["relative_norm"], one[value], line, color=darkness, linewidth=0.6)
                    continue
                ax.plot(one["relative_norm"], one[value], line, color=darkness, linewidth=1.5, label=label)
                ax.fill_between(one["relative_norm"], one[ends[0]], one[ends[1]], color=darkness, alpha=0.15)
            for k, one in enumerate(_other_seeds(run.rows, model, attack)):
                once = None if k else "other training seeds"
                ax.plot(one["relative_norm"], one[value], ":", color=colour, label=once)
            again = rows_of(first, model=model, attack=attack, kind="redraw")
            ax.plot(
                again["relative_norm"],
                again[value],
                "_",
                color=colour,
                markersize=5,
                label="the smallest sample, redrawn",
            )
            of_one = (first["attack"] == attack) & first["is_null"]  # noise with the spectrum of this attack's vector
            drawn = first["attack"].isna() | of_one
            others = first[(first["model"] == model) & drawn & first[value].notna()]
            for kind, here in others.groupby("kind", sort=False):
                shown = look(str(kind))
                worst = _followed(here).groupby("relative_norm")[value].max()
                ax.plot(worst.index, worst, shown.line, color=shown.colour, linewidth=1, label=kind)
                for size, draws in here.groupby("relative_norm"):  # all draws, at the norm that has them
                    if len(draws) > worst.size:
                        low, high = _strongest(draws, value).quantile([0.025, 0.975])
                        ax.plot([size, size], [low, high], color=shown.colour, linewidth=3, alpha=0.5)
            titled(ax, f"{short(model)}\n{attack}")
            ax.set(ylim=(0, 1), xlabel="norm / mean image norm")
        axes[0].set_ylabel(value.replace("_", " "))
        legend(figure, axes, 2)
    return figure


def _strongest(draws: pd.DataFrame, value: str) -> pd.Series:
    """The values of the draws from the one of the images' subspaces whose 97.5 % quantile is largest; all where there is one."""
    if "energy" not in draws or draws["energy"].isna().all():
        return draws[value]
    return max((part[value] for _, part in draws.groupby("energy")), key=lambda one: one.quantile(0.975))


def _followed(rows: pd.DataFrame) -> pd.DataFrame:
    """The draws of a null that were followed over all norms; all rows of a kind without draws."""
    if "draw" not in rows or rows["draw"].isna().all():
        return rows
    which = ["draw", "energy"] if "energy" in rows and rows["energy"].notna().any() else ["draw"]
    norms = rows.groupby(which)["relative_norm"].transform("nunique")
    return rows[norms == norms.max()]


def _samples(rows: pd.DataFrame) -> list[tuple[tuple[str, float, bool], pd.DataFrame]]:
    """((fit, n_fit, chosen), rows), the chosen sign of each sample last, so that it lies above the other."""
    found = [(key, part) for key, part in rows.groupby(["fit", "n_fit", "chosen"], sort=False)]
    return sorted(found, key=lambda one: bool(one[0][2]))


def _other_seeds(rows: pd.DataFrame, model: str, attack: str) -> list[pd.DataFrame]:
    """The cross-fitted curves of ``model``'s network trained from other seeds, one each."""
    if "training_seed" not in rows:
        return []
    network = rows.loc[rows["model"] == model, "network"].iloc[0]
    others = rows[(rows["network"] == network) & (rows["model"] != model)]
    others = rows_of(others, attack=attack, fit="other half", chosen=True)
    return [one.sort_values("relative_norm") for _, one in others.groupby("model", sort=False)]
