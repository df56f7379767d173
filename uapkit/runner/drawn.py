"""Answers drawn from a stored run, such as its verdicts, kept under a derived key so that a command need not compute them.

An answer's key is what it depends on: the bytes of the stored run, of those that hold nulls of its claims, and of the
published rows, the item's and the paper's entry in the catalogue, the code of the function and of the item's claims with all
that they import (:mod:`uapkit.sources`), and the versions of the numerical libraries.
While no file of the package, of ``results/`` and of ``reported/`` has changed, one file holds all answers, and neither
torch nor pandas is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import platform
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from uapkit import edited, sources
from uapkit.files import cache_folder, write_whole
from uapkit.runner.catalogue import PACKAGE, Item, item, items, papers, project_root

LIBRARIES = ("torch", "numpy", "scipy", "pandas")
PARTS = ("csv", "json", "npz", "reported")
ENDS = (".py", ".yml", ".csv", ".json", ".npz")


def drawn(function: str, name: str) -> Any:
    """What ``"module:function"`` answers for the item ``name``, taken from the kept answers or computed and kept.

    The function takes the item's name; its answer is plain JSON and depends on the item's stored run and published rows.
    """
    return _all(function, (name,))[name]


def drawn_all(function: str) -> dict[str, Any]:
    """:func:`drawn` for every item, by name."""
    return _all(function, tuple(items()))


def item_verdict(name: str) -> str:
    """One word for the scoreboard: the verdicts on an item's stored run joined, e.g. "confirmed 3, holds on some 1"."""
    if not item(name).path("module").is_file():
        return "planned"
    return str(drawn("uapkit.runner.verdicts:judge", name)["verdict"])


def item_verdicts() -> dict[str, str]:
    """:func:`item_verdict` of every item, by name."""
    found = drawn_all("uapkit.runner.verdicts:judge")
    return {
        name: str(found[name]["verdict"]) if items()[name].path("module").is_file() else "planned" for name in found
    }


def present() -> dict[str, dict[str, str]]:
    """What a run would be made from now: {"code": sha256 by item, "weights": sha256 by name and tag, from the catalogue}.

    The sha256 of code that cannot be told is "". Kept like an answer, while no file has changed.
    """
    whole, path = _state(), _together_path("present")
    known = _together(path, whole)
    if not known:
        known = {"code": {name: _code(about) for name, about in items().items()}, "weights": _weights()}
        if not _edited():  # else what is at hand may be the text of a moment ago
            _write(path, {"whole": whole, "answers": known})
    return known


def _code(about: Item) -> str:
    try:
        return sources.code_of(f"uapkit.papers.{about.paper}.{about.slug}", "run")
    except sources.Unidentified:
        return ""


def _weights() -> dict[str, str]:
    known = yaml.safe_load((PACKAGE / "models" / "catalogue.yml").read_text(encoding="utf-8"))
    return {f"{one['name']}[{one['weights']}]": one["sha256"] for one in known if one.get("sha256")}


def _edited() -> bool:
    """Was a file of the package changed, or taken away, after this process had started?"""
    return any(not path.is_file() or edited.since_start(path) for path in edited.SEEN)


def _together_path(what: str) -> Path:
    """Where the answers of one kind lie together."""
    place = hashlib.sha256(f"{what} {project_root()}".encode()).hexdigest()[:16]
    return cache_folder("drawn", f"{place}.json")


def _all(function: str, names: tuple[str, ...]) -> dict[str, Any]:
    whole, path = _state(), _together_path(function)
    known = _together(path, whole)
    missing = [name for name in names if name not in known]
    for name in missing:
        known[name] = _one(function, item(name))
    if missing:
        _write(path, {"whole": whole, "answers": known})
    return {name: known[name] for name in names}


def _together(path: Path, whole: str) -> dict[str, Any]:
    about = _parsed(path, path.stat().st_mtime_ns) if path.is_file() else None
    return about["answers"] if isinstance(about, dict) and about.get("whole") == whole else {}


@lru_cache(maxsize=4)
def _parsed(path: Path, _date: int) -> Any:
    return _read(path)


def _one(function: str, about: Item) -> Any:
    try:
        path = cache_folder("drawn", f"{_key(function, about)}.json")
    except sources.Unidentified:
        return _computed(function, about.name)
    found = _read(path)
    if not isinstance(found, dict) or "answer" not in found:
        found = {"answer": _computed(function, about.name)}
        _write(path, found)
    return found["answer"]


def _computed(function: str, name: str) -> Any:
    """The answer as a later run will read it."""
    module, _, called = function.partition(":")
    return json.loads(json.dumps(getattr(importlib.import_module(module), called)(name)))


def _key(function: str, about: Item) -> str:
    """What the answer depends on, as one checksum. Raises Unidentified."""
    module, _, called = function.partition(":")
    paper = {name: value for name, value in papers()[about.paper].items() if name != "items"}
    parts = [repr(about), json.dumps(paper), function, sources.code_of(module, called), _libraries()]
    if about.path("module").is_file():
        own = f"uapkit.papers.{about.paper}.{about.slug}"
        parts += [sources.code_of(own, "claims")] if sources.defines(own, "claims") else ["no claims"]
    for one in (about, *(item(other) for _, other in about.beside)):
        parts += [_bytes(one.path(kind)) for kind in PARTS]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def _libraries() -> str:
    found = [platform.python_version()]
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return " ".join(found)


def _bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"


def _state() -> str:
    """Checksum of everything that any answer may depend on, by bytes; read again when a file's date or size has changed."""
    root = project_root()
    found = []
    for folder in (PACKAGE, root / "results", root / "reported"):
        found += sorted(_files(str(folder)))
    return _digest(tuple(found), PACKAGE, root)


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """(path, date, size) of the files below a folder that can matter."""
    if not os.path.isdir(folder):
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name.endswith(ENDS):
                about = entry.stat()
                yield entry.path, about.st_mtime_ns, about.st_size


@lru_cache(maxsize=1)
def _digest(files: tuple[tuple[str, int, int], ...], *bases: Path) -> str:
    digest = hashlib.sha256(_libraries().encode())
    for name, _, _ in files:
        path = Path(name)
        base = next(b for b in bases if path.is_relative_to(b))
        digest.update(f"\0{path.relative_to(base)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(path: Path, about: Any) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        write_whole(path, json.dumps(about).encode(), lasting=False)
