"""When each stored run was last rerun, on what, how far, and with what result: ``results/verified/``, one file an item."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from uapkit import checks
from uapkit.files import alone, write_whole
from uapkit.runner import since
from uapkit.runner.catalogue import Item, item, items, project_root
from uapkit.runner.records import mapping, typed
from uapkit.runner.words import stale

if TYPE_CHECKING:
    from uapkit.runner.verify import Outcome

KINDS: dict[str, type] = dict.fromkeys(("when", "how_far", "on", "code_sha256", "table_sha256"), str)
KINDS |= {"agrees": bool, "equal": bool, "rows": int, "of_rows": int}  # without which a record says nothing


def again(
    names: Iterable[str], *, save: bool = False, how_far: str | None = None, limit: float | None = None
) -> Iterator[dict[str, Any]]:
    """:func:`uapkit.runner.verify.check` of each item, noted with ``save``; a row of a table as each is done.

    An item that cannot be checked at all, its stored run damaged say, gets the result "failed"; the others go on.
    """
    if limit is not None:
        checks.in_range(limit, 0, 10**7, "the limit in seconds", open_low=True)
    for name in (names := list(names)):
        item(name)
    from uapkit.runner import verify  # which takes seconds

    for name in names:
        try:
            outcome = verify.check(name, how_far=how_far, limit=limit)
        except Exception as error:  # whatever an item raises, the next one is checked
            said = (str(error).splitlines() or [""])[0] or type(error).__name__
            outcome = verify.Outcome(name, verify.NOTHING, None, failed=True, differences=(said,))
        if save:
            note(outcome)
        row = outcome.row()
        why = f": {outcome.differences[0]}" if outcome.failed else ""
        which = f", with the stored weights of {', '.join(outcome.weights)}" if outcome.weights else ""
        which += f", without {', '.join(outcome.left_out)}" if outcome.left_out else ""
        said = f"{name}: {row['result']} ({row['how far']}, {row['seconds']:g} s{which}){why}"
        print(said, file=sys.stderr, flush=True)
        yield row


def path_of(about: Item) -> Path:
    """Where an item's record lies."""
    return project_root() / "results" / "verified" / f"{about.paper}.{about.slug}.json"


def last(name: str) -> dict[str, Any] | None:
    """The record of the last rerun of an item, None where there was none.

    when: UTC, to the day. how_far: "whole", "subset" or "quick run". agrees, equal, worst, rows, of_rows, seconds: see
    :class:`uapkit.runner.verify.Outcome`. on: processor, cores' threads, Python and torch. commit; code_sha256;
    table_sha256: of the stored table that it was held against. Needs neither torch nor pandas.
    """
    path = path_of(item(name))
    if not path.is_file():
        return None
    return typed(path, mapping(path), KINDS, tuple(KINDS))


def standing(name: str, now: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a scoreboard shows of the last rerun: when, how_far, on, agrees, and whether it was of the table stored now.

    ``current`` is False where another table has been stored since, so that the record says nothing about it. An item that
    was never rerun has the same keys, empty. ``code`` and ``weights`` say what has changed since the run was stored, see
    :func:`uapkit.runner.since.of`, which takes ``now``, too.
    """
    record = last(name)
    changed = since.of(name, record, now)
    empty = {"when": "", "how_far": "", "on": "", "agrees": None, "equal": False, "rows": 0, "of_rows": 0}
    if record is None:
        return empty | {"current": False} | changed
    stored = mapping(path) if (path := item(name).path("json")).is_file() else {}
    current = record["table_sha256"] == stored.get("table_sha256")
    return {key: record[key] for key in empty} | {"current": current} | changed


def tried(name: str) -> dict[str, Any] | None:
    """The record of the last attempt at which there was nothing to compare: when, on, why. None where a rerun came after it."""
    path = _tried(item(name))
    return mapping(path) if path.is_file() else None


def _tried(about: Item) -> Path:
    return path_of(about).with_suffix(".tried.json")


def note(outcome: Outcome) -> Path | None:
    """Store the record of a rerun; one that differs goes into ``results/stale.yml`` as well.

    None where nothing was compared: then only that is noted (:func:`tried`), so that the next item has its turn, and what
    an earlier rerun found stays. So it is with a rerun that differs on a machine that rounds otherwise, which alone is no
    evidence against the run, and with a quick run after a rerun of the full run that agreed, of the same code: it says less.
    """
    from uapkit.runner import results, verify

    about = item(outcome.item)
    made: dict[str, Any] = {"when": datetime.now(UTC).date().isoformat(), "on": verify.machine()}
    why = "" if outcome.agrees is not None else (*outcome.differences, "nothing was compared")[0]
    of = {} if why else {"code_sha256": verify.code_now(about), "table_sha256": _table(about)}
    if outcome.agrees is False and outcome.elsewhere:
        why = f"on a machine that rounds otherwise it differs: {outcome.differences[0]}"
    if outcome.agrees and outcome.how_far == verify.QUICK and _says_more(last(about.name), of):
        why = "its quick run agrees"
    if why:
        write_whole(_tried(about), _json({"item": about.name, "why": why} | made))
        return None
    at, dirty = results.commit()
    record = outcome.plain() | made | of | {"commit": at, "dirty": dirty}
    write_whole(path_of(about), _json(record))
    _tried(about).unlink(missing_ok=True)
    if not outcome.agrees:
        mark_stale(outcome.item, f"A rerun ({outcome.how_far}) did not give the stored rows: {outcome.differences[0]}.")
    return path_of(about)


def _table(about: Item) -> str:
    """sha256 of the stored table."""
    return str(mapping(about.path("json"))["table_sha256"])


def _says_more(record: dict[str, Any] | None, of: dict[str, str]) -> bool:
    """Is this the record of a rerun of the full run that agreed, of the same code and table?"""
    if record is None or not record["agrees"] or record["how_far"] == "quick run":
        return False
    return of.items() <= record.items()


def _json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def mark_stale(name: str, why: str) -> None:
    """Add an item to ``results/stale.yml``; a reason that stands there stays."""
    path = project_root() / "results" / "stale.yml"
    with alone(path):  # two checks at once: neither forgets what the other has just found
        others = stale()
        if name in others:
            return
        before = path.read_text(encoding="utf-8") if others else ""  # an empty list, {}, has no lines to go on from
        entry = yaml.safe_dump({name: why}, allow_unicode=True, width=140)
        write_whole(path, (before + entry).encode())


def due(count: int = 1) -> list[str]:
    """The ``count`` stored items that were rerun, or tried, longest ago, never ones first: what a workflow takes next."""
    checks.count(count, "the number of items to check")
    stored = [name for name, about in items().items() if about.path("json").is_file()]
    return sorted(stored, key=lambda name: max((one or {}).get("when", "") for one in (last(name), tried(name))))[
        :count
    ]
