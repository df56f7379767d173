"""Links: the derivative of one operation of a network at recorded images, as a linear map that is replayed.

``push`` takes the tangents of the operation's inputs to that of its output, ``pull`` the adjoint of its output to those
of its inputs. Tangents are (n, ...), or (1, ...) while they are still the same for every image. ``reuse`` allows to
overwrite what came in; ``push_owns`` and ``pull_owns`` promise that what goes out shares no memory that others read.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def channels_inside(t: Tensor) -> bool:
    """Whether channels lie innermost in memory: on a CPU, where convolutions and pools run faster that way."""
    return t.device.type == "cpu"


def channels_last(t: Tensor) -> Tensor:
    """``t`` in the order that :func:`channels_inside` says, if it is four-dimensional."""
    if t.ndim == 4 and channels_inside(t):
        return t.contiguous(memory_format=torch.channels_last)
    return t.contiguous()


class Link:
    """See the module."""

    push_owns = pull_owns = True
    broadcasts = True  # accepts a tangent with batch 1 beside recorded values with batch n

    def push(self, tangents: list[Tensor], reuse: bool) -> Tensor:
        """The output's tangent."""
        raise NotImplementedError

    def pull(self, g: Tensor, reuse: bool) -> Sequence[Tensor]:
        """The inputs' adjoints."""
        raise NotImplementedError

    def first(self, k: int) -> Link:
        """The link at the first k images alone; ValueError where images cannot be told apart."""
        raise ValueError(f"{type(self).__name__} cannot be cut to its first images")

    @property
    def nbytes(self) -> int:
        """Bytes recorded for the images at hand."""
        return sum(t.numel() * t.element_size() for t in vars(self).values() if isinstance(t, Tensor))


class Convolution(Link):
    """A convolution or transposed convolution with a fixed kernel; each is the other's adjoint."""

    def __init__(self, weight: Tensor, args: Sequence[Any], size: Sequence[int], out_size: Sequence[int]) -> None:
        self.weight = channels_last(weight)
        self.stride, self.padding, self.dilation, self.transposed, self.output_padding, self.groups = args
        self.back_padding = [0] * len(self.stride)
        if not self.transposed:  # rows and columns of the input that no window reaches
            kernel = weight.shape[2:]
            for i, s in enumerate(self.stride):
                reached = (out_size[i] - 1) * s - 2 * self.padding[i] + self.dilation[i] * (kernel[i] - 1) + 1
                self.back_padding[i] = size[i] - reached

    def push(self, tangents: list[Tensor], reuse: bool) -> Tensor:
        """See :class:`Link`."""
        return self._apply(tangents[0], self.transposed, self.output_padding)

    def pull(self, g: Tensor, reuse: bool) -> Sequence[Tensor]:
        """See :class:`Link`."""
        return [self._apply(g, not self.transposed, self.back_padding)]

    def first(self, k: int) -> Link:
        """See :class:`Link`; no image enters here."""
        return self

    def absorb(self, scale: Link) -> bool:
        """Take a scale of the output's channels into the kernel; False if ``scale`` is something else."""
        if not isinstance(scale, Weighted) or self.transposed or len(scale.weights) > 1:
            return False
        (factor,) = scale.weights
        if isinstance(factor, Tensor):
            channels = torch.Size((len(self.weight), *[1] * (self.weight.ndim - 2)))
            if factor.numel() > 1 and factor.shape not in (channels, torch.Size((1, *channels))):
                return False
            factor = factor.reshape(-1, *[1] * (self.weight.ndim - 1))
        self.weight = channels_last(self.weight * factor)
        return True

    def _apply(self, t: Tensor, transposed: bool, output_padding: Sequence[int]) -> Tensor:
        return aten.convolution(
            t, self.weight, None, self.stride, self.padding, self.dilation, transposed, output_padding, self.groups
        )


class Mask(Link):
    """Keeps or zeroes each entry (ReLU and its like); one byte an entry.

    A kept entry is and-ed with all ones, a dropped one with zero, on the bits of the numbers: the fastest way in place.
    The memory of ``keep`` is taken over.
    """

    def __init__(self, keep: Tensor) -> None:
        self.bits = channels_last(keep).view(torch.int8).neg_()

    def first(self, k: int) -> Link:
        """See :class:`Link`."""
        cut = copy(self)
        cut.bits = self.bits[:k]
        return cut

    def push(self, tangents: list[Tensor], reuse: bool) -> Tensor:
        """See :class:`Link`."""
        (t,) = tangents
        whole = t.view(_INTEGERS[t.element_size()])
        return (whole.bitwise_and_(self.bits) if reuse else whole & self.bits).view(t.dtype)

    def pull(self, g: Tensor, reuse: bool) -> Sequence[Tensor]:
        """See :class:`Link`."""
        return [self.push([g], reuse)]


