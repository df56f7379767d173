"""Run an item: check its parameters, seed nothing behind its back, time it, and record what it was fed with."""

from __future__ import annotations

import contextlib
import inspect
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from uapkit import checks, provenance, sources
from uapkit.files import cache_folder
from uapkit.lab import keeping
from uapkit.lab.together import together
from uapkit.runner import own
from uapkit.runner.catalogue import Item, item
from uapkit.runner.records import mapping
from uapkit.runner.results import commit, savable, store, versions

RUN_ONLY = ("save",)  # parameters of every notebook that are not the experiment's
BESIDES = ("betas", "blocked", "noises", "train")  # lists of what an item does besides: none of it is an answer


def full_parameters(about: Item) -> dict[str, Any]:
    """Parameters of the full run, from ``<item>.full.yml``; FileNotFoundError if the item has none."""
    path = about.path("full")
    if not path.is_file():
        raise FileNotFoundError(f"{about.name} has no full run: notebooks/{about.name}.full.yml does not exist")
    return mapping(path)


def check_parameters(about: Item, given: dict[str, Any]) -> dict[str, Any]:
    """Defaults of the item overlaid with ``given``, numbers of the kind that the item takes: 10.0 images are 10.

    ValueError naming the nearest parameters for an unknown one, and for a value of another kind.
    """
    allowed = about.parameters
    for name in given:
        checks.one_of(
            name, [*allowed, *RUN_ONLY], f"parameter of {about.name}", f"`uapkit list {about.name}` shows them"
        )
    signature = inspect.signature(about.function).parameters if about.function else {}
    taken = dict(allowed)
    for name, value in given.items():
        if name in allowed:
            like, empty = _kind(signature[name])
            if must := _must_be(name, value, like, empty):
                raise ValueError(f"parameter {name} of {about.name} must be {must}, got {value!r}")
            taken[name] = _as(value, like)
    return taken


def _kind(parameter: inspect.Parameter) -> tuple[Any, bool]:
    """(a value of the kind that the parameter takes, None if that is unknown; whether it may be None)."""
    default, kind, name = parameter.default, str(parameter.annotation), parameter.name
    empty = default is None or "None" in kind or (kind == "PerNetwork" and name == "n_eval")
    if isinstance(default, Mapping):
        default = next(iter(default.values()))
    if isinstance(default, list | tuple) and "float" in kind:
        default = tuple(map(float, default))
    if default is None and "Sequence" in kind:
        default = ()
    if default is None and (kind.startswith("int") or name.startswith("n_")):
        default = 0
    if default is None and kind == "Layer":
        default = ""
    return default, empty


