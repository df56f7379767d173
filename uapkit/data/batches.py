"""Anyone's batches of images: what counts as one, and whether they are the same when they come again."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uapkit.data.images import Images, as_tensor

LABELS = (1, "label", "labels", "target", "targets", "y")  # where a batch keeps them, beside others that fit


class Batches:
    """Batches (n, c, h, w) that can be gone through again and again, and must then be the same.

    x: a tensor, an Images, anything that can be iterated over again (a :func:`uapkit.data.stream`, a DataLoader, a list),
    or a function that returns an iterator. A batch is a tensor, an Images, or what a DataLoader makes: a pair (x, y), a
    list, a mapping with one tensor of images. Each pass gives (pixels, true labels or None).

    Raises TypeError for what can be gone through once only or holds no images; ValueError where a later pass brings
    other images or another order, as a shuffling DataLoader does: labels would belong to other images.
    """

    def __init__(self, x: Any, name: str = "x") -> None:
        self.x, self.name = x, name
        self.single = isinstance(x, Tensor | Images)
        self.known: list[int] | None = None
        if self.single or callable(x):
            return
        if isinstance(x, np.ndarray):
            raise TypeError(f"{name} must be a tensor of pixels in [0, 1], got a NumPy array; use torch.from_numpy")
        if not isinstance(x, Iterable) or isinstance(x, (str, bytes, Mapping)):
            hint = "; put the data set into a DataLoader" if hasattr(x, "__getitem__") and hasattr(x, "__len__") else ""
            raise TypeError(
                f"{name} must be images, a tensor (n, c, h, w), or batches of them, got {type(x).__name__}{hint}"
            )
        if iter(x) is x:
            raise TypeError(
                f"{'the batches' if name == 'x' else name} can be gone through only once, but every pass needs them "
                "again; give data.stream(...), a list, or a function that returns a new iterator"
            )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        if self.single:
            yield taken(self.x, self.name)
            return
        digests: list[int] = []
        for batch in self.x() if callable(self.x) else self.x:
            pixels, y = taken(batch, f"a batch of {self.name}")
            digests.append(_digest(pixels))
            if self.known is not None and self.known[: len(digests)] != digests:
                raise self._changed(f"batch {len(digests) - 1} of {self.name} holds other images")
            yield pixels, y
        if self.known is not None and len(digests) != len(self.known):
            raise self._changed(f"{self.name} holds {len(digests)} batches")
        self.known = digests

    def _changed(self, what: str) -> ValueError:
        return ValueError(
            f"{what} than in the pass before, so clean labels would belong to other images; give batches in a fixed "
            "order (shuffle=False, no random transforms), the attack draws its own order from its seed"
        )

    @property
    def n(self) -> int | None:
        """Number of images, where it is known beforehand."""
        if self.single:
            return len(self.x)
        if isinstance(self.x, list | tuple):  # they keep their order
            return sum(len(taken(batch)[0]) for batch in self.x)
        n = getattr(self.x, "n", None)
        return n if isinstance(n, int) else None


def taken(batch: Any, name: str = "x") -> tuple[Tensor, Tensor | None]:
    """(pixels (n, c, h, w), true labels (n,) or None) of one batch; TypeError where it holds none or several."""
    if isinstance(batch, Images):
        return batch.x, batch.y
    if isinstance(batch, Tensor):
        return as_tensor(batch, name), None
    parts = list(batch.values()) if isinstance(batch, Mapping) else batch
    if not isinstance(parts, (tuple, list)):
        raise TypeError(f"{name} must be a tensor (n, c, h, w), an Images or a pair (x, y), got {type(batch).__name__}")
    tensors = [p for p in parts if isinstance(p, Tensor)]
    pictures = [p for p in tensors if p.ndim == 4]
    if len(pictures) != 1:
        shapes = ", ".join(str(tuple(p.shape)) for p in tensors) or "no tensor"
        hint = "; put the data set into a DataLoader" if any(p.ndim == 3 for p in tensors) else ""
        raise TypeError(f"{name} must hold one tensor of images (n, c, h, w), it holds {shapes}{hint}")
    return as_tensor(pictures[0], name), _labels(batch, len(pictures[0]))


def _labels(batch: Any, n: int) -> Tensor | None:
    """True labels beside n images: of a mapping what is called so, of a tuple the second; or all that it can be."""
    named = batch.items() if isinstance(batch, Mapping) else enumerate(batch)
    fit = {k: p for k, p in named if isinstance(p, Tensor) and p.shape == (n,) and not p.is_floating_point()}
    told = [p for k, p in fit.items() if k in LABELS]
    return told[0] if len(told) == 1 else next(iter(fit.values())) if len(fit) == 1 else None


def _digest(x: Tensor) -> int:
    data = np.ascontiguousarray(x.detach().cpu().numpy())
    return zlib.crc32(data.data, zlib.crc32(repr((data.shape, data.dtype.str)).encode()))


def batches_of(x: Any, name: str = "x") -> Batches:
    """``x`` as :class:`Batches`; itself if it is that already, with what it knows of its order."""
    return x if isinstance(x, Batches) else Batches(x, name)


Pictures = Tensor | Images | Iterable[Any] | Callable[[], Iterable[Any]]


def labels_of(y: Any, n: int, name: str = "y", classes: int | None = None) -> Tensor:
    """(n,) int64 on the CPU from a tensor, an array or a list of integers. ValueError for others, or outside the classes."""
    try:
        found = y if isinstance(y, Tensor) else torch.as_tensor(np.asarray(y), device="cpu")
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold integer classes, got {type(y).__name__} of something else") from None
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise ValueError(f"{name} must hold integer classes, got {str(found.dtype)[6:]}")
    if found.shape != (n,):
        raise ValueError(f"{name} must hold one label an image, shape ({n},), got {tuple(found.shape)}")
    found = found.long().cpu()
    if classes is not None and n and not 0 <= int(found.min()) <= int(found.max()) < classes:
        raise ValueError(
            f"{name} holds labels from {int(found.min())} to {int(found.max())}, the network has the classes 0 to "
            f"{classes - 1}"
        )
    return found
