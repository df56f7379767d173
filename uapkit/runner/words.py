"""The words of a verdict, and why a stored run must be made again; to read them needs neither torch nor pandas."""

from __future__ import annotations

from uapkit.runner.catalogue import project_root
from uapkit.runner.records import mapping

DEPENDS = "depends on the training"
SOME = "holds on some"  # the kind of "holds on 3 of 5"
VERDICTS = (
    "confirmed",
    SOME,
    DEPENDS,
    "differs",
    "undecided",
    "not above chance",
    "not judged",
    "not run here",
    "planned",
)
YES, NO, OPEN, NULL_TOO = "yes", "no", "open", "the null too"  # what one row of evidence answers
FORMER = ("partly",)  # what errata may say that a verdict was: until 1.0 for "holds on k of N"


def kind(verdict: str) -> str:
    """The verdict without its count: "holds on some" for "holds on 3 of 5", any other as it is."""
    return SOME if verdict.startswith("holds on ") else verdict


def worst(one: str, other: str) -> str:
    """The answer of a setting that has to pass two tests."""
    return max(one, other, key=(YES, OPEN, NULL_TOO, NO).index)


def stale() -> dict[str, str]:
    """Why a stored run must be made again, by item, from ``results/stale.yml``; its page and the scoreboard say so.

    ValueError where the file is damaged, or where an item stands there without a reason.
    """
    path = project_root() / "results" / "stale.yml"
    found = mapping(path) if path.is_file() else {}
    for name, why in found.items():
        if not isinstance(why, str) or not why.strip():
            raise ValueError(f"results/stale.yml names {name} without a reason in words (got {why!r:.60}); write one")
    return found
