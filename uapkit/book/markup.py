"""Small pieces of HTML that tables, boxes and the scoreboard share."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def text(value: Any) -> str:
    """Escaped for HTML; a dash where there is nothing."""
    return "–" if value is None or value == "" or value != value else html.escape(str(value))


def breakable(name: str) -> str:
    """A long name that may break at its underscores, slashes and brackets, and nowhere else."""
    return re.sub(r"([_/])|(?=\[)", r"\1<wbr>", text(name))


def badge(verdict: str) -> str:
    """A verdict as a coloured word; the word alone says it, too."""
    return f'<span class="uapkit-verdict" data-verdict="{text(verdict)}">{text(verdict)}</span>'


def duration(seconds: float | None, *, at_most: bool = False) -> str:
    """Seconds as people say them: "12 s", "3.4 min", "at most 1.5 h"; a dash for None."""
    if seconds is None:
        return "–"
    unit, size = next(((u, n) for u, n in (("h", 3600), ("min", 60)) if seconds >= 2 * n), ("s", 1))
    many = seconds / size
    return f"{'at most ' * at_most}{many:.{0 if many >= 10 else 1}f} {unit}"


def scrolling(inside: str, label: str) -> str:
    """HTML that may be wider than its column, in a region that scrolls by itself and has a name; its HTML as it is."""
    return f'<div class="uapkit-scroll" tabindex="0" role="region" aria-label="{text(label)}">{inside}</div>'


def framed(head: str, rows: Iterable[str], label: str, kind: str = "", foot: str = "") -> str:
    """A table of the book from its cells and rows as HTML; ``kind``: classes besides that of all tables."""
    body = "\n".join(rows)
    return scrolling(
        f'<table class="{f"uapkit-table {kind}".strip()}"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>{foot}</table>',
        label,
    )


def plain(frame: pd.DataFrame, label: str) -> str:
    """A small table as it is, every cell escaped."""
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in frame.columns)
    rows = frame.itertuples(index=False)
    return framed(head, ("<tr>" + "".join(f"<td>{text(value)}</td>" for value in row) + "</tr>" for row in rows), label)
