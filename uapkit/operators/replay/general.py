"""Products with the Jacobian of any differentiable layer: one retained autograd graph, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from uapkit.operators.replay.links import Retained
from uapkit.operators.replay.plan import plain_operations


class General:
    """``fn`` at chunks of images (n, c, h, w). Each chunk's graph is recorded once and walked once a product.

    Chunks beyond ``record_bytes``, and layers that can be differentiated only once, run anew for every product.
    """

    def __init__(self, fn: Callable[[Tensor], Tensor], chunks: Sequence[Tensor], record_bytes: int) -> None:
        self.fn, self.chunks = fn, chunks
        self.nbytes = 0
        self.out_shapes: list[torch.Size] = []
        self.links: list[Retained | None] = []
        for x in chunks:
            with torch.no_grad():
                self.out_shapes.append(_checked(fn(x), len(x)).shape)
            link = self._retained(x) if self.nbytes < record_bytes else None
            self.links.append(link)
            self.nbytes += link.nbytes if link is not None else 0

    def _retained(self, x: Tensor) -> Retained | None:
        try:
            with plain_operations():
                return Retained(self.fn, [x])
        except RuntimeError:  # an operation whose derivative has no derivative
            return None

    def push(self, v: Tensor) -> Iterator[Tensor]:
        """J v chunk by chunk, shaped like the outputs, from the direction ``v`` (1, c, h, w)."""
        for x, link in zip(self.chunks, self.links, strict=True):
            along = v.expand_as(x)
            yield torch.func.jvp(self.fn, (x,), (along.contiguous(),))[1] if link is None else link.push([along], False)

    def pull(self, pieces: Sequence[Tensor]) -> Tensor:
        """J^T w, (1, c, h, w), from pieces of w shaped like the outputs."""
        total = torch.zeros_like(self.chunks[0][:1])
        for x, link, w in zip(self.chunks, self.links, pieces, strict=True):
            g = torch.func.vjp(self.fn, x)[1](w) if link is None else link.pull(w, False)
            total += g[0].sum(0, keepdim=True)
        return total


def _checked(y: object, n: int) -> Tensor:
    if not isinstance(y, Tensor) or not y.is_floating_point():
        kind = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise TypeError(f"layer_fn must return one floating-point tensor (n, ...), got {kind}")
    if y.ndim == 0 or y.shape[0] != n or y.numel() == 0:
        raise ValueError(f"layer_fn must return one output an image, ({n}, ...), got the shape {tuple(y.shape)}")
    return y
