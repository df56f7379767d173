"""What holds: the headline claims of ``book/what_holds.yml``, each setting a dot with its interval beside its null and the test.

The plot is SVG in percent of its width, so it fits any screen with letters of the page's own size. Every position is drawn
from the evidence of a stored run; a claim that has no stored run says so.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from matplotlib.ticker import MaxNLocator

from uapkit import names
from uapkit.book import evidence as told
from uapkit.book import scoreboard
from uapkit.book.html import raw, redo
from uapkit.book.markup import badge, text
from uapkit.book.scoreboard import Record
from uapkit.figures.style import look
from uapkit.runner.catalogue import items, papers, project_root
from uapkit.runner.words import OPEN, YES

LANE, AXIS = 20, 26  # pixels: the height of a setting, and of the axis below all of them
ROOM = 3.0  # percent of the width left free on each side, for dots and numbers at the ends
Row = dict[str, Any]


def headlines() -> dict[str, list[dict[str, str]]]:
    """The chosen claims by paper, each ``{"item", "claim", "measured"}``. ValueError for a paper or claim that does not exist."""
    path = project_root() / "book" / "what_holds.yml"
    chosen = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    known = {(r["item"], c["claim"]) for r in scoreboard.records() for c in r["claims"]}
    found = {}
    for paper, rows in chosen.items():
        if paper not in papers():
            raise ValueError(f"book/what_holds.yml: no paper {paper!r}; known: {', '.join(papers())}")
        found[paper] = [
            dict(zip(("item", "claim"), r["claim"].split(), strict=True)) | {"measured": r["measured"]} for r in rows
        ]
        for one in found[paper]:
            if (one["item"], one["claim"]) not in known or items()[one["item"]].paper != paper:
                raise ValueError(
                    f"book/what_holds.yml: {paper} has no claim {one['item']} {one['claim']}; see `uapkit list`"
                )
    return found


def fragments() -> dict[str, str]:
    """The file ``what_holds.md`` that the page includes: a key to the plot, and the claims by paper."""
    by_item = {r["item"]: r for r in scoreboard.records()}
    parts = [raw(key())]
    for paper, chosen in headlines().items():
        shown = "\n".join(_claim(by_item[one["item"]], one) for one in chosen)
        parts.append(f"## {papers()[paper]['short']}: {names.paper(paper)}\n\n{raw(shown)}")
    return {"what_holds.md": "\n".join(parts)}


def key() -> str:
    """How to read the plot, drawn with one made-up setting."""
    one = {
        "network": "a setting",
        "estimate": 0.62,
        "low": 0.54,
        "high": 0.7,
        "null": 0.25,
        "null_low": 0.2,
        "null_high": 0.3,
    }
    row = one | {"sense": ">", "bound": 0.4, "answer": YES}
    words = (
        "<b>Dot</b>: what was measured, with its 95 % interval; filled where the claim holds, hollow where it does not, is open "
        "or is not judged. <b>Grey</b>: the null, with its interval. <b>Upright line</b>: the test; the claimed side is shaded."
    )
    return f'<div class="uapkit-holds uapkit-key"><p>{words}</p>{plot([row], "how to read the plots")}</div>'


def _claim(record: Record, one: dict[str, str]) -> str:
    claim = next(c for c in record["claims"] if c["claim"] == one["claim"])
    page = f"../{record['page']}" if record["page"] else ""
    words = f'<a href="{page}">{text(claim["text"])}</a>' if page else text(claim["text"])
    rows = claim["evidence"]
    where = told.which(rows)
    chip = (
        badge(claim["verdict"])
        + redo(record)
        + (f" <small>{text(where)}</small>" if where and where.count(",") < 4 else "")
    )
    about = f"Measured: {text(one['measured'])}. {told.whose(claim).capitalize()}."
    if claim["verdict"] == "not judged":  # what is shown without a verdict has no setting where it holds
        rows = [row | {"answer": OPEN} for row in rows]
    drawn = plot(rows, claim["text"]) if rows else "<p>No stored run bears on it yet.</p>"
    said = f"<div><p><b>{words}</b></p><p>{chip}</p><p><small>{about}</small></p></div>"
    return f'<div class="uapkit-holds">{said}{drawn}</div>'


def plot(evidence: list[Row], label: str) -> str:
    """The settings of a claim as HTML: names at the left, an SVG at the right, one lane each. ValueError without evidence."""
    if not evidence:
        raise ValueError("a plot needs at least one row of evidence, got none")
    lanes, ticks = told.merged(evidence), axis(evidence)
    bounds: dict[str, list[Row]] = {}
    for row in evidence:
        bounds.setdefault(row["network"], []).append(row)
    shown = zip(lanes, shorter([r["network"] for r in lanes]), strict=True)
    listed = "".join(f'<li title="{text(r["network"])}">{text(name)}</li>' for r, name in shown)
    drawn = [_lane(r, bounds[r["network"]], ticks, k * LANE) for k, r in enumerate(lanes)]
    drawn.append(_axis(ticks, len(lanes) * LANE))
    short = told.told(evidence)
    said = f"{label}: measured {short['measured']}; test: {short['test']}; null: {short['null']}".replace("\u00a0", " ")
    height = len(lanes) * LANE + AXIS
    return (
        f'<div class="uapkit-lanes"><ol>{listed}</ol>'
        f'<svg role="img" aria-label="{text(said)}" width="100%" height="{height}">{"".join(drawn)}</svg></div>'
    )


def shorter(settings: list[str]) -> list[str]:
    """The settings' names without the words at their end that all of them share, such as ", over random signs"."""
    tails = {re.sub(r"^[^,:( ]+", "", name) for name in settings}
    shared = tails.pop() if len(tails) == 1 and len(settings) > 1 else ""
    return [name.removesuffix(shared) for name in settings]


