"""The scoreboard: every experiment of the four papers, theirs, ours, verdict. Computed, never typed.

:func:`records` gathers everything once; the flat table, the claims' table, the published copies and the page's HTML
(:mod:`uapkit.book.html`) are views of it. While records are kept, neither torch nor pandas is loaded for them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uapkit.book import checked, errata
from uapkit.book.waiting import waiting
from uapkit.runner.catalogue import Item, items, project_root
from uapkit.runner.drawn import drawn_all, present
from uapkit.runner.locate import line_of

if TYPE_CHECKING:
    import pandas as pd

STATES = ("planned", "not run here")

Record = dict[str, Any]


def records() -> list[Record]:
    """One nested record an item: published values, claims with evidence, stored run, places.

    What is drawn from stored runs is kept (:mod:`uapkit.runner.drawn`); places, errata and the last rerun are looked up each
    time.
    """
    why, now = waiting(), present()
    return [
        record
        | {"stale": why.get(name, "") if record["commit"] else "", "errata": errata.told(name, record["claims"])}
        | {"verified": checked.of(name, now)}
        | _places(items()[name])
        for name, record in drawn_all("uapkit.book.record:record").items()
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
    import pandas as pd

    rows = []
    for r in records():
        plain = {k: r[k] for k in ("paper", "item", "title", "verdict", "n", "commit", "table_sha256", "stale")}
        plain |= {"seconds": r["seconds"], "seconds_at_most": r["seconds_at_most"]}
        known = r["verified"]["current"]
        plain |= {"verified": known and r["verified"]["when"], "verified_how_far": known and r["verified"]["how_far"]}
        plain |= {"verified_agrees": known and r["verified"]["agrees"], "code_state": r["verified"]["code"]}
        plain |= {"other_weights_now": ", ".join(r["verified"]["weights"])}
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
    import pandas as pd

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
