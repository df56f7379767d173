"""When each stored run was last verified, at what commit and how far, and whether its code is still the one it was made with.

In words and in counts, from ``results/verified/`` and checksums. Needs neither torch nor pandas. A record speaks of the table
that it was held against; once another is stored it says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from uapkit.book.markup import text
from uapkit.runner import since, verified

NOT_YET = "not yet checked since it was stored"
FAR = {"whole": "the whole run", "subset": "a part of the run", "quick run": "the quick run alone"}
COUNTED = {"whole": "whole", "subset": "in part", "quick run": "by their quick run alone"}
CODE = {
    since.SAME: "; same code",
    since.RERUN: ", with the present code",
    since.OLDER: "; code changed since",
    since.CHANGED: "; code changed since",
}
CODE_TOLD = {
    since.SAME: "The code is the one that the run was stored with.",
    since.RERUN: "The code has changed since the run was stored; this rerun was made with the present code.",
    since.OLDER: "The code has changed since that rerun.",
    since.CHANGED: "The code has changed since the run was stored.",
}
CODE_COUNTED = {
    since.SAME: ("has the code that it was stored with", "have the code that they were stored with"),
    since.RERUN: (
        "has other code by now and was rerun with the present one",
        "have other code by now and were rerun with the present one",
    ),
    since.OLDER: ("has other code than at its last rerun", "have other code than at their last rerun"),
    since.CHANGED: (
        "has other code by now and was not rerun since it was stored",
        "have other code by now and were not rerun since they were stored",
    ),
}
MEANS = (
    "“Code changed” means any change, comments excepted, in what the run imports. It need not move a number; a rerun tells "
    "whether it does."
)


def of(name: str, now: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is known of the last rerun of an item: what :func:`uapkit.runner.verified.standing` says, and its commit."""
    return verified.standing(name, now) | {"commit": (verified.last(name) or {}).get("commit", "")}


def brief(found: dict[str, Any]) -> str:
    """A line of the scoreboard: "verified 2026-11-29, the whole run; same code"."""
    changed = CODE.get(found["code"], "") + f"; other weights now: {', '.join(found['weights'])}" * bool(
        found["weights"]
    )
    if not found["current"]:
        return NOT_YET + changed
    far = FAR.get(found["how_far"], found["how_far"])
    return f"{'verified' if found['agrees'] else 'a rerun differed'} {found['when']}, {far}{changed}"


def sentences(found: dict[str, Any]) -> str:
    """What an item's page says, as HTML: when, at what commit, how far, what came out, and what has changed since."""
    changed = "".join(f" {words}" for words in _changed(found))
    if not found["current"]:
        earlier = f" An earlier one was, on {found['when']}." if found["when"] else ""
        return f"<strong>Last verified:</strong> {NOT_YET}.{earlier}{changed}"
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
    return f"<strong>Last {'verified' if found['agrees'] else 'rerun'}:</strong> {words}{changed}"


def _changed(found: dict[str, Any]) -> list[str]:
    """Sentences on code and weights, as HTML; what is meant by a change unfolds on the page of tests."""
    words = [CODE_TOLD[found["code"]]] if found["code"] else []
    if found["code"] not in ("", since.SAME):
        words.append('(<a href="../../book/tested.html#code-changed">What that means</a>.)')
    if found["weights"]:
        names = ", ".join(map(text, found["weights"]))
        words.append(f"<strong>The weights are another file now than in the stored run:</strong> {names}.")
    return words


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


def code_counted(records: Iterable[dict[str, Any]]) -> str:
    """How many stored runs are in which state of their code, and what that means, in two sentences; "" where none can be told."""
    found = Counter(r["verified"]["code"] for r in records if r["commit"] and r["verified"]["code"])
    parts = [f"{found[state]} {CODE_COUNTED[state][found[state] > 1]}" for state in since.STATES if found[state]]
    return f"Of the {found.total()} stored runs, {'; '.join(parts)}. {MEANS}" if parts else ""
