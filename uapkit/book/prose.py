"""Numbers inside sentences: drawn from stored results when the book is built, never typed.

A page or a finding writes ``[[item | column | where | statistic]]``; see ``book/add_item.md`` for the forms.
"""

from __future__ import annotations

import re
from functools import cache

import pandas as pd

from uapkit.book import html as scoreboard_html
from uapkit.book import scoreboard
from uapkit.book.record import interval_of
from uapkit.book.scoreboard import number, with_interval
from uapkit.lab import Run
from uapkit.runner.catalogue import item
from uapkit.runner.verdicts import reported, stored_run
from uapkit.runner.words import kind

DRAW = re.compile(r"\[\[([^\[\]|]+(?:\|[^\[\]|]*)+)\]\]")
STATISTICS = ("only", "max", "min", "mean", "count")
PERCENT = (
    " %"  # behind a statistic: the value as a whole percentage, without its interval, for sentences that link a page
)
ABSENT = "(not run here)"
REDO = " (to be redone)"  # behind every number of a stored run that is stale


def draw(text: str, up: str = "../") -> str:
    """``text`` with every drawn number filled in; fenced blocks that are no directive stay as they are.

    up: the way from the page to the book's root, for links in drawn tables.
    """
    lines, fence = [], ""
    for line in text.splitlines(keepends=True):
        found = re.match(r"\s*(`{3,}|~{3,})(.*)", line)
        if fence:
            fence = "" if found and found[1] == fence and not found[2].strip() else fence
        elif found and found[2].strip() and not found[2].strip().startswith("{"):
            fence = found[1]
        else:
            line = DRAW.sub(lambda m: drawn(m[1], up), line)
        lines.append(line)
    return "".join(lines)


def drawn(expression: str, up: str = "../") -> str:
    """The words for one ``item | column | where | statistic``; ValueError that names what cannot be drawn."""
    name, *parts = (part.strip() for part in expression.split("|"))
    if name in ("claims", "claims by verdict"):
        return _claims(parts, up, by_verdict=name != "claims")
    if name.startswith("published "):
        return _published(name.removeprefix("published ").strip(), *parts)
    about = item(name)
    if parts[0] == "verdict":
        return _verdict(name, parts[1])
    run = _stored(name)
    if run is None:
        return ABSENT
    return _from_run(run, about.name, parts, expression) + (REDO if run.stale else "")


def _from_run(run: Run, name: str, parts: list[str], expression: str) -> str:
    """A parameter of the run, or a statistic of a column over the rows that were run."""
    if parts[0] == "params":
        params = run.provenance["params"]
        if parts[1] not in params:
            raise ValueError(f"{name} has no parameter {parts[1]!r}: it has {sorted(params)}")
        value = params[parts[1]]
        if isinstance(value, dict):
            raise ValueError(f"[[{expression}]]: {parts[1]} is set by network, {value}; draw a column of their rows")
        return str(value)
    column, where, how = parts[0], parts[1] if len(parts) > 1 else "", parts[2] if len(parts) > 2 else "only"
    rows = _matching(run.rows, where, expression)
    if rows.empty and not _left_out(run, where, expression):
        raise ValueError(f"[[{expression}]]: no row of the table of {name} is so, and none was left out")
    if how == "count" or column == "count":
        return str(len(rows))
    if column not in rows:
        raise ValueError(f"[[{expression}]]: the table has no column {column!r}, it has {sorted(rows.columns)}")
    return _statistic(rows.dropna(subset=[column]), column, how, expression)


def _statistic(rows: pd.DataFrame, column: str, how: str, expression: str) -> str:
    if how.endswith(PERCENT):
        return _percent(rows, column, how.removesuffix(PERCENT), expression)
    if how not in STATISTICS:
        raise ValueError(f"[[{expression}]]: the statistic is one of {', '.join(STATISTICS)}, not {how!r}")
    if rows.empty:
        return ABSENT
    if how == "mean":
        return number(float(rows[column].mean()))
    if how == "only" and len(rows) != 1:
        raise ValueError(f"[[{expression}]] names {len(rows)} rows, not one; narrow it or take max, min, mean or count")
    row = rows.loc[rows[column].idxmin() if how == "min" else rows[column].idxmax()] if how != "only" else rows.iloc[0]
    if not isinstance(row[column], (int, float)):
        return str(row[column])
    interval = interval_of(row, column)
    if interval is None:
        return number(float(row[column]))
    size = f" (n\u00a0=\u00a0{int(row['n'])})" if "n" in rows and row["n"] == row["n"] else ""
    return with_interval(float(row[column]), *interval) + size


