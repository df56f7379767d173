"""Products with the Jacobian of any differentiable layer: one retained autograd graph, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from uapkit import probe
from uapkit.operators.replay.graphs import Retained
from uapkit.operators.replay.plan import plain_operations
from uapkit.seeds import generator


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

    def verify(self, name: str) -> None:
        """ValueError unless both products are those of the derivative, on the first chunk, in random directions."""
        x, rng = self.chunks[0], generator(0, "general_check")
        probe.reaches(self.fn, x[:2], name, constant=True)
        v = torch.randn(x[:1].shape, generator=rng, dtype=torch.float32, device="cpu").to(x)
        w = torch.randn(self.out_shapes[0], generator=rng, dtype=torch.float32, device="cpu").to(x)
        rest = [torch.zeros(shape, dtype=x.dtype, device=x.device) for shape in self.out_shapes[1:]]
        pushed, pulled = next(iter(self.push(v))).detach(), self.pull([w, *rest]).detach()
        forward, backward = float((pushed * w).sum()), float((pulled * v).sum())
        size = max(float(pulled.norm()) * float(v.norm()), float(pushed.norm()) * float(w.norm()))
        if not abs(forward - backward) <= torch.finfo(x.dtype).eps ** (1 / 3) * size:  # NaN does not pass either
            raise ValueError(
                f"the two products of {name} are not each other's adjoint: <w, J v> = {forward:.4g}, <J^T w, v> = "
                f"{backward:.4g} (a gradient of its own, or a part that cannot be differentiated twice?)"
                f"{probe.say('gradient')}"
            )


def _checked(y: object, n: int) -> Tensor:
    if not isinstance(y, Tensor) or not y.is_floating_point():
        kind = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise TypeError(f"layer_fn must return one floating-point tensor (n, ...), got {kind}")
    if y.ndim == 0 or y.shape[0] != n or y.numel() == 0:
        raise ValueError(f"layer_fn must return one output an image, ({n}, ...), got the shape {tuple(y.shape)}")
    return y
