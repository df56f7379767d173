"""The file that a run of :func:`uapkit.attacks.uap` goes on from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from uapkit.files import write_whole

KEY = "uapkit.uap"


def read_state(path: Path, identity: Mapping[str, Any]) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """(v, the best v, the rest of the state) of the run that ``identity`` tells; ValueError for any other file."""
    try:
        with safe_open(path, "pt") as file:
            about, v, best = json.loads((file.metadata() or {})[KEY]), file.get_tensor("v"), file.get_tensor("best")
    except (SafetensorError, KeyError) as error:
        raise ValueError(
            f"{path.name} is no checkpoint of uap, or is damaged ({error}); delete it or name another file"
        ) from None
    for name, here in identity.items():
        if name not in about["run"]:
            raise ValueError(
                f"checkpoint {path.name} was written by an earlier version of uapkit, which did not note {name}, "
                "so whether it is of this run cannot be told; delete it or name another file"
            )
        if about["run"][name] != here:
            raise ValueError(
                f"checkpoint {path.name} is of another run: {name} was {about['run'].get(name)!r} there and "
                f"is {here!r} here; delete it or name another file"
            )
    return v, best, about["state"]


def write_state(path: Path, identity: Mapping[str, Any], v: Tensor, best: Tensor, rest: Mapping[str, Any]) -> None:
    """Keep a state, whole or not at all."""
    about = json.dumps({"run": identity, "state": rest})
    write_whole(path, save({"v": v.cpu(), "best": best.cpu().clone()}, {KEY: about}))
