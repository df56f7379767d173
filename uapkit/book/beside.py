"""What a page says of nulls that another item measured: which of its rows stay above them, and which networks have none."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from IPython.display import HTML

from uapkit.book.markup import text
from uapkit.book.tables import MOST, table
from uapkit.lab.beside import ABOVE, BELOW, OPEN
from uapkit.names import network

PATTERNS = "khrulkov2018/ext_patterns"
BEST = "the best pattern"
WHAT = {  # of the items whose nulls other pages show
    PATTERNS: "The pattern needs no network: of a few stripes, checks, Perlin and Gabor noises it fools most held-in images.",
    "moosavi2017/ext_stall": "The noise has the spectrum of the vector that was made there on the largest X, and fills the ball.",
}
NAMED = 4  # so many rows are named in the sentence; more are counted
COMPARED = ("fooling_rate", "null_rate", "difference")


def told(
    found: pd.DataFrame, networks: Iterable[str], null: str = BEST, other: str = PATTERNS, *, redo: bool = False
) -> str:
    """A paragraph: how many rows of :func:`uapkit.lab.beside.compared` stay above their null, lie below it, and are open.

    networks: all networks of the run; those without a row are named once. null: what the null is, in words; other: the
    item that measured it, which is linked; redo: that run must be made anew, and the paragraph says so.
    """
    without = [name for name in dict.fromkeys(networks) if found.empty or name not in set(found["model"])]
    head = f"<strong>Beside {text(null)}:</strong>" + " (to be redone)" * redo
    what = f'{WHAT.get(other, "")} <a href="../{text(other)}.html">The page that measured it</a>.'
    if found.empty:
        return f"<p>{head} no network of this run has this null on the same images. {what}</p>"
    counts = {word: int((found["stands"] == word).sum()) for word in (ABOVE, BELOW, OPEN)}
    above = _count(counts[ABOVE], "stays above it", "stay above it") + _named(found)
    rest = f"{_count(counts[BELOW], 'lies below it', 'lie below it')}, {_count(counts[OPEN], 'is open', 'are open')}"
    rows = f"{len(found)} row{'s' * (len(found) > 1)}"
    how = "Differences are paired over the images that both runs scored, with 95 % intervals."
    missing = (
        f" {text(_joined([network(name) for name in without]))}: no such null on the same images." if without else ""
    )
    return f"<p>{head} of {rows} {above}, {rest}. {how}{missing} {what}</p>"


def _count(n: int, one: str, many: str) -> str:
    return f"{n or 'none'} {one if n < 2 else many}"


def _named(found: pd.DataFrame) -> str:
    """The rows above their null in brackets, where they are few."""
    rows = found[found["stands"] == ABOVE]
    if not 0 < len(rows) <= NAMED:
        return ""
    settings = [c for c in settings_of(rows) if c != "model"]
    names = [
        ", ".join([network(str(row["model"])), *(_setting(c, row[c]) for c in settings)])
        for row in rows.to_dict("records")
    ]
    return f" ({text('; '.join(names))})"


def _setting(column: str, value: object) -> str:
    return str(value) if isinstance(value, str) else f"{column.replace('_', ' ')} {value:g}"


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def settings_of(found: pd.DataFrame) -> list[str]:
    """The columns that say which row it is: those before the first rate."""
    columns = list(found.columns)
    return columns[: columns.index(COMPARED[0])]


def differences(found: pd.DataFrame) -> HTML:
    """Each row beside its null, paired; nothing where no row has one."""
    if found.empty:
        return HTML("")
    settings = settings_of(found)
    shown = [*settings, *COMPARED[max(0, len(settings) + len(COMPARED) - MOST) :]]
    return table(found, "Each row minus its null, paired over the scored images, 95 % intervals", shown=shown)
