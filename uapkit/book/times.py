"""What each page took to make and what its full run cost, in one table that sorts; written when all pages are there.

The seconds of a quick run are those at the foot of the item's page, read from the executed notebook, so that both say the same.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from uapkit.book import scoreboard
from uapkit.book.html import raw
from uapkit.book.markup import duration, framed, text
from uapkit.files import write_whole

NAME = "times.md"
QUICK = re.compile(r"The quick run took (?:at most )?([\d.]+) s")  # as uapkit.book.page says it
HEAD = (("paper", "Paper"), ("title", "Item"), ("quick", "Quick run, s"), ("page", "Page, s"), ("full", "Full run"))


class Time(NamedTuple):
    """One item. quick, page, full: seconds, None where nothing was run; at_most: is ``full`` an upper bound?"""

    item: str
    paper: str
    title: str
    quick: float | None
    page: float | None
    full: float | None
    at_most: bool


def rows(build: Path) -> list[Time]:
    """Every item that has a page, in the order of the catalogue. build: the folder with ``staging`` and ``status``."""
    found = []
    for record in (r for r in scoreboard.records() if r["page"]):
        name = record["item"]
        notebook, status = build / "staging" / "notebooks" / f"{name}.ipynb", build / "status" / f"{name}.json"
        quick = QUICK.search(notebook.read_text(encoding="utf-8")) if notebook.is_file() else None
        page = json.loads(status.read_text(encoding="utf-8"))["seconds"] if status.is_file() else None
        known = (float(quick[1]) if quick else None, page, record["seconds"] or None)
        found.append(Time(name, record["paper"], record["title"], *known, record["seconds_at_most"]))
    return found


def fragment(times: list[Time]) -> str:
    """The page's sentence of totals and its table."""
    total = {key: sum(getattr(t, key) or 0 for t in times) for key in ("quick", "page", "full")}
    stored = sum(t.full is not None for t in times)
    bound = "at most " if any(t.at_most and t.full for t in times) else ""
    said = (
        f"All quick runs of this book took {duration(total['quick'])} together, all {len(times)} pages {duration(total['page'])}. "
        f"The {stored} stored full runs cost {bound}{duration(total['full'])}.\n\n"
    )
    head = "".join(f'<th scope="col" data-key="{key}">{name}</th>' for key, name in HEAD)
    foot = "".join(f"<td>{one}</td>" for one in ("", "all", *(duration(total[k]) for k in ("quick", "page", "full"))))
    table = framed(
        head, map(_row, times), "execution times", "uapkit-few uapkit-sortable", f"<tfoot><tr>{foot}</tr></tfoot>"
    )
    return said + raw(table)


def _row(one: Time) -> str:
    keys: dict[str, Any] = {key: getattr(one, key) for key, _ in HEAD}
    data = " ".join(f'data-{key}="{text(value) if value is not None else ""}"' for key, value in keys.items())
    name = f'<a href="../notebooks/{one.item}.html">{text(one.title)}</a>'
    seconds = [f"{value:.1f}" if value is not None else "–" for value in (one.quick, one.page)]
    cells = (one.paper, name, *seconds, duration(one.full, at_most=one.at_most))
    return f"<tr {data}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def write(build: Path) -> None:
    """Write the fragment that the page includes into the staging tree under ``build``."""
    write_whole(build / "staging" / "book" / "_generated" / NAME, fragment(rows(build)).encode())
