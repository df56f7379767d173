"""What a page says of nulls that another item measured: which of its rows stay above them, and which networks have none."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from IPython.display import HTML

from uapkit.book.markup import text
from uapkit.book.tables import MOST, table
from uapkit.lab.beside import ABOVE, BELOW, OPEN
from uapkit.names import network

NAMED = 4  # so many rows are named in the sentence; more are counted
COMPARED = ("fooling_rate", "null_rate", "difference")


def told(found: pd.DataFrame, networks: Iterable[str], null: str, other: str, *, redo: bool = False) -> str:
    """A paragraph: how many rows of :func:`uapkit.lab.beside.compared` stay above their null, lie below it, and are open.

    networks: all networks of the run; those without a row are named once. null: what the null is, in words; other: the
    item that measured it, which is linked; redo: that run must be made anew, and the paragraph says so.
    """
    without = [name for name in dict.fromkeys(networks) if found.empty or name not in set(found["model"])]
    link = f'<a href="../{text(other)}.html">One page</a> has all of these nulls.'
    head = f"<strong>Beside {text(null)}:</strong>" + " (to be redone)" * redo
    if found.empty:
        return f"<p>{head} no network of this run has such a null at hand. {link}</p>"
    counts = {word: int((found["stands"] == word).sum()) for word in (ABOVE, BELOW, OPEN)}
    above = _count(counts[ABOVE], "stays above it", "stay above it") + _named(found)
    rest = f"{_count(counts[BELOW], 'lies below it', 'lie below it')}, {_count(counts[OPEN], 'is open', 'are open')}"
    how = "95 % intervals of the differences, paired over the images that both runs scored"
    missing = f" Not measured for {text(_joined([network(name) for name in without]))}." if without else ""
    return f"<p>{head} of {len(found)} rows {above}, {rest} ({how}).{missing} {link}</p>"


def _count(n: int, one: str, many: str) -> str:
    return f"{n or 'none'} {one if n < 2 else many}"


def _named(found: pd.DataFrame) -> str:
    """The rows above their null in brackets, where they are few."""
    rows = found[found["stands"] == ABOVE]
    if not 0 < len(rows) <= NAMED:
        return ""
    settings = [c for c in settings_of(rows) if c != "model"]
    names = [
        ", ".join([network(str(row["model"])), *(f"{c.replace('_', ' ')} {_plain(row[c])}" for c in settings)])
        for row in rows.to_dict("records")
    ]
    return f" ({text('; '.join(names))})"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else network(str(value))


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def settings_of(found: pd.DataFrame) -> list[str]:
    """The columns that say which row it is: those before the first rate."""
    columns = list(found.columns)
    return columns[: columns.index(COMPARED[0])]


def differences(found: pd.DataFrame) -> HTML | None:
    """Each row beside its null, paired; None where no row has one."""
    if found.empty:
        return None
    settings = settings_of(found)
    shown = [*settings, *COMPARED[max(0, len(settings) + len(COMPARED) - MOST) :]]
    return table(found, "Each row minus its null, paired over the scored images, 95 % intervals", shown=shown)