class Weighted(Link):
    """A sum of the inputs, each times a number or, entry by entry, a tensor; broadcast as the operation did."""

    def __init__(self, weights: Sequence[float | Tensor], shapes: Sequence[torch.Size], out_shape: torch.Size) -> None:
        self.weights = [channels_last(w) if isinstance(w, Tensor) else w for w in weights]
        self.shapes, self.out_shape = shapes, out_shape
        self.pull_owns = len(weights) == 1 and not _is_one(weights[0]) and shapes[0] == out_shape
        self.push_owns = len(weights) > 1 or not _is_one(weights[0])
        self.trivial = not self.push_owns  # the tangent passes as it is

    def push(self, tangents: list[Tensor], reuse: bool) -> Tensor:
        """See :class:`Link`."""
        first, weight = tangents[0], self.weights[0]
        reuse = reuse and first.shape[1:] == self.out_shape[1:]
        total = _times(first, weight, reuse)
        own = reuse or not _is_one(weight)
        for t, weight in zip(tangents[1:], self.weights[1:], strict=True):
            term = _times(t, weight, False)
            total = total.add_(term) if own and total.shape == term.shape else total + term
            own = True
        return total

    def pull(self, g: Tensor, reuse: bool) -> Sequence[Tensor]:
        """See :class:`Link`."""
        reuse = reuse and self.pull_owns
        pairs = zip(self.weights, self.shapes, strict=True)
        return [_sum_to(_times(g, w, reuse), shape, self.out_shape) for w, shape in pairs]

    def first(self, k: int) -> Link:
        """See :class:`Link`."""
        n = self.out_shape[0]

        def cut(shape: torch.Size) -> torch.Size:
            return torch.Size((k, *shape[1:])) if len(shape) == len(self.out_shape) and shape[0] == n else shape

        each = [isinstance(w, Tensor) and cut(w.shape) != w.shape for w in self.weights]
        weights = [w[:k] if own else w for own, w in zip(each, self.weights, strict=True)]  # type: ignore[index]
        return Weighted(weights, [cut(shape) for shape in self.shapes], cut(self.out_shape))

    @property
    def nbytes(self) -> int:
        """See :class:`Link`."""
        return sum(w.numel() * w.element_size() for w in self.weights if isinstance(w, Tensor))


class Positive(Link):
    """A ReLU in front of a max-pool, which looks for itself: it lets through what came out above zero."""


class Gather(Link):
    """Max-pooling: each output takes the input at its recorded place, then passes ``after`` (a Mask or Weighted)."""

    def __init__(self, places: Tensor, size: torch.Size, shared: bool, after: Link | None) -> None:
        height, width = size[2:]
        self.size, self.shared, self.after = size, shared, after
        self.last = channels_inside(places)
        channel = torch.arange(size[1], device=places.device).view(1, -1, 1, 1)
        self.index = self._flat(places * size[1] + channel if self.last else places + channel * (height * width))
        self.out_shape = places.shape

    def push(self, tangents: list[Tensor], reuse: bool) -> Tensor:
        """See :class:`Link`."""
        flat = self._flat(tangents[0])
        out = self._unflat(flat.expand(len(self.index), -1).gather(1, self.index), self.out_shape)
        return out if self.after is None else self.after.push([out], True)

    def pull(self, g: Tensor, reuse: bool) -> Sequence[Tensor]:
        """See :class:`Link`."""
        if self.after is not None:
            (g,) = self.after.pull(g, reuse)
        index, flat = self.index, self._flat(g)
        if self.shared:  # all images add into the one input they share
            index, flat = index.reshape(1, -1), flat.reshape(1, -1)
        out = flat.new_zeros(len(flat), self.size[1:].numel()).scatter_add_(1, index, flat)
        return [self._unflat(out, self.size)]

    def first(self, k: int) -> Link:
        """See :class:`Link`."""
        cut = copy(self)
        cut.index, cut.size = self.index[:k], torch.Size((k, *self.size[1:]))
        cut.out_shape = torch.Size((k, *self.out_shape[1:]))
        cut.after = None if self.after is None else self.after.first(k)
        return cut

    def _flat(self, t: Tensor) -> Tensor:
        return (t.permute(0, 2, 3, 1) if self.last else t).reshape(len(t), -1)

    def _unflat(self, t: Tensor, shape: torch.Size) -> Tensor:
        c, h, w = shape[1:]
        return t.view(-1, h, w, c).permute(0, 3, 1, 2) if self.last else t.view(-1, c, h, w)

    @property
    def nbytes(self) -> int:
        """See :class:`Link`."""
        return super().nbytes + (self.after.nbytes if self.after is not None else 0)


def _is_one(weight: float | Tensor) -> bool:
    return not isinstance(weight, Tensor) and weight == 1


def _times(t: Tensor, weight: float | Tensor, reuse: bool) -> Tensor:
    if _is_one(weight):
        return t
    return t.mul_(weight) if reuse else t * weight


def _sum_to(g: Tensor, shape: torch.Size, out_shape: torch.Size) -> Tensor:
    """Undo the broadcast from ``shape`` to ``out_shape``; a batch of 1 stays 1 where the operation is shared."""
    if g.shape[0] != out_shape[0] and len(shape) == len(out_shape):
        shape = torch.Size((1, *shape[1:]))
    return g if g.shape == shape else g.sum_to_size(shape)
