"""What makes numbers come out again: named child seeds (a new draw elsewhere never shifts an old one), and threads."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch

from uapkit import checks


def child_seed(seed: int, name: str) -> int:
    """Integer in [0, 2**63) derived from a master ``seed`` and the ``name`` of what is drawn.

    Raises ValueError for a seed that is no whole number.
    """
    digest = hashlib.sha256(f"{checks.seed(seed)}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator seeded by :func:`child_seed`."""
    return torch.Generator(device=device).manual_seed(child_seed(seed, name))


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Torch computes on ``count`` threads in this block, None for as many as before.

    On another number of threads sums are added up in another order, and training amplifies that.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
