"""Named child seeds: a new draw elsewhere never shifts an old one."""

from __future__ import annotations

import hashlib

import torch


def child_seed(seed: int, name: str) -> int:
    """Integer in [0, 2**63) derived from a master ``seed`` and the ``name`` of what is drawn."""
    digest = hashlib.sha256(f"{int(seed)}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator seeded by :func:`child_seed`."""
    return torch.Generator(device=device).manual_seed(child_seed(seed, name))
