"""Errata: verdicts that changed after they had been shown. What one was and why stands in ``results/errata/<paper>.yml``.

A list, one entry a claim: ``item`` (``<paper>/<item>``), ``claim`` (its id in ``reported/<paper>.csv``), ``was`` (a verdict),
``why`` (a sentence or two). What it *is* comes from the stored results; only a claim that was taken back, and is no longer
in ``reported/``, says it itself: ``now: withdrawn``, or ``now: replaced by <claim>``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from uapkit.runner.catalogue import items, papers, project_root
from uapkit.runner.words import FORMER, VERDICTS

KEYS = {"item", "claim", "was", "why"}


def entries(paper: str) -> list[dict[str, str]]:
    """The entries of a paper, [] where nothing was corrected. ValueError for an entry that is not whole."""
    path = place(paper)
    return _read(paper, path, path.stat().st_mtime_ns) if path.is_file() else []


@cache  # asked for with each of an item's records, hundreds of times a build
def _read(paper: str, path: Path, _mtime: int) -> list[dict[str, str]]:
    found = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    for one in found:
        named = f"results/errata/{path.name}: {one.get('item')} {one.get('claim')}"
        if not KEYS <= set(one) <= KEYS | {"now"} or not all(str(one[key]).strip() for key in one):
            raise ValueError(f"{named} must say {', '.join(sorted(KEYS))}, and `now` for a claim that was taken back")
        if one["item"] not in items() or not one["item"].startswith(f"{paper}/"):
            raise ValueError(f"{named} is no item of {paper}; see `uapkit list`")
        if one["was"] not in VERDICTS + FORMER:
            raise ValueError(f"{named} was {one['was']!r}, which is no verdict; take one of {', '.join(VERDICTS)}")
    return found


def place(paper: str) -> Path:
    """The file of a paper."""
    return project_root() / "results" / "errata" / f"{paper}.yml"


def told(item: str, claims: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The entries of an item with the claim's words as ``text`` and its verdict as it ``is`` now, from its judged claims.

    ValueError for a claim that is neither judged nor said to be taken back, or both.
    """
    known = {claim["claim"]: claim for claim in claims}
    found = []
    for one in entries(item.partition("/")[0]):
        if one["item"] != item:
            continue
        claim = known.get(one["claim"])
        if (claim is None) != ("now" in one):
            state = "is not in reported/ and has no `now`" if claim is None else "is judged, so `now` must go"
            raise ValueError(f"results/errata: {item} {one['claim']} {state}")
        text = one["claim"].replace("_", " ") if claim is None else claim["text"]
        found.append({**one, "text": text, "is": one["now"] if claim is None else claim["verdict"]})
    return found


def all_papers() -> list[dict[str, str]]:
    """Every entry of every paper, in the papers' order."""
    return [one for paper in papers() for one in entries(paper)]