def axis(evidence: list[Row]) -> list[float]:
    """Round numbers that hold everything that is drawn, ends included."""
    ends = ("estimate", "low", "high", "bound", "null", "null_low", "null_high")
    values = [float(r[e]) for r in evidence for e in ends if r.get(e) is not None and math.isfinite(float(r[e]))]
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return [float(t) for t in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]


def place(value: float, ticks: list[float]) -> float:
    """Where a value lies, in percent of the width; beyond the axis at its end."""
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return ROOM + (100 - 2 * ROOM) * min(max(share, 0.0), 1.0)


def _lane(row: Row, tests: list[Row], ticks: list[float], top: int) -> str:
    parts = []
    for test in tests:
        at = place(test["bound"], ticks)
        start, width = (at, 100 - at) if test["sense"] == ">" else (0.0, at)
        if test["sense"] != "=":
            parts.append(f'<rect class="side" x="{start:.2f}%" width="{width:.2f}%" y="{top}" height="{LANE}"/>')
        parts.append(f'<line class="test" x1="{at:.2f}%" x2="{at:.2f}%" y1="{top}" y2="{top + LANE}"/>')
    middle, grey = top + 7, look("random signs").colour
    if told.null(row) != "–":
        parts.append(_mark(row, ("null", "null_low", "null_high"), ticks, top + 14, grey, r=2.5, filled=True))
    blue = look("attack").colour
    parts.append(_mark(row, ("estimate", "low", "high"), ticks, middle, blue, r=4.5, filled=row["answer"] == YES))
    said = f"{row['network']}: {told.measured(row)}; null {told.null(row)}; holds: {row['answer']}"
    return f"<g><title>{text(said)}</title>{''.join(parts)}</g>"


def _mark(
    row: Row, columns: tuple[str, str, str], ticks: list[float], y: int, colour: str, *, r: float, filled: bool
) -> str:
    value, low, high = (float(row[c]) if row.get(c) is not None else math.nan for c in columns)
    found = ""
    if not math.isnan(low) and not math.isnan(high):
        ends = f'x1="{place(low, ticks):.2f}%" x2="{place(high, ticks):.2f}%"'
        found = f'<line {ends} y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
    if math.isnan(value):
        return found
    fill = f'fill="{colour}"' if filled else 'class="hollow"'
    return (
        f'{found}<circle cx="{place(value, ticks):.2f}%" cy="{y}" r="{r}" {fill} stroke="{colour}" stroke-width="2"/>'
    )


def _axis(ticks: list[float], top: int) -> str:
    ends = f'<line class="axis" x1="{ROOM}%" x2="{100 - ROOM}%" y1="{top}" y2="{top}"/>'
    shown = (f'<text x="{place(t, ticks):.2f}%" y="{top + 16}" text-anchor="middle">{t:g}</text>' for t in ticks)
    return ends + "".join(s.replace("-", "−") if ">-" in s else s for s in shown)
