"""A network of the user's own where a parameter is plain text: ``"my_net.py:make"`` for papermill and the command line."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from torch import nn

from uapkit.models import Model
from uapkit.models.card import state_sha256

PLACE = re.compile(r"(.+\.py):([A-Za-z_]\w*)")


def networks(value: Any, found: dict[str, str]) -> Any:
    """``value`` with every text ``file.py:name``, in lists too, replaced by its network; ``found`` gets its checksum.

    The checksum is over file, name and weights: finished points of another version of the network must not be met.
    """
    if isinstance(value, (list, tuple)):
        return [networks(one, found) for one in value]
    if not isinstance(value, str) or not (place := PLACE.fullmatch(value)):
        return value
    model = load(place[1], place[2])
    about = Path(place[1]).expanduser().read_bytes() + value.encode() + state_sha256(model.state_dict()).encode()
    found[value] = hashlib.sha256(about).hexdigest()
    return model


def load(file: str, name: str) -> Model:
    """The :class:`~uapkit.models.Model` called ``name`` in the Python file, or what a function of that name returns.

    The file is run, with its own folder first among those that it imports from. Raises ValueError for a missing file
    or name, and for what is no Model (:func:`uapkit.models.wrap` makes one).
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise ValueError(f"there is no file {file!r} to take the network {name!r} from")
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where the runner looks for the code of a network's class
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    if not hasattr(module, name):
        names = ", ".join(n for n in vars(module) if not n.startswith("_"))
        raise ValueError(f"{file} has no {name!r}; it has {names or 'nothing'}")
    made = getattr(module, name)
    if callable(made) and not isinstance(made, nn.Module):
        made = made()
    if not isinstance(made, Model):
        raise ValueError(
            f"{file}:{name} must be, or return, a network made by uapkit.models.wrap, got {type(made).__name__}"
        )
    return made
