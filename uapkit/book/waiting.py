"""Which verdicts wait for a new run."""

from __future__ import annotations

from uapkit.runner.catalogue import items
from uapkit.runner.words import stale


def waiting() -> dict[str, str]:
    """Why an item's verdicts wait, by item: its own stored run is stale, or one that holds the nulls of its claims is."""
    why, found = stale(), {}
    for name, about in items().items() if why else ():
        other = next((other for _, other in about.beside if other in why), None)
        if other is not None:
            found[name] = f"The null of its claims is measured by {other}, which is to be redone: {why[other]}"
    return found | why
