"""Rates that do not change along a plot, such as those of a null: a line across with its interval as a pale band."""

from __future__ import annotations

import matplotlib.pyplot as plt

from uapkit.figures.style import Look, look
from uapkit.intervals import Interval

BEST = {"best pattern": "checks"}  # the best of several kinds looks like one of them in every figure


def look_of_null(kind: str) -> Look:
    """How a null is drawn; "best pattern", the best of stripes, checks and noises, looks alike whichever it is."""
    return look(BEST.get(kind, kind))


def level(ax: plt.Axes, rate: Interval, kind: str, label: str = "") -> None:
    """A line across in the look of a null's kind, the 95 % interval as a pale band; label: its name, by default the kind."""
    shown = look_of_null(kind)
    ax.axhspan(rate.low, rate.high, color=shown.colour, alpha=0.12, linewidth=0)
    ax.axhline(rate.value, color=shown.colour, linestyle=shown.line, label=label or kind)
