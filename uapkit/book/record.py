"""What the scoreboard says of one item, from its stored run and the published numbers; kept by :mod:`uapkit.runner.drawn`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from uapkit.lab import Run
from uapkit.runner.catalogue import items, papers
from uapkit.runner.verdicts import STATED, compare, joined, reported, stored_run

Record = dict[str, Any]


def record(name: str) -> Record:
    """What an item's record says of its stored run and the published numbers, as plain JSON."""
    about = items()[name]
    run, theirs = stored_run(name), reported(about)
    made = run.provenance if run is not None else {}
    judged = compare(name) if about.function else None
    state = "planned" if judged is None else "not run here" if run is None else joined(judged)
    inputs = made.get("inputs", {})
    return {
        "paper": papers()[about.paper]["short"],
        "experiments": list(about.ids),
        "item": about.name,
        "title": about.title,
        "published": _levels(theirs),
        "ours": _ours(theirs, run.measured) if run is not None else [],
        "claims": _claims(theirs, judged),
        "verdict": state,
        "stale": "",
        "networks": _networks(run),
        "n": _largest_n(run),
        "seconds": made.get("seconds"),
        "seconds_at_most": bool(made) and "seconds_count" not in made,  # old records counted shared answers often
        "commit": made.get("commit", ""),
        "table_sha256": made.get("table_sha256", ""),
        "data": {k: v for k, v in inputs.items() if "[" not in k.split(" ")[0]},
        "weights": {k: v for k, v in inputs.items() if "[" in k.split(" ")[0]},
    }


def _networks(run: Run | None) -> list[str]:
    if run is None or "model" not in run.rows:
        return []
    return list(dict.fromkeys(run.rows["model"].dropna().map(str)))


def _largest_n(run: Run | None) -> int | None:
    """Images behind the largest sample of the stored run: scored ones, else those that directions were taken from."""
    if run is None:
        return None
    table = run.table
    for column in ("n", "n_rows", "n_fit"):
        sizes = pd.to_numeric(table[column], errors="coerce").dropna() if column in table else []
        if len(sizes):
            return int(max(sizes))
    return None


def interval_of(row: pd.Series, column: str) -> tuple[float, float] | None:
    """The interval of a value: columns ``low`` and ``high`` right behind it, or ones with its own name or stem; else None."""
    names, stem = list(row.index), column.rpartition("_")[0]
    own = [(f"{name}_low", f"{name}_high") for name in (column, stem)]
    pairs = [("low", "high")] if names[names.index(column) + 1 :][:1] == ["low"] else own
    pair = next((pair for pair in pairs if set(pair) <= set(names)), None)
    if pair is None:
        return None
    low, high = (float(row[c]) for c in pair)
    return (low, high) if low <= row[column] <= high else None


def _levels(rows: pd.DataFrame) -> list[Record]:
    """The paper's own numbers, a quantity each: smallest, largest, how many. Others' numbers are not the paper's."""
    found = []
    if len(rows):
        own = rows[(rows["kind"] == "level") & rows["confidence"].str.startswith("verified")]
        own = own[~own["metric"].str.startswith(("setting_", "X_size"))]  # how it was run, not what came out
        for metric, part in own.groupby("metric", sort=False):
            values = pd.to_numeric(part["value"], errors="coerce").dropna()
            if len(values):
                found.append({"metric": metric, "low": min(values), "high": max(values), "count": len(values)})
    return found


def _ours(theirs: pd.DataFrame, run: pd.DataFrame) -> list[Record]:
    """Our smallest and largest value of each published quantity, each with its interval where the table has one."""
    found = []
    for metric in (level["metric"] for level in _levels(theirs)):
        rows = run.dropna(subset=[metric]) if metric in run else run.iloc[:0]
        if rows.empty or not pd.api.types.is_numeric_dtype(rows[metric]):
            continue
        ends = [rows.loc[rows[metric].idxmin()], rows.loc[rows[metric].idxmax()]][: 1 + (len(rows) > 1)]
        values = [{"value": float(r[metric])} for r in ends]
        for value, row in zip(values, ends, strict=True):
            interval = interval_of(row, metric)
            value |= dict(zip(("low", "high"), interval, strict=True)) if interval else {}
        found.append({"metric": metric, "count": len(rows), "ends": values})
    return found


def _claims(theirs: pd.DataFrame, judged: pd.DataFrame | None) -> list[Record]:
    """Each claim with its verdict and the evidence it was judged by, one a network."""
    keys = ("claim", "kind", "text", "theirs", "ours", "carried", "verdict", "confidence", "source", "test")
    if judged is None:
        rows = theirs[theirs["kind"].isin(STATED)] if len(theirs) else theirs
        renamed = rows.rename(columns={"metric": "claim", "note": "text", "value": "theirs"}).assign(
            verdict="planned", ours="", carried=""
        )
        judged = renamed.reindex(columns=list(keys))
    evidence = judged.attrs.get("evidence", [])
    numbers = ("network", "estimate", "low", "high", "sense", "bound", "n", "null", "null_low", "null_high")
    cells = (*numbers, "null_name", "answer")
    return [
        {k: row[k] for k in keys}
        | {"evidence": [{k: e.get(k) for k in cells} for e in evidence if e["claim"] == row["claim"]]}
        for row in judged.to_dict("records")
    ]
