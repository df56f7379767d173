"""Results as files: any of our dataclasses, tensors, arrays and plain values, written without pickle and read as they were."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit.files import write_whole

FORMAT = 1


class Unreadable(ValueError):
    """Not a whole entry of this format."""


def write(path: Path, result: Any, about: dict[str, Any]) -> None:
    """Write ``result`` and plain JSON ``about`` whole or not at all. TypeError for what has no form, OSError from the disk."""
    arrays: dict[str, np.ndarray] = {}
    head = json.dumps({"format": FORMAT, "result": _form(result, arrays), **about})
    buffer = io.BytesIO()
    np.savez(buffer, head=np.array(head), **arrays)  # type: ignore[arg-type]
    write_whole(path, buffer.getvalue(), lasting=False)  # a damaged entry is seen when it is read


def read(path: Path) -> tuple[Any, dict[str, Any]]:
    """(result, about) of a file of :func:`write`; FileNotFoundError, or Unreadable for anything but a whole entry."""
    try:
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(str(file["head"]))
            if head.get("format") != FORMAT:
                raise Unreadable(f"format {head.get('format')!r}")
            return _value(head.pop("result"), file), head
    except FileNotFoundError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
        ImportError,
        MemoryError,
        RuntimeError,  # a way of packing that Python does not know, a password, a head without end
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise Unreadable(str(error)) from error


def _form(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """``value`` as JSON; arrays go aside."""

    def aside(array: np.ndarray) -> str:
        if array.dtype.hasobject:
            raise TypeError("an array of objects")
        arrays[name := f"a{len(arrays)}"] = array
        return name

    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic):
        return {"number": aside(np.asarray(value))}
    if isinstance(value, Tensor):
        return {"tensor": aside(value.detach().cpu().numpy()), "device": str(value.device)}
    if isinstance(value, np.ndarray):
        return {"array": aside(value)}
    if isinstance(value, pd.DataFrame):
        if not isinstance(value.index, pd.RangeIndex):
            raise TypeError("a table with an index of its own")
        return {"table": [[c, str(t), value[c].tolist()] for c, t in value.dtypes.items()]}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_form(v, arrays) for v in value]}
    if type(value) is dict:
        return {"dict": [[_form(k, arrays), _form(v, arrays)] for k, v in value.items()]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _form(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"dataclass": _name(type(value)), "fields": fields}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"named": _name(type(value)), "fields": [_form(v, arrays) for v in value]}
    raise TypeError(f"no form for {type(value).__name__}")


def _name(cls: type) -> str:
    if not cls.__module__.startswith("uapkit.") or "<" in cls.__qualname__:
        raise TypeError(f"{cls.__qualname__} is no class of this package")
    return f"{cls.__module__}:{cls.__qualname__}"


def _class(name: str) -> Any:
    module, _, path = name.partition(":")
    if not module.startswith("uapkit."):
        raise Unreadable(f"a class of {module}")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _value(form: Any, arrays: Any) -> Any:
    """What :func:`_form` was made from."""
    if not isinstance(form, dict):
        return form
    kind = next(iter(form))
    if kind == "tensor":
        return torch.from_numpy(arrays[form[kind]].copy()).to(form["device"])
    if kind == "array":
        return arrays[form[kind]]
    if kind == "number":
        return arrays[form[kind]][()]
    if kind == "table":
        return pd.DataFrame({c: pd.Series(values, dtype=dtype) for c, dtype, values in form[kind]})
    if kind in ("list", "tuple"):
        items = [_value(v, arrays) for v in form[kind]]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {_value(k, arrays): _value(v, arrays) for k, v in form[kind]}
    if kind == "named":
        return _class(form[kind])(*(_value(v, arrays) for v in form["fields"]))
    if kind == "dataclass":
        made = object.__new__(_class(form[kind]))  # as it was, without checking it again
        for name, field in form["fields"].items():
            object.__setattr__(made, name, _value(field, arrays))
        return made
    raise Unreadable(f"a {kind}")
