"""Verdicts: computed by one function from the reported rows and our stored table, never typed.

An item's ``claims(run)`` turns the stored run into :class:`uapkit.lab.Claim` objects, each a row of evidence:

    claim, network, estimate, low, high, sense, bound [, null, null_low, null_high, n]

A row's answer is "yes" where the whole 95 % interval [low, high] lies on the claimed side of ``bound`` and beyond the null,
see :func:`answers`. A setting (a network, or network and setting) counts once, however many tests it has to pass. Published
numbers, where network, weights and images are the paper's, are the reported rows themselves. A level that the paper states
in words is judged on the paper's networks alone (column ``judged_on`` of ``reported/``). A statement that holds by construction
(an identity, a theorem applied to its own inputs) has the kind "check": it is shown, as passed or failed, and is no verdict.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import pandas as pd

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.runner.by_training import depends
from uapkit.runner.catalogue import Item, item
from uapkit.runner.drawn import drawn
from uapkit.runner.results import stored
from uapkit.runner.words import DEPENDS, NO, NULL_TOO, OPEN, VERDICTS, YES, kind, stale, worst

CHECKS = {
    "confirmed": "check passed",
    "not run here": "not run here",
    "planned": "planned",
}  # any other: "check failed"
STATED = ("order", "check")  # kinds of reported rows that an item's claims speak of
NO_EVIDENCE = {False: "not run here", True: "not judged"}  # by whether a full run is stored
DECIDING = ("verified", "verified-code", "ours")
COLUMNS = ("claim", "kind", "text", "theirs", "ours", "networks", "carried", "verdict", "confidence", "source", "test")
FEW = 0.1  # share of the settings at which those that hold decide nothing: one interval in forty holds by chance alone
EVIDENCE_COLUMNS = ("claim", "network", "estimate", "low", "high", "sense", "bound")


def holds(low: float, high: float, sense: str, bound: float) -> bool | None:
    """True if [low, high] lies on the claimed side of ``bound``, False if on the other side, None if it straddles it.

    ``sense``: ``">"``, ``"<"``, or ``"="`` (the interval contains the bound: then False means it does not).
    """
    if any(math.isnan(float(v)) for v in (low, high, bound)):
        return None
    if sense == "=":
        return low <= bound <= high
    if sense == "<":
        low, high, bound = -high, -low, -bound
    elif sense != ">":
        raise ValueError(f"sense must be '>', '<' or '=', got {sense!r}")
    return True if low > bound else False if high < bound else None


def verdict(evidence: pd.DataFrame) -> str:
    """The verdict on one claim from its rows of evidence; a setting counts once.

    "confirmed": it holds in every setting; "holds on 3 of 5"; "depends on the training": see
    :func:`uapkit.runner.by_training.depends`. Where it holds nowhere, or in no more than a tenth of the settings, it is
    "undecided" unless it fails, or its null satisfies it too, in more than half of them; then "differs" or "not above chance",
    as most of them say.
    """
    if evidence.empty:
        return "not run here"
    found = settings(evidence)
    count = found["answer"].value_counts()
    yes, no, null = (int(count.get(word, 0)) for word in (YES, NO, NULL_TOO))
    if yes == len(found):
        return "confirmed"
    if yes > FEW * len(found):
        return DEPENDS if depends(found) else f"holds on {yes} of {len(found)}"
    if 2 * (no + null) <= len(found):
        return "undecided"
    return "differs" if no > null else "not above chance"


def answers(evidence: pd.DataFrame) -> list[str]:
    """Of each row of evidence: "yes", "no", "open", or "the null too".

    The interval is compared with the bound; where it lies on the claimed side, the null is compared with the same bound and
    then with the interval itself. A null that satisfies the claim takes its meaning, "the null too", unless the bound is the
    absence of an effect (0, or what a claim says is): any effect exceeds that, so the null only has to be exceeded.
    An interval that overlaps its null's leaves it open.
    """
    return [_answer(row) for row in evidence.to_dict("records")]


def _answer(row: dict[str, Any]) -> str:
    held = holds(row["low"], row["high"], row["sense"], row["bound"])
    if not held:
        return OPEN if held is None else NO
    low, high = (float(row.get(end, math.nan)) for end in ("null_low", "null_high"))
    if math.isnan(low) or math.isnan(high) or row["sense"] == "=":
        return YES
    absence = row["bound"] == 0 or row.get("absence") is True
    if not absence and holds(low, high, row["sense"], row["bound"]):
        return NULL_TOO
    beyond = holds(row["low"], row["high"], row["sense"], high if row["sense"] == ">" else low)
    return YES if beyond else NULL_TOO if absence else OPEN


def settings(evidence: pd.DataFrame) -> pd.DataFrame:
    """One row a setting with its answer: "yes" if it passes all its tests, "no" if it fails one; and its training."""
    if "network" not in evidence:
        evidence = evidence.assign(network=range(len(evidence)))
    found: dict[Any, dict[str, str]] = {}
    for row, answer in zip(evidence.to_dict("records"), answers(evidence), strict=True):
        one = found.setdefault(row["network"], {"network": row["network"], "answer": answer, "training": ""})
        one["answer"] = worst(one["answer"], answer)
        one["training"] = row.get("training") or ""
    return pd.DataFrame(found.values(), columns=["network", "answer", "training"])


def reported(about: Item) -> pd.DataFrame:
    """What the paper prints for this item: rows of ``reported/<paper>.csv``. ValueError for a file that is no such table."""
    path = about.path("reported")
    try:
        table = pd.read_csv(path, keep_default_na=False) if path.is_file() else pd.DataFrame(columns=["item"])
        if len(table) and (lost := {"item", "kind", "metric", "value", "confidence"} - set(table)):
            raise ValueError(f"it has no column {', '.join(sorted(lost))}")
    except ValueError as error:  # pandas' own errors are such, too
        raise ValueError(f"reported/{path.name} is damaged ({error}); restore it from git") from None
    table = table.assign(**{column: "" for column in ("test", "judged_on") if column not in table})
    return table[table["item"] == about.name].reset_index(drop=True)


def _where(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(";") if "=" in part)


def _matching(table: pd.DataFrame, where: dict[str, str]) -> pd.DataFrame:
    """Rows of our table at the reported place; empty unless every named column exists and agrees."""
    if not set(where) <= set(table.columns):
        return table.iloc[:0]
    keep = pd.Series(True, index=table.index)
    for column, value in where.items():
        if pd.api.types.is_numeric_dtype(table[column]):
            try:
                keep &= table[column] == float(value)
            except ValueError:
                keep &= False
        else:
            keep &= table[column].astype(str) == value
    return table[keep]


def _level_rows(rows: pd.DataFrame, table: pd.DataFrame) -> list[dict]:
    """One row for each published number that has ours at the same place (network, weights, images all the paper's)."""
    found = []
    for row in rows[rows["kind"] == "level"].itertuples():
        if table is None or row.metric not in table:
            continue
        ours = _matching(table, _where(row.where)).dropna(subset=[row.metric])
        if len(ours) != 1:
            continue
        one = ours.iloc[0]
        value, tolerance = float(one[row.metric]), float(row.tolerance or 0)
        low, high = (
            (float(one["low"]), float(one["high"])) if "low" in ours and row.metric.endswith("rate") else (value,) * 2
        )
        evidence = pd.DataFrame(
            [{"low": low - tolerance, "high": high + tolerance, "sense": "=", "bound": float(row.value)}]
        )
        network = f"{one.get('model', '')}"
        found.append(
            {
                "claim": f"{row.metric} ({row.where})",
                "kind": "level",
                "text": f"{row.metric.replace('_', ' ')} = {row.value} at {row.where}",
                "theirs": row.value,
                "networks": network,
                "ours": f"{value:.3g} [{low:.3g}, {high:.3g}]",
                "verdict": _deciding(row.confidence, verdict(evidence)),
                "confidence": row.confidence,
                "source": row.source,
            }
        )
    return found


def _deciding(confidence: str, found: str) -> str:
    return found if confidence in DECIDING or found in ("not run here", "planned") else "not judged"


def evidence(name: str, run: Run | None = None) -> pd.DataFrame:
    """The evidence rows of an item, each with its answer, from ``run`` (None: its stored full run, kept); empty without one."""
    if run is not None:
        return _evidence(name, run)
    rows = drawn("uapkit.runner.verdicts:judge", name)["evidence"]
    return pd.DataFrame(rows, columns=None if rows else list(EVIDENCE_COLUMNS))


def _evidence(name: str, run: Run | None) -> pd.DataFrame:
    about = item(name)
    claims = list(about.claims(run, **_beside(about))) if run is not None and about.claims else []
    if not claims:
        return pd.DataFrame(columns=list(EVIDENCE_COLUMNS))
    found = evidence_table(claims)
    return found.assign(null_name=[getattr(one.null, "name", "") for one in claims], answer=answers(found))


def _beside(about: Item) -> dict[str, Run]:
    """The stored runs of other items that hold nulls of this one's claims, by keyword; those not stored are left out."""
    return {word: Run.of(table) for word, other in about.beside if (table := stored(other)) is not None}


def stored_run(name: str) -> Run | None:
    """The stored full run as a :class:`uapkit.lab.Run`, or None where nothing is stored yet; the last one read stays at hand."""
    paths = [item(name).path(kind) for kind in ("csv", "json", "npz")]
    about = tuple((str(p), p.stat().st_mtime_ns, p.stat().st_size) if p.is_file() else str(p) for p in paths)
    return _loaded(name, about, stale().get(name, ""))


@lru_cache(maxsize=1)
def _loaded(name: str, _files: tuple, _stale: str) -> Run | None:
    table = stored(name)
    return None if table is None else Run.of(table)


def compare(name: str, run: Run | None = None) -> pd.DataFrame:
    """Theirs beside ours: one row a claim with text, published value, our estimate, networks and verdict.

    run: None for the stored full run, whose answer is kept (:mod:`uapkit.runner.drawn`). carried: in how many of its
    settings an order claim holds, "3 of 8"; test: whose the test is, "paper" or "ours". Order claims and checks come first,
    then level claims where network, weights and images are the paper's. ``attrs["evidence"]`` holds the evidence that the
    order claims were judged by, each row with its answer.
    """
    if run is not None and run is not stored_run(name):
        return _compared(name, run)
    kept = drawn("uapkit.runner.verdicts:judge", name)
    judged = pd.DataFrame(kept["rows"], columns=list(COLUMNS))
    judged.attrs["evidence"] = kept["evidence"]
    return judged


def judge(name: str) -> dict[str, Any]:
    """The stored run of an item judged, as plain JSON: rows, evidence and the item's verdict in one line."""
    run = stored_run(name)
    judged = _compared(name, run)
    planned = item(name).function is None
    word = "planned" if planned else "not run here" if run is None else joined(judged)
    return {"rows": judged.to_dict("records"), "evidence": judged.attrs["evidence"], "verdict": word}


def _compared(name: str, run: Run | None) -> pd.DataFrame:
    about = item(name)
    table = None if run is None else run.table
    rows, ours = reported(about), _evidence(name, run)
    found = []
    for row in rows[rows["kind"].isin(STATED)].itertuples() if len(rows) else ():
        mine = ours[ours["claim"] == row.metric]
        told = _deciders(mine, str(row.judged_on))
        state = "planned" if about.function is None else NO_EVIDENCE[table is not None]
        if len(told):
            state = verdict(told)
        estimates = "; ".join(f"{r.network}: {r.estimate:.3g} [{r.low:.3g}, {r.high:.3g}]" for r in mine.itertuples())
        carried = settings(told)["answer"] if len(told) else []
        found.append(
            {
                "claim": row.metric,
                "kind": row.kind,
                "text": row.note,
                "theirs": row.value,
                "networks": ", ".join(dict.fromkeys(mine["network"])),
                "ours": estimates,
                "carried": f"{sum(a == YES for a in carried)} of {len(carried)}" if len(carried) else "",
                "verdict": CHECKS.get(state, "check failed")
                if row.kind == "check"
                else _deciding(row.confidence, state),
                "confidence": row.confidence,
                "source": row.source,
                "test": row.test,
            }
        )
    found += _level_rows(rows, table) if table is not None and len(rows) else []
    judged = pd.DataFrame(found, columns=list(COLUMNS)).fillna({"carried": "", "test": "paper"})
    judged.attrs["evidence"] = ours.to_dict("records")
    return judged


def _deciders(evidence: pd.DataFrame, networks: str) -> pd.DataFrame:
    """The rows that may decide: all, or those of the ``networks`` ("a|b") that a level was stated for."""
    if not networks:
        return evidence
    wanted = networks.split("|")
    return evidence[[str(n).split("[")[0].split(":")[0].split(",")[0] in wanted for n in evidence["network"]]]


def joined(judged: pd.DataFrame) -> str:
    """The verdicts of :func:`compare` in one line, counted; checks are none."""
    counts = judged.loc[judged["kind"] != "check", "verdict"].map(kind).value_counts()
    return ", ".join(f"{word} {counts[word]}" for word in VERDICTS if word in counts) or "shown, no claim"
