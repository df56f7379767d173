"""The scoreboard: every experiment of the four papers, theirs, ours, verdict. Computed, never typed.

:func:`records` gathers everything once; the flat table, the claims' table, the published copies and the page's HTML
(:mod:`uapkit.book.html`) are views of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from uapkit.book import errata
from uapkit.lab import Run
from uapkit.runner.catalogue import Item, items, papers, project_root
from uapkit.runner.drawn import drawn_all
from uapkit.runner.locate import line_of
from uapkit.runner.results import stale
from uapkit.runner.verdicts import STATED, compare, joined, reported, stored_run

STATES = ("planned", "not run here")

Record = dict[str, Any]


def records() -> list[Record]:
    """One nested record an item: published values, claims with evidence, stored run, places.

    What is drawn from stored runs is kept (:mod:`uapkit.runner.drawn`); places and errata are looked up each time.
    """
    why = stale()
    return [
        record
        | {"stale": why.get(name, "") if record["commit"] else "", "errata": errata.told(name, record["claims"])}
        | _places(items()[name])
        for name, record in drawn_all(f"{__name__}:record").items()
    ]


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
    keys = ("claim", "kind", "text", "theirs", "ours", "carried", "verdict", "confidence", "source")
    if judged is None:
        rows = theirs[theirs["kind"].isin(STATED)] if len(theirs) else theirs
        renamed = rows.rename(columns={"metric": "claim", "note": "text", "value": "theirs"}).assign(
            verdict="planned", ours="", carried=""
        )
        judged = renamed.reindex(columns=list(keys))
    evidence = judged.attrs.get("evidence", [])
    numbers = ("network", "estimate", "low", "high", "sense", "bound", "n")
    return [
        {k: row[k] for k in keys}
        | {"evidence": [{k: e.get(k) for k in numbers} for e in evidence if e["claim"] == row["claim"]]}
        for row in judged.to_dict("records")
    ]


def _places(about: Item) -> Record:
    """Paths of the item's partners inside the project, with line numbers where there is one."""
    root = project_root()
    found: Record = {"page": "", "notebook": "", "code": "", "test": "", "result": ""}
    if about.path("notebook").is_file():
        found |= {"page": f"notebooks/{about.name}.html", "notebook": f"notebooks/{about.name}.ipynb"}
    for key, kind, name in (("code", "module", "run("), ("test", "test", f"test_{about.slug}")):
        path = about.path(kind)
        if line := line_of(path, name):
            found[key] = f"{path.relative_to(root).as_posix()}#L{line}"
    if about.path("csv").is_file():
        found["result"] = f"results/{about.name}.csv"
    return found


def table() -> pd.DataFrame:
    """One row an item: ids, title, numbers of published rows and claims, verdicts, networks, n, seconds, places."""
    rows = []
    for r in records():
        plain = {k: r[k] for k in ("paper", "item", "title", "verdict", "n", "commit", "table_sha256", "stale")}
        plain |= {"seconds": r["seconds"], "seconds_at_most": r["seconds_at_most"]}
        plain |= {k: r[k] for k in ("page", "notebook", "code", "test", "result")}
        plain |= {"experiments": " ".join(r["experiments"]), "networks": ", ".join(r["networks"])}
        plain |= {"published": describe(r["published"]), "ours": describe(r["ours"]), "claims": len(r["claims"])}
        plain |= {"data_sha256": "; ".join(f"{k}: {v}" for k, v in r["data"].items())}
        rows.append(plain)
    first = [
        "paper",
        "experiments",
        "item",
        "title",
        "published",
        "ours",
        "claims",
        "verdict",
        "networks",
        "n",
        "seconds",
    ]
    frame = pd.DataFrame(rows).astype({"n": "Int64"})
    return frame[first + [c for c in frame.columns if c not in first]]


def claims() -> pd.DataFrame:
    """One row a (claim, network): what the paper says, our estimate with interval, and the claim's verdict."""
    rows = []
    for r in records():
        for claim in r["claims"]:
            plain = {"paper": r["paper"], "item": r["item"]} | {k: v for k, v in claim.items() if k != "evidence"}
            plain["stale"] = r["stale"]
            rows += [plain | e for e in claim["evidence"]] or [plain]
    return pd.DataFrame(rows).drop(columns="ours")


def number(value: float) -> str:
    """Three significant digits, whole numbers as they are."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    short = f"{value:.3g}"
    if "e+" in short:
        return str(int(float(short))) if abs(value) < 1e6 else short.replace("e+0", "e").replace("e+", "e")
    return short


def with_interval(value: float, low: float | None = None, high: float | None = None) -> str:
    """``0.31 [0.28, 0.35]``; without an interval, or where it is the value itself, the value alone."""
    if low is None or high is None or math.isnan(low) or (low == value == high):
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def describe(levels: Iterable[Record]) -> str:
    """Quantities in words, of the paper (``low``, ``high``) or ours (``ends``)."""
    parts = []
    for level in levels:
        ends = level.get("ends") or [{"value": level["low"]}, {"value": level["high"]}]
        texts = list(dict.fromkeys(with_interval(e["value"], e.get("low"), e.get("high")) for e in ends))
        many = f" ({level['count']} values)" if level["count"] > 1 else ""
        parts.append(f"{level['metric'].replace('_', ' ')} {' to '.join(texts)}{many}")
    return "; ".join(parts)


def as_json() -> str:
    """The machine-readable copy that is published beside the page: all records, claims and evidence included."""
    return json.dumps(_finite(records()), indent=1) + "\n"


def _finite(value: Any) -> Any:
    """``value`` for strict JSON: NaN becomes null, infinities their names."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value.item() if hasattr(value, "item") else value
