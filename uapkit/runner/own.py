"""A network of the user's own where a parameter is plain text: ``"my_net.py:make"`` for papermill and the command line."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
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

    The file and the function are run, with the file's own folder first among those that they import from. Raises
    ValueError for a missing file or name, for what they raise themselves, for what is no Model
    (:func:`uapkit.models.wrap` makes one), and for an import of a module beside the file where another module of that
    name is loaded.
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
    with _beside(file, path), _said(file, path):
        exec(compile(text, str(path), "exec"), vars(module))
        made = getattr(module, name, None)
        if callable(made) and not isinstance(made, nn.Module):
            made = made()
    if not hasattr(module, name):
        names = ", ".join(n for n in vars(module) if not n.startswith("_"))
        raise ValueError(f"{file} has no {name!r}; it has {names or 'nothing'}")
    if not isinstance(made, Model):
        raise ValueError(
            f"{file}:{name} must be, or return, a network made by uapkit.models.wrap, got {type(made).__name__}"
        )
    return made


@contextlib.contextmanager
def _beside(file: str, path: Path) -> Iterator[None]:
    """Imports look beside the file first. ValueError where one meant a module there and another of its name is loaded."""
    folder = path.parent
    ours = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    others = {
        name: module for name, module in list(sys.modules.items()) if name in ours and _of_another(module, folder)
    }
    parts = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in others}
    for name in parts:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        twice = sorted(others.keys() & sys.modules.keys())
        for name in [name for name in sys.modules if name.partition(".")[0] in others]:
            del sys.modules[name]
        sys.modules.update(parts)
    if twice:
        raise ValueError(
            f"{file} imports {twice[0]!r} from its folder, but another folder's module of that name is loaded; rename "
            "one of the two, or use the two networks in a Python process each"
        )


def _of_another(module: ModuleType, folder: Path) -> bool:
    """Is it a module of the user's own from outside the folder?"""
    file = getattr(module, "__file__", None)
    if (
        file is None
        or module.__name__.partition(".")[0] in ("uapkit", "__main__")
        or not sources.is_ours(module.__name__)
    ):
        return False
    return not Path(file).resolve().is_relative_to(folder)


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