def _must_be(name: str, value: Any, like: Any, empty: bool) -> str:
    """What a parameter of this kind has to be, "" where the value may be it; a mapping gives a value by network."""
    if isinstance(value, Mapping):
        return next(filter(None, (_must_be(name, one, like, empty) for one in value.values())), "")
    if name == "eps" or name.endswith("_eps"):
        return "" if _is_radius(value) else "a number in [0, 1e+30]"
    if like is None or (value is None and empty):
        return ""
    if isinstance(like, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(like, int | float):
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            return "a number"
        if math.isnan(number):
            return "a number"
        whole = isinstance(like, int)
        return (
            "a whole number, not negative" if whole and not (0 <= number < math.inf and number == int(number)) else ""
        )
    if isinstance(like, str):
        return "" if isinstance(value, str) and (value.strip() or not like) else f"text, such as {like or 'conv1'}"
    if isinstance(like, list | tuple):
        if not isinstance(value, list | tuple):
            return "a list" if value is None else f"a list, [{value}] say"
        if name == "models":
            if any(one is None or isinstance(one, int | float | list | tuple | dict) for one in value):
                return "a list of networks by name"
        elif like and (must := next(filter(None, (_must_be("", one, like[0], False) for one in value)), "")):
            return f"a list, each {must}"
        if not value and like and name not in BESIDES:
            return f"a list of one {'network' if name == 'models' else 'value'} at least"
    return ""


def _as(value: Any, like: Any) -> Any:
    """A value that may be of this kind, as it is counted with: 10.0 is 10 where a whole number is wanted, "0.1" is 0.1."""
    if isinstance(value, Mapping):
        return {key: _as(one, like) for key, one in value.items()}
    if isinstance(like, list | tuple) and like and isinstance(value, list | tuple):
        return type(value)(_as(one, like[0]) for one in value)
    if value is None or isinstance(like, bool) or not isinstance(like, int | float):
        return value
    if isinstance(like, int):
        return int(float(value) if isinstance(value, str) else value)
    return value if type(value) in (int, float) else float(value)


def _is_radius(value: Any) -> bool:
    try:
        checks.radius(float(value) if isinstance(value, str) else value)  # as a command line gives it
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def notebook_parameters(name: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a notebook's first cells defined, checked against the item.

    Papermill injects any name it is given; here one that the item does not have is refused with the nearest names.
    """
    plain = (bool, int, float, str, list, tuple, dict, type(None))
    given = {
        k: v
        for k, v in namespace.items()
        if not k.startswith("_") and k not in ("In", "Out", "ID") and type(v) in plain
    }
    check_parameters(item(name), given)
    return given


def run(name: str, *, save: bool = False, in_company: bool = False, **params: Any) -> pd.DataFrame:
    """Run the item ``name`` with ``params`` over its defaults and return its tidy table.

    ``attrs["provenance"]`` holds id, parameters, seed, commit, inputs' sha256, versions, device and seconds: what the
    run's own code took, and what every kept answer once took, each counted once. What items compute is kept in the
    user's cache (:func:`uapkit.lab.keep`), so an interrupted run resumes. With ``save`` the table is stored under
    ``results/``. A parameter ``"file.py:name"`` stands for a network of the user's own, see
    :func:`uapkit.runner.own.load`. in_company: other processes that share the cache are at the same run now; each takes
    what no other is at, and all end with the same table. Raises ValueError for an unknown item or parameter, OSError if
    the results cannot be written.
    """
    about = item(name)
    full = check_parameters(about, params)
    if save:
        savable(about)
    with _said(about, params), together() if in_company else contextlib.nullcontext():
        table = computed(about, full, cache_folder("kept"))
    if save:
        store(table, about, table.attrs["provenance"])
    return table


@contextlib.contextmanager
def _said(about: Item, params: dict[str, Any]) -> Iterator[None]:
    """An error of Python's own with parameters of the user's is most likely theirs: one sentence, the error as its cause."""
    try:
        yield
    except (ArithmeticError, LookupError, AttributeError, AssertionError) as error:
        if not params:
            raise
        at = traceback.extract_tb(error.__traceback__)[-1]
        given = ", ".join(f"{name}={value!r}" for name, value in params.items())
        text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".rstrip(": ")
        where = f"{Path(at.filename).name}, line {at.lineno}"
        raise ValueError(f"{about.name} does not run with {given} ({text}, in {where})") from error


def computed(about: Item, full: dict[str, Any], kept: Path) -> pd.DataFrame:
    """The item's table for checked parameters, its record in ``attrs["provenance"]``; answers are kept in the folder ``kept``."""
    function = about.function
    assert function is not None
    at, dirty = commit()
    with provenance.recording() as inputs, keeping(kept) as memo:
        given = {k: own.networks(v) for k, v in full.items()}
        started = time.perf_counter()
        table = function(**given)
        elapsed = time.perf_counter() - started
    table.attrs["provenance"] = {
        "id": about.name,
        "params": plain(full),
        "seed": full.get("seed", full.get("seeds")),
        "commit": at,
        "dirty": dirty,
        "code_sha256": _code(function),
        "inputs": dict(sorted(inputs.items())),
        "device": _device(str(full.get("device") or "cpu")),
        "threads": torch.get_num_threads(),
        "dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "versions": versions(),
        "seconds": round(elapsed - memo.elsewhere + sum(memo.seconds.values()), 1),
        "seconds_count": "each kept answer once",
        "kept": {"reused": memo.reused, "computed": memo.computed},
        "columns": {c: str(t) for c, t in table.dtypes.items()},
        "rows": len(table),
    }
    return table


def _code(function: Callable) -> str:
    """sha256 of the code that the item depends on; where that was edited while this process runs, that it is unknown."""
    try:
        return sources.code(function)
    except sources.Unidentified as error:
        return f"unknown: {error}"


def _device(name: str) -> str:
    return torch.cuda.get_device_name(name) if name.startswith("cuda") else name


def plain(value: Any) -> Any:
    """A parameter as a record holds it: tuples are lists, infinities their names. TypeError for what is no plain value."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value if value not in (float("inf"), float("-inf")) else str(value)
    raise TypeError(f"an item's parameters are plain values, got {type(value).__name__}: {value!r}")
