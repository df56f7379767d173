"""When each stored run was last verified, at what commit and how far, in words and in counts, from ``results/verified/``.

Needs neither torch nor pandas. A record speaks of the table that it was held against; once another is stored it says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from uapkit.book.markup import text
from uapkit.runner import verified

NOT_YET = "not yet checked since it was stored"
FAR = {"whole": "the whole run", "subset": "a part of the run", "quick run": "the quick run alone"}
COUNTED = {"whole": "whole", "subset": "in part", "quick run": "by their quick run alone"}


def of(name: str) -> dict[str, Any]:
    """What is known of the last rerun of an item: what :func:`uapkit.runner.verified.standing` says, and its commit."""
    return verified.standing(name) | {"commit": (verified.last(name) or {}).get("commit", "")}


def brief(found: dict[str, Any]) -> str:
    """A line of the scoreboard: "verified 2026-11-29, the whole run"."""
    if not found["current"]:
        return NOT_YET
    far = FAR.get(found["how_far"], found["how_far"])
    return f"{'verified' if found['agrees'] else 'a rerun differed'} {found['when']}, {far}"


def sentences(found: dict[str, Any]) -> str:
    """What an item's page says, as HTML: when, at what commit, how far, and what came out."""
    if not found["current"]:
        earlier = f" An earlier one was, on {found['when']}." if found["when"] else ""
        return f"<strong>Last verified:</strong> {NOT_YET}.{earlier}"
    rows = f"{found['rows']} of {found['of_rows']}"
    made = {
        "whole": f"all {found['of_rows']} rows were computed anew",
        "subset": f"{rows} rows were computed anew",
        "quick run": f"the quick run's {found['rows']} rows were computed anew and held against those stored for it, "
        "the full run was not",
    }.get(found["how_far"], f"{rows} rows were computed anew")
    came = (
        "they did not agree, so the run is to be redone"
        if not found["agrees"]
        else "they are equal to the last stored digit"
        if found["equal"]
        else "they agree within the tolerance of a rerun"
    )
    at = f" at commit <code>{text(found['commit'][:10])}</code>" if found["commit"] else ""
    words = f"on {text(found['when'])}{at}: {made}; {came}. On {text(found['on'])}."
    return f"<strong>Last {'verified' if found['agrees'] else 'rerun'}:</strong> {words}"


def counted(records: Iterable[dict[str, Any]]) -> str:
    """How many of the stored runs were verified since they were stored, by how far, in a sentence."""
    stored = [r["verified"] for r in records if r["commit"]]
    good = Counter(one["how_far"] for one in stored if one["current"] and one["agrees"])
    bad = sum(one["current"] and not one["agrees"] for one in stored)
    if not stored:
        return ""
    parts = [f"{good[far]} {words}" for far, words in COUNTED.items() if good[far]]
    told = f": {', '.join(parts)}" if parts else ""
    differed = f"; {bad} did not agree" if bad else ""
    rest = len(stored) - sum(good.values()) - bad
    waiting = (
        f" {rest} {'is' if rest == 1 else 'are'} {NOT_YET.replace('it was', 'they were' if rest != 1 else 'it was')}."
    )
    return (
        f"Of the {len(stored)} stored runs, {sum(good.values())} were computed anew since they were stored and agree{told}"
        f"{differed}.{waiting if rest else ''}"
    )
