"""The small networks that the stored quick runs were made with, so that these can be compared on any machine.

A network that is trained at first use comes out otherwise on another processor. So its weights are stored beside the quick
runs, under ``results/quick/weights``: one file a network, named after it and the checksum of its numbers, which the record of
each quick run names as well. A rerun finds them in a cache of its own (:func:`given`); nobody else uses them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from uapkit import models
from uapkit.files import write_whole
from uapkit.lab import split_name
from uapkit.models import catalogue, store
from uapkit.models.card import state_sha256
from uapkit.models.catalogue import Entry
from uapkit.models.trained import cached_path
from uapkit.runner.catalogue import project_root
from uapkit.runner.records import mapping

CACHE = "UAPKIT_CACHE"


def folder() -> Path:
    """Where the weights lie."""
    return project_root() / "results" / "quick" / "weights"


def trained_at_first_use(inputs: Mapping[str, str]) -> dict[str, tuple[Entry, str]]:
    """{network: (its entry, sha256 of its numbers)} of those among a run's inputs that each machine trains for itself."""
    found: dict[str, tuple[Entry, str]] = {}
    for what, sha256 in inputs.items():
        name, tag = split_name(what)
        for entry in catalogue.entries_of(name) if name in models.list() else ():
            if entry.recipe and tag in (entry.weights, "default"):
                found[name] = (entry, sha256)
    return found


def path_of(name: str, sha256: str) -> Path:
    """Where the weights with this checksum are stored."""
    return folder() / f"{name}-{sha256[:12]}.safetensors"


@contextlib.contextmanager
def given(inputs: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """In the block, networks that a machine trains for itself have the stored weights that a run with ``inputs`` had.

    Gives their names with the first digits of their checksums. The block has a cache of its own for it. ValueError where a
    file is missing or holds other numbers.
    """
    wanted = trained_at_first_use(inputs)
    if not wanted:
        yield ()
        return
    for name, (_, sha256) in wanted.items():
        _verify(path_of(name, sha256), sha256)
    before = os.environ.get(CACHE)
    with tempfile.TemporaryDirectory(prefix="uapkit") as cache:
        os.environ[CACHE] = cache
        try:
            for name, (entry, sha256) in wanted.items():
                if (place := cached_path(entry)) is not None:  # None: the code is being edited, so it is trained anew
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path_of(name, sha256), place)
            yield tuple(f"{name} {sha256[:12]}" for name, (_, sha256) in sorted(wanted.items()))
        finally:
            if before is None:
                del os.environ[CACHE]
            else:
                os.environ[CACHE] = before


def keep(inputs: Mapping[str, str]) -> list[Path]:
    """Store the weights of a run's networks that this machine has trained; the files, those that were there included."""
    found = []
    for name, (entry, sha256) in trained_at_first_use(inputs).items():
        path = path_of(name, sha256)
        if not path.is_file():
            kept = cached_path(entry)
            if kept is None or not kept.is_file():
                raise FileNotFoundError(
                    f"the weights of {name} are not in the cache; set {CACHE} to a folder that can be written"
                )
            write_whole(path, kept.read_bytes())
        _verify(path, sha256)
        found.append(path)
    return found


def forget_others() -> list[str]:
    """Delete the weights that no stored quick run names; their files' names."""
    records = (mapping(path)["inputs"] for path in folder().parent.glob("*.json"))
    used = {path_of(name, sha256) for one in records for name, (_, sha256) in trained_at_first_use(one).items()}
    others = sorted(set(folder().glob("*.safetensors")) - used)
    for path in others:
        path.unlink()
    return [path.name for path in others]


def _verify(path: Path, sha256: str) -> None:
    """ValueError unless the file holds the numbers with this checksum."""
    where = "/".join(path.parts[-4:])
    if not path.is_file():
        raise ValueError(f"{where}, with which the quick run was stored, is missing; restore it from git")
    if (found := state_sha256(store.read_state(path))) != sha256:
        raise ValueError(f"{where} holds other weights (sha256 expected {sha256}, found {found}); restore it from git")
