"""Sweeps whose finished points survive an interruption.

An experiment calls :func:`sweep` and stays pure: without an active store nothing is written. The runner activates a
store (:func:`resuming`), and then every finished point is one small file, written whole, and reused by the next run
with the same code and parameters.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from uapkit import provenance
from uapkit.checks import NotHere
from uapkit.files import write_whole

Rows = list[dict[str, Any]]
PerNetwork = Any  # a value for all networks, or a mapping by network with "default" (or "other") for the rest
_store: ContextVar[Store | None] = ContextVar("uapkit_store", default=None)


class Store:
    """Finished points of one run, a file each. ``key`` holds all that they depend on, ``params`` among it."""

    def __init__(self, folder: Path, key: Mapping[str, Any]):
        self.folder, self.key = Path(folder), dict(key)
        self.seconds, self.reused = 0.0, 0

    def path(self, what: str, point: Mapping[str, Any], over: Iterable[str], per_network: bool = False) -> Path:
        """File of ``point`` of the computation named ``what``; ``over`` and ``per_network`` as for :func:`sweep`."""
        params = {k: v for k, v in self.key["params"].items() if k not in set(over)}
        if per_network:
            params = {k: _own(v, point["model"]) for k, v in params.items()}
        text = json.dumps({**self.key, "params": params, "what": what, "point": point}, sort_keys=True, default=str)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.npz"

    def read(self, path: Path) -> tuple[Rows, dict[str, np.ndarray]] | None:
        """Rows and arrays of a finished point, its inputs noted again; None if it is not there or unreadable."""
        try:
            with np.load(path, allow_pickle=False) as file:
                head = json.loads(str(file["head"]))
                arrays = {k[2:]: file[k] for k in file.files if k.startswith("a/")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        for name, sha256 in head["inputs"].items():
            provenance.note_input(name, sha256)
        self.seconds += head["seconds"]
        self.reused += 1
        return head["rows"], arrays

    def write(
        self, path: Path, rows: Rows, arrays: Mapping[str, np.ndarray], inputs: dict[str, str], seconds: float
    ) -> None:
        """Store a finished point."""
        head = json.dumps({"rows": rows, "inputs": inputs, "seconds": seconds}, default=_plain)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, head=np.array(head), **{f"a/{k}": v for k, v in arrays.items()})  # type: ignore[arg-type]
        write_whole(path, buffer.getvalue())
        self.seconds += seconds


def for_network(value: PerNetwork, spec: str, name: str = "a setting") -> Any:
    """``value`` itself, or its entry for the network (with or without the tag of its weights), else for all others.

    "default" and "other" both stand for all others. Raises ValueError, with the setting's ``name``, where a mapping says
    nothing of the network.
    """
    if not isinstance(value, Mapping):
        return value
    for key in (spec, spec.partition("[")[0], "default", "other"):
        if key in value:
            return value[key]
    raise ValueError(f'{name} by network needs a value for {spec!r}, or for "default", got one for {sorted(value)}')


def _own(value: Any, network: str) -> Any:
    """``value`` as far as it concerns this network; all of a mapping that says nothing of it: it may be by layer."""
    try:
        return for_network(value, network)
    except ValueError:
        return value


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a row may hold plain numbers and strings, not {type(value).__name__}")


@contextmanager
def resuming(folder: Path, key: Mapping[str, Any]) -> Iterator[Store]:
    """Keep and reuse finished points in ``folder`` while the block runs."""
    store = Store(folder, key)
    token = _store.set(store)
    try:
        yield store
    finally:
        _store.reset(token)


def sweep(
    points: Iterable[Mapping[str, Any]],
    compute: Callable[..., Rows | tuple[Rows, dict[str, np.ndarray]]],
    *,
    over: Iterable[str] = (),
    per_network: bool = False,
    desc: str = "",
) -> pd.DataFrame:
    """``compute(**point)`` for every point, as one tidy table; each row also carries its point's plain values.

    ``compute`` returns rows (a list of dicts) or (rows, arrays); arrays end in ``table.attrs["arrays"]``. ``over`` names
    the run's parameters that merely choose points (``models``, ``layers``, ...), so that adding a point reuses the
    others. per_network: a point depends on no network but its "model"; so of a parameter that maps networks to values
    only that network's counts, and a change for one network reuses the points of all others. A point that raises
    :class:`NotHere` becomes a row with status "not run here"; all others have "run".
    """
    store, over, points = _store.get(), tuple(over), [dict(p) for p in points]
    rows: Rows = []
    arrays: dict[str, np.ndarray] = {}
    for point in tqdm(points, desc=desc, disable=None):
        path = store.path(compute.__qualname__, point, over, per_network) if store else None
        done = store.read(path) if store and path else None
        if done is None:
            started, before = time.perf_counter(), store.seconds if store else 0.0
            try:
                with provenance.recording() as inputs:
                    result = compute(**point)
            except NotHere:
                rows.append({**point, "status": "not run here"})
                continue
            new_rows, new_arrays = result if isinstance(result, tuple) else (result, {})
            for name, sha256 in inputs.items():
                provenance.note_input(name, sha256)
            if store and path:
                elsewhere = store.seconds - before  # what kept arrays once took: the point's own from now on
                store.seconds = before
                store.write(path, new_rows, new_arrays, inputs, time.perf_counter() - started + elsewhere)
        else:
            new_rows, new_arrays = done
        rows += [{**point, "status": "run", **row} for row in new_rows]
        arrays |= new_arrays
    table = pd.DataFrame(rows)
    table.attrs["arrays"] = arrays
    return table


def kept(
    what: str, point: Mapping[str, Any], compute: Callable[..., dict[str, np.ndarray]], sources: Iterable[ModuleType],
    *, checkpointed: bool = False,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Arrays that several items of a paper need: computed once while a store is active, and anew without one.

    point: all that the arrays depend on besides the code, checksums of weights and images among it. sources: the modules
    whose code they depend on. checkpointed: ``compute`` takes the path of a file in which it keeps its state until it is
    done, None without a store. The seconds that kept arrays once took (since the last interruption) count for every
    run that uses them.
    """
    outer = _store.get()
    if outer is None:
        return compute(None) if checkpointed else compute()
    code = hashlib.sha256("".join(inspect.getsource(module) for module in sources).encode()).hexdigest()
    store = Store(outer.folder.parent / "shared", {"code": code, "torch": outer.key.get("torch"), "params": {}})
    path = store.path(what, point, ())
    done = store.read(path)
    if done is not None:
        outer.seconds += store.seconds
        return done[1]
    started, state = time.perf_counter(), path.with_suffix(".state")
    arrays = compute(state) if checkpointed else compute()
    store.write(path, [], arrays, {}, time.perf_counter() - started)
    state.unlink(missing_ok=True)
    return arrays