def _percent(rows: pd.DataFrame, column: str, how: str, expression: str) -> str:
    plain = _statistic(rows[[column]], column, how, expression)
    if plain == ABSENT:
        return plain
    share = float({"max": rows[column].max, "min": rows[column].min}.get(how, rows[column].mean)())
    if not 0 <= share <= 1:
        raise ValueError(f"[[{expression}]]: {share:.3g} is no share between 0 and 1 to be written in percent")
    return f"{100 * share:.0f}\u00a0%"


@cache
def _stored(name: str) -> Run | None:
    run = stored_run(name)
    return run and Run(run.table, {}, run.provenance, run.stale)  # one page draws from many: no arrays are held


def _left_out(run: Run, where: str, expression: str) -> bool:
    """Whether rows that the run names but did not compute are so; such rows hold few values, and an empty one may be any."""
    return not _matching(run.table.loc[run.table.index.difference(run.rows.index)], where, expression, empty=True).empty


def _matching(table: pd.DataFrame, where: str, expression: str, *, empty: bool = False) -> pd.DataFrame:
    """The rows where every ``column=value`` holds; empty: a cell without a value holds any."""
    keep = pd.Series(True, index=table.index)
    for part in filter(None, where.split(";")):
        column, equals, value = part.partition("=")
        if not equals or column.strip() not in table:
            raise ValueError(f"[[{expression}]]: {part!r} is no column=value of the table's {sorted(table.columns)}")
        own = table[column.strip()]
        same = own == float(value) if pd.api.types.is_numeric_dtype(own) else own.astype(str) == value.strip()
        keep &= (same | own.isna()) if empty else same
    return table[keep]


def _verdict(name: str, claim: str) -> str:
    record = next(r for r in scoreboard.records() if r["item"] == name)
    found = [c["verdict"] for c in record["claims"] if c["claim"] == claim]
    if not found:
        raise ValueError(f"{name} has no claim {claim!r}: it has {[c['claim'] for c in record['claims']]}")
    return f"*{found[0]}*{REDO if record['stale'] else ''}"


def _published(name: str, metric: str, where: str = "", how: str = "only") -> str:
    """A published value, or the smallest or largest of several, from ``reported/<paper>.csv``."""
    rows = reported(item(name))
    rows = rows[rows["metric"] == metric]
    for part in filter(None, where.split(";")):
        rows = rows[rows["where"].map(lambda w, part=part: part.strip() in w.split(";")).astype(bool)]
    values = list(rows["value"])
    if how == "only" and len(values) != 1:
        raise ValueError(f"[[published {name} | {metric} | {where}]] names {len(values)} rows, not one")
    if not values:
        raise ValueError(f"[[published {name} | {metric} | {where}]] names no row")
    value = str(values[0] if how == "only" else max(values, key=float) if how == "max" else min(values, key=float))
    return value if len(value) < 9 else number(float(value))  # the paper's digits, unless they are a computer's


def _claims(parts: list[str], up: str, *, by_verdict: bool) -> str:
    """A table of the named claims (``item claim``), or of the papers' own claims with one of the named verdicts."""
    records = scoreboard.records()
    known = {(r["item"], c["claim"]): c for r in records for c in r["claims"]}
    if by_verdict:
        wanted = {key for key, c in known.items() if kind(c["verdict"]) in parts and c["confidence"] != "ours"}
    else:
        wanted = {(item, claim) for item, _, claim in (part.partition(" ") for part in parts)}
        if wanted - set(known):
            raise ValueError(f"no such claims: {sorted(wanted - set(known))}")
    return scoreboard_html.raw(scoreboard_html.claims_table(records, up, "claims side by side", wanted)).rstrip()
