"""Where a training stands, in one file: network, optimiser and curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn


def pack(key: str, rows: Sequence[dict[str, float]], net: nn.Module, optimizer: torch.optim.Optimizer) -> bytes:
    """Network, optimiser and curve as one safetensors file: nothing in it can run code when it is read."""
    tensors = {f"net/{k}": v.contiguous() for k, v in net.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam/{i}/{k}": torch.as_tensor(v).contiguous() for k, v in state.items()}
    return save(tensors, metadata={"key": key, "rows": json.dumps(rows)})


def restore(path: Path, key: str, net: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
    """Load :func:`pack`'s file into ``net`` and ``optimizer`` and return the curve so far. ValueError for another run's."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
        if about.get("key") != key:
            raise ValueError(f"{path.name} is the checkpoint of another run (recipe or images differ); remove it")
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
    net.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net/")})
    state: dict[int, dict[str, Tensor]] = {}
    for k, v in tensors.items():
        if k.startswith("adam/"):
            _, i, what = k.split("/")
            state.setdefault(int(i), {})[what] = v
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return json.loads(about["rows"])
