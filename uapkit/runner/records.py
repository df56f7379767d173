"""Small files of names and values: records of runs, lists in YAML; one that is damaged is said to be, by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def mapping(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """The mapping in a YAML or JSON file, or in its bytes ``data``; {} for an empty YAML file.

    ValueError with the file's name where it is damaged or holds anything else.
    """
    try:
        text = (path.read_bytes() if data is None else data).decode()
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text) or {}
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, not names with values")
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        where, why = "/".join(path.parts[-3:]), " ".join(str(error).split())
        raise ValueError(f"{where} is damaged ({why}); restore it from git, or delete it") from None
    return found


PLACE = re.compile(r"(/|~|\.\.[/\\]|[A-Za-z]:[/\\])")  # how a path begins that holds on one machine only


def named(value: Any) -> Any:
    """A record's value, or all that a list or mapping holds: of a path that holds on one machine only its last name.

    Names are kept, paths below the current folder, too: ``"nets/mine.py:make"``. Keys that would fall together are numbered.
    """
    if isinstance(value, dict):
        found: dict[Any, Any] = {}
        for key, one in value.items():
            short = last = named(key)
            while short in found:
                short = f"{last} ({len(found) + 1})"
            found[short] = named(one)
        return found
    if isinstance(value, (list, tuple)):
        return [named(one) for one in value]
    if not isinstance(value, str) or not PLACE.match(value):
        return value
    return re.split(r"[/\\]", value.rstrip("/\\"))[-1]


OF_A_RUN: dict[str, Any] = {
    "table_sha256": str,
    "code_sha256": str,
    "commit": str,
    "inputs": dict,
    "params": dict,
    "versions": dict,
    "seconds": (int, float),
}


def typed(path: Path, record: dict[str, Any], kinds: Mapping[str, Any], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """The record itself. ValueError that names file and entry where a ``needed`` one is missing, or one is of another kind."""
    where = "/".join(path.parts[-3:])
    for name, kind in kinds.items():
        if name not in record and name in needed:
            raise ValueError(f"{where} lacks {name}; restore it from git, or delete it")
        if name in record and not isinstance(record[name], kind):
            raise ValueError(f"{where} is damaged ({name} is {record[name]!r:.60}); restore it from git, or delete it")
    return record


def of_a_run(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """The record of a stored run, from its file or its bytes; ValueError as in :func:`mapping` and :func:`typed`."""
    return typed(path, mapping(path, data), OF_A_RUN, ("table_sha256",))
