"""A network of the user's own where a parameter is plain text: ``"my_net.py:make"`` for papermill and the command line."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from uapkit import provenance, sources
from uapkit.lab.identity import Unidentified, identity
from uapkit.models import Model

PLACE = re.compile(r"(.+\.py):([A-Za-z_]\w*)")


def networks(value: Any) -> Any:
    """``value`` with every text ``file.py:name``, in lists too, replaced by its network, which is noted as an input."""
    if isinstance(value, (list, tuple)):
        return [networks(one) for one in value]
    if not isinstance(value, str) or not (place := PLACE.fullmatch(value)):
        return value
    model = load(place[1], place[2])
    with contextlib.suppress(Unidentified):
        provenance.note_input(value, identity(model))
    return model


def load(file: str, name: str) -> Model:
    """The :class:`~uapkit.models.Model` called ``name`` in the Python file, or what a function of that name returns.

    The file is run, with its own folder first among those that it imports from. Raises ValueError for a missing file
    or name, for what it raises itself, and for what is no Model (:func:`uapkit.models.wrap` makes one).
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise ValueError(f"there is no file {file!r} to take the network {name!r} from")
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    text = path.read_text(encoding="utf-8")
    sources.forget(module.__name__)
    module.__source__ = text  # type: ignore[attr-defined]  # what runs, should the file be edited later
    sys.modules[module.__name__] = module  # where the code of a network's class is looked for
    sys.path.insert(0, str(path.parent))
    with _said(file, path):
        try:
            exec(compile(text, str(path), "exec"), vars(module))
        finally:
            sys.path.remove(str(path.parent))
    if not hasattr(module, name):
        names = ", ".join(n for n in vars(module) if not n.startswith("_"))
        raise ValueError(f"{file} has no {name!r}; it has {names or 'nothing'}")
    made = getattr(module, name)
    if callable(made) and not isinstance(made, nn.Module):
        with _said(file, path):
            made = made()
    if not isinstance(made, Model):
        raise ValueError(
            f"{file}:{name} must be, or return, a network made by uapkit.models.wrap, got {type(made).__name__}"
        )
    return made


@contextlib.contextmanager
def _said(file: str, path: Path) -> Iterator[None]:
    """Whatever the user's code raises becomes one sentence with the line of his file, with all of it as the cause."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".rstrip(": ")
        raise ValueError(f"{file} could not be run{f', line {line}' if line else ''}: {text}") from error
