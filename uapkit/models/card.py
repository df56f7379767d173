"""What is known about a set of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Card:
    """Where a network's weights come from and how good they are.

    weights: the tag. source: public origin. conversion: what was done to the original numbers. sha256: of the weights'
    file where there is one, otherwise of the tensors (:func:`state_sha256`). input_size: (c, h, w) or None. mean, std:
    normalisation of pixels in [0, 1]. accuracy: rows such as ``{"data": "imagenet-sample", "n": 1000, "top1": 75.3,
    "by": "uapkit"}`` in percent; ``by`` says who measured. recipe: how networks that uapkit trains are trained.
    """

    name: str
    architecture: str
    weights: str = "none"
    source: str = ""
    conversion: str = ""
    licence: str = ""
    sha256: str = ""
    input_size: tuple[int, int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    accuracy: tuple[dict[str, Any], ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The card as plain dictionaries and tuples."""
        return asdict(self)


def state_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes of a state dict, in the order of the names; "" on the meta device."""
    digest = hashlib.sha256()
    for key in sorted(state):
        if not isinstance(state[key], torch.Tensor):  # packed weights of a quantised module
            digest.update(f"{key} {state[key]!r}\n".encode())
            continue
        tensor = state[key].detach()
        if tensor.is_meta:
            return ""
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
