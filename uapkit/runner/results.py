"""Stored results: a tidy table, its arrays and its provenance, read and written as one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from uapkit.files import write_whole
from uapkit.lab.run import Arrays
from uapkit.runner.catalogue import Item, item, project_root
from uapkit.runner.words import stale

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn", "safetensors", "uapkit")


STORED = ":(exclude,glob)results/*/*"  # not the records of trainings, a folder deeper


def commit() -> tuple[str, bool]:
    """Commit of the project and whether the working tree differs from it; ("unknown", True) outside git.

    Stored tables do not count: no run reads them, and each run that is stored changes them.
    """

    def git(*args: str) -> str:
        root = project_root()
        return subprocess.run(
            ["git", "-C", str(root), *args], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no", "--", ".", STORED))
    except (subprocess.CalledProcessError, FileNotFoundError):
        return "unknown", True


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def savable(about: Item) -> None:
    """OSError unless a result of the item can be stored: asked before a run that takes hours."""
    folder = about.path("csv").parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"results cannot be stored in {folder}: no permission to write")


def table_bytes(table: pd.DataFrame) -> bytes:
    """The table as CSV; numbers keep nine significant digits, which float32 needs and no more."""
    return table.to_csv(index=False, float_format="%.9g", lineterminator="\n").encode()


def read_table(data: bytes) -> pd.DataFrame:
    """The table of :func:`table_bytes`.

    A layer's name is text, also where it looks like a number (``"1"``); only an empty cell is missing, not "null".
    """
    return pd.read_csv(io.BytesIO(data), dtype={"layer": str}, keep_default_na=False, na_values=[""])


def pack(arrays: dict[str, Any]) -> bytes:
    """Arrays as compressed npz: two-valued and 8-bit ones as int8 with a scale, other floats as float16 with a scale."""
    packed: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind == "f":
            scale = float(np.abs(array).max()) or 1.0
            unit = array / scale
            signs = np.rint(unit).astype(np.int8)
            exact = bool((np.abs(unit - signs) < 1e-6).all())
            packed[f"{name}/scale"] = np.array(scale, dtype=np.float32)
            array = signs if exact else unit.astype(np.float16)
        packed[name] = array
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **packed)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(path: Path) -> dict[str, np.ndarray]:
    """The arrays of :func:`pack`, floats as float32."""
    with np.load(path, allow_pickle=False) as file:
        scaled = {k.removesuffix("/scale") for k in file.files if k.endswith("/scale")}
        return {
            k: file[k].astype(np.float32) * file[f"{k}/scale"] if k in scaled else file[k]
            for k in file.files
            if not k.endswith("/scale")
        }


def store(table: pd.DataFrame, about: Item, record: dict[str, Any]) -> None:
    """Write table, arrays and provenance of a full run under ``results/``; the provenance comes last and binds them."""
    data = table_bytes(table)
    record = {**record, "rows": len(table), "table_sha256": hashlib.sha256(data).hexdigest()}
    arrays = table.attrs.get("arrays") or {}
    if arrays:
        packed = pack(arrays)
        record["arrays_sha256"] = hashlib.sha256(packed).hexdigest()
        write_whole(about.path("npz"), packed)
    write_whole(about.path("csv"), data)
    write_whole(about.path("json"), (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())


def load(name: str) -> pd.DataFrame:
    """The stored full run of an item: its table, with ``attrs["provenance"]``, ``attrs["arrays"]`` and ``attrs["stale"]``.

    FileNotFoundError if no full run is stored; ValueError if the table is not the one its provenance names.
    """
    about = item(name)
    if not about.path("json").is_file() or not about.path("csv").is_file():
        raise FileNotFoundError(f"no full run of {name} is stored; `uapkit run {name} --full --save` makes it")
    record = json.loads(about.path("json").read_text(encoding="utf-8"))
    data = about.path("csv").read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != record["table_sha256"]:
        raise ValueError(
            f"results/{name}.csv has sha256 {found[:12]}, its provenance names {record['table_sha256'][:12]}; "
            "restore both from git or run the item again"
        )
    table = read_table(data)
    table.attrs["provenance"] = record
    table.attrs["arrays"] = Arrays(unpack(about.path("npz")) if about.path("npz").is_file() else {})
    table.attrs["stale"] = stale().get(name, "")
    return table


def stored(name: str) -> pd.DataFrame | None:
    """:func:`load`, or None where nothing is stored yet; outside a clone there is nothing to look in: FileNotFoundError."""
    project_root()
    try:
        return load(name)
    except FileNotFoundError:
        return None
