"""What figures of several items of paper K share: rates against one parameter with their nulls, and vectors to pick from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit.figures.levels import level
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import look, short, style, with_intervals
from uapkit.figures.widgets import Frames, State, frames
from uapkit.lab import Run, nulls, rows_of
from uapkit.lab.beside import Null

MANY, MIDDLE = 16, 160  # more vectors than this in one widget are shown by their middle
FIELDS = {  # column: words
    "singular_value": "singular value",
    "wavelength": "mean wavelength in pixels",
    "neighbours": "correlation of neighbouring pixels",
    "spectral_correlation": "likeness to the layer's features",
}


@of_a_run
def curves(
    run: Run,
    x: str,
    *,
    value: str = "fooling_rate",
    by: str = "kind",
    label: str | None = None,
    limits: tuple[float, float] | None = (0, 1),
    beside: Mapping[str, Null] | None = None,
    marks: Mapping[str, tuple[float, Null]] | None = None,
) -> Figure:
    """``value`` against ``x``, a panel a network, a line for each ``by``; several draws are thin points and their mean.

    Values of x stand at equal distances in their order (so that infinity has a place). Kinds without an x are drawn
    across. Random signs: a band over all their intervals; the untrained copy: a line across. beside: for each network a null that
    another item measured on the same images, a line across; marks: a null that belongs to one x alone, a point there.
    """
    with style():
        drawn, axes = panels(models_of(run.rows))
        for ax, (network, rows) in zip(axes, run.by_network(), strict=False):
            measured = rows[~rows["is_null"]]
            attack = measured[measured[x].notna() & measured[value].notna()]
            ticks = sorted(set(attack[x]))
            for group, part in attack.groupby(by, sort=False):
                name = group if isinstance(group, str) else f"{by} {group:g}"
                _line(ax, part, x, ticks, value, name)
            for kind, part in measured[measured[x].isna()].groupby("kind", sort=False):
                shown = look(str(kind))
                ax.axhline(part[value].mean(), color=shown.colour, linestyle=":", label=str(kind))
            _nulls(ax, rows, value)
            if beside and network in beside:
                level(ax, beside[network].rate, beside[network].kind)
            if marks and network in marks:
                at, null = marks[network]
                one = pd.DataFrame([null.rate.columns(value)])
                with_intervals(ax, places(pd.Series([at]), ticks), one, value, look(null.kind), null.kind, line=False)
            ax.set(title=short(network), xlabel=x.replace("_", " "), ylabel=label or value.replace("_", " "))
            ax.set_xticks(range(len(ticks)), [f"{t:g}" for t in ticks], rotation=0 if len(ticks) < 9 else 60)
            if limits:
                ax.set_ylim(*limits)
        legend(drawn, axes)
    return drawn


def places(values: pd.Series | pd.Index, ticks: Sequence[float]) -> list[int]:
    """Where values stand on an axis whose ticks are at equal distances."""
    return [list(ticks).index(v) for v in values]


def _line(ax: plt.Axes, part: pd.DataFrame, x: str, ticks: Sequence[float], value: str, name: str) -> None:
    shown = look(name)
    if part[x].duplicated().any() or "low" not in part or part["low"].isna().all():
        ax.plot(places(part[x], ticks), part[value], ".", color=shown.colour, alpha=0.5)
        middle = part.groupby(x)[value].mean()
        given: dict[str, Any] = {"color": shown.colour, "marker": shown.marker, "linestyle": shown.line, "label": name}
        ax.plot(places(middle.index, ticks), middle, **given)
    else:
        part = part.sort_values(x)
        with_intervals(ax, places(part[x], ticks), part, value, shown, name)


def _nulls(ax: plt.Axes, rows: pd.DataFrame, value: str) -> None:
    random, fresh = (rows_of(rows[rows[value].notna()], kind=kind) for kind in (nulls.RANDOM_SIGNS, nulls.UNTRAINED))
    if len(random):
        ends = ("low", "high") if "low" in random and random["low"].notna().any() else (value, value)
        low, high = random[ends[0]].min(), random[ends[1]].max()
        ax.axhspan(low, high, color=look(nulls.RANDOM_SIGNS).colour, alpha=0.35, label=nulls.RANDOM_SIGNS)
    if len(fresh):
        shown = look(nulls.UNTRAINED)
        ax.axhline(fresh[value].mean(), color=shown.colour, linestyle=shown.line, label="untrained copy")


def vectors(run: Run, *, by: str) -> Frames:
    """A picker of network and ``by`` ("layer" or "q") over a run's singular vectors ``v/<model>/...``."""
    states, rows = [], run.where(kind="vector").to_dict("records")
    for row in rows:
        end = row["layer"] if by == "layer" else f"q = {row['q']:g}"
        v = middle_of(run.flags("v", row["model"], end), MIDDLE if len(rows) > MANY else None)
        facts = {"layer": row["layer"]} if by == "q" else {}
        facts |= {words: row[name] for name, words in FIELDS.items() if name in row and row[name] == row[name]}
        states.append(
            State(
                at={"network": short(row["model"]), by: row[by]},
                pictures=as_picture(v, stretch=True),
                facts=facts,
                alt=f"Singular vector of {short(row['model'])}, {by} {row[by]}, contrast stretched",
            )
        )
    cut = len(rows) > MANY and any(v.shape[-1] > MIDDLE for k, v in run.arrays.items() if k.startswith("v/"))
    middle = f" Shown are the middle {MIDDLE} x {MIDDLE} pixels." if cut else ""
    return frames(
        states,
        title=f"One singular vector at a time, by {by}",
        width=300,
        note=f"Contrast is stretched to the full range; mid grey is no change.{middle}",
    )


def middle_of(v: np.ndarray, side: int | None) -> np.ndarray:
    """The middle ``side`` x ``side`` pixels of v (c, h, w), where it is larger: noise cannot be compressed."""
    top, left = ((n - side) // 2 if side and n > side else 0 for n in v.shape[1:])
    return v[:, top : top + side, left : left + side] if side else v
