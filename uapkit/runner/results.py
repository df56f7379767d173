"""Stored results: a tidy table, its arrays and its provenance, read and written as one."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import subprocess
import zipfile
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from uapkit.files import alone, write_whole
from uapkit.lab.run import Arrays
from uapkit.runner.catalogue import Item, item, project_root
from uapkit.runner.records import named, of_a_run
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


def unpack(path: Path | io.BytesIO) -> dict[str, np.ndarray]:
    """The arrays of :func:`pack`, floats as float32."""
    with np.load(path, allow_pickle=False) as file:
        scaled = {k.removesuffix("/scale") for k in file.files if k.endswith("/scale")}
        return {
            k: file[k].astype(np.float32) * file[f"{k}/scale"] if k in scaled else file[k]
            for k in file.files
            if not k.endswith("/scale")
        }


def store(table: pd.DataFrame, about: Item, record: dict[str, Any]) -> None:
    """Write table, arrays and provenance of a full run under ``results/``, all of them or none.

    The three are first written as one file, the journal. Once it is there the run is saved: whoever is interrupted after
    it, the next reader finishes the work. Two processes that store one item take turns. Of a path of this machine, to a
    network or a folder of images of the user's own, the provenance keeps the last name.
    """
    data = table_bytes(table)
    record = {key: named(one) if key in ("params", "inputs") else one for key, one in record.items()}
    record = {**record, "rows": len(table), "table_sha256": hashlib.sha256(data).hexdigest()}
    files = {"csv": data}
    arrays = table.attrs.get("arrays") or {}
    if arrays:
        files["npz"] = pack(arrays)
        record["arrays_sha256"] = hashlib.sha256(files["npz"]).hexdigest()
    files["json"] = (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()
    with alone(about.path("json")):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as journal:
            for kind, content in files.items():
                journal.writestr(kind, content)
        write_whole(_journal(about), buffer.getvalue())
        _unfold(about, files)


def _journal(about: Item) -> Path:
    return about.path("json").with_name(f".{about.slug}.saving")


def _unfold(about: Item, files: dict[str, bytes]) -> None:
    """From the journal to the three files; the journal goes last. The arrays of an older run do not stay."""
    for kind in ("npz", "csv", "json"):
        if kind in files:
            write_whole(about.path(kind), files[kind])
        else:
            about.path(kind).unlink(missing_ok=True)
    _journal(about).unlink(missing_ok=True)


def _finish(about: Item) -> dict[str, bytes] | None:
    """What a journal holds, moved to where it belongs where this can be done; None without a journal."""
    if not _journal(about).is_file():
        return None
    with alone(about.path("json")):
        try:
            with zipfile.ZipFile(_journal(about)) as journal:
                files = {kind: journal.read(kind) for kind in journal.namelist()}
        except FileNotFoundError:  # another process has just finished it
            return None
        except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, zlib.error) as error:
            raise ValueError(
                f"results/{about.paper}/{_journal(about).name} is damaged ({error}), a run that was being stored when the "
                "machine stopped; delete it to have the run before it"
            ) from None
        with contextlib.suppress(OSError):  # a clone that cannot be written is read all the same
            _unfold(about, files)
    return files


def _files(about: Item) -> dict[str, bytes]:
    """The bytes of a stored run, {} where there is none."""
    found = _finish(about)
    if found is None:
        found = {kind: p.read_bytes() for kind in ("json", "csv", "npz") if (p := about.path(kind)).is_file()}
    return found if {"json", "csv"} <= found.keys() else {}


def load(name: str) -> pd.DataFrame:
    """The stored full run of an item: its table, with ``attrs["provenance"]``, ``attrs["arrays"]`` and ``attrs["stale"]``.

    FileNotFoundError if no full run is stored; ValueError if table or arrays are not those that its provenance names.
    """
    about = item(name)
    files = _files(about)
    if not files:
        raise FileNotFoundError(f"no full run of {name} is stored; `uapkit run {name} --full --save` makes it")
    if _unlike(about, files):  # perhaps another process was storing it while the three were read
        files = _files(about)
    record = of_a_run(about.path("json"), files["json"])
    if found := _unlike(about, files):
        kind, is_now, named = found
        raise ValueError(
            f"results/{name}.{kind} has sha256 {is_now[:12]}, its provenance names {named[:12]}; "
            "restore both from git or run the item again"
        )
    table = read_table(files["csv"])
    table.attrs["provenance"] = record
    table.attrs["arrays"] = Arrays(unpack(io.BytesIO(files["npz"])) if "npz" in files else {})
    table.attrs["stale"] = stale().get(name, "")
    return table


def _unlike(about: Item, files: dict[str, bytes]) -> tuple[str, str, str] | None:
    """(kind, its sha256, the sha256 that the provenance names) of a file that is another, None where all fit together."""
    record = of_a_run(about.path("json"), files["json"])
    for kind, key in (("csv", "table_sha256"), ("npz", "arrays_sha256")):
        if kind in files and key in record:
            found = hashlib.sha256(files[kind]).hexdigest()
            if found != record[key]:
                return kind, found, record[key]
    return None


def stored(name: str) -> pd.DataFrame | None:
    """:func:`load`, or None where nothing is stored yet; outside a clone there is nothing to look in: FileNotFoundError."""
    project_root()
    try:
        return load(name)
    except FileNotFoundError:
        return None
