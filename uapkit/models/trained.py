"""Small networks that are trained at first use and kept, with their card, in the user's cache."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from uapkit import data, sources
from uapkit.files import cache_folder, write_whole
from uapkit.models import training
from uapkit.models.card import Card, state_sha256
from uapkit.models.catalogue import Entry
from uapkit.models.model import Model
from uapkit.seeds import threads


def cached_path(entry: Entry) -> Path | None:
    """Where trained weights are kept: the name changes with recipe, all code that training runs, and torch's version.

    None where that code cannot be told for certain, being edited while this process runs: then nothing is kept.
    """
    home = importlib.import_module(entry.build.partition(":")[0])
    try:
        code = [sources.code(home), sources.code(sys.modules[__name__])]
    except sources.Unidentified:
        return None
    made_from = json.dumps([asdict(entry), code, torch.__version__], sort_keys=True)
    return cache_folder("models") / f"{entry.name}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}.safetensors"


def trained(entry: Entry) -> tuple[dict[str, Tensor], Card]:
    """(state dict, card) of ``entry``, from the cache or trained now; two processes at once train it only once.

    A damaged file in the cache is replaced, and one that cannot be written is done without: each with a warning.
    """
    if (path := cached_path(entry)) is None:
        return _train(entry)
    if (kept := _read(path, entry)) is not None:
        return kept
    with _lock(path):
        if (kept := _read(path, entry)) is not None:  # another process has trained it meanwhile
            return kept
        state, card = _train(entry)
        try:
            write_whole(
                path, save(state, metadata={"card": json.dumps({"sha256": card.sha256, "accuracy": card.accuracy})})
            )
        except OSError as error:
            warnings.warn(f"the trained {entry.name} is not kept: {error.strerror or error}", stacklevel=3)
    return state, card


def _train(entry: Entry) -> tuple[dict[str, Tensor], Card]:
    recipe = dict(entry.recipe)
    name = recipe.pop("data")
    mean, std = entry.normalisation()
    model = Model(entry.net(recipe["seed"]), mean=mean, std=std, name=entry.name)
    with threads(1):  # so that one machine trains the same network whatever program asks for it
        training.fit(model, data.load(name, split="train"), **recipe)
    test = data.load(name, split="test")
    assert test.y is not None
    right = int((model.predict(test) == test.y).sum())
    row = {"data": test.name, "n": len(test), "top1": round(100 * right / len(test), 2), "by": "uapkit"}
    state = {key: value.detach().contiguous().clone() for key, value in model.net.state_dict().items()}
    return state, replace(entry.card(), sha256=state_sha256(state), accuracy=(row,))


def _read(path: Path, entry: Entry) -> tuple[dict[str, Tensor], Card] | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["card"])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dictionary
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        warnings.warn(f"{path.name} in the user's cache is damaged ({error}); it is trained again", stacklevel=4)
        return None
    if (found := state_sha256(state)) != facts["sha256"]:
        said = f"sha256 expected {facts['sha256']}, found {found}"
        warnings.warn(f"{path.name} in the user's cache is damaged ({said}); it is trained again", stacklevel=4)
        return None
    return state, replace(entry.card(), sha256=found, accuracy=tuple(facts["accuracy"]))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time; released by the system if the process dies, and done without where it cannot be had."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
