"""Links that autograd walks: any linear operation, and any differentiable one at recorded inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from uapkit.operators.replay.links import Link


class Linear(Link):
    """Any linear operation ``fn`` of its inputs (views, means, pads, products with constants)."""

    push_owns = pull_owns = broadcasts = False

    def __init__(self, fn: Callable[..., Tensor], zeros: Sequence[Tensor]) -> None:
        self.fn, self.zeros = fn, zeros
        with torch.enable_grad():
            leaves = [z.detach().requires_grad_(True) for z in zeros]
            out = fn(*leaves)
        self.out_shape, self.output = out.shape, get_gradient_edge(out)
        self.inputs = [get_gradient_edge(leaf) for leaf in leaves]

    def push(self, tangents: list[Tensor], reuse: bool) -> Tensor:
        """See :class:`Link`."""
        return self.fn(*tangents)

    def pull(self, g: Tensor, reuse: bool) -> Sequence[Tensor]:
        """See :class:`Link`."""
        return torch.autograd.grad(self.output, self.inputs, g, retain_graph=True)

    def first(self, k: int) -> Link:
        """See :class:`Link`."""
        with suppress(RuntimeError):  # from a shape that holds the number of images
            cut = Linear(self.fn, [z[:k] for z in self.zeros])
            if cut.out_shape == (k, *self.out_shape[1:]):
                return cut
        return Among(self, k, [z.shape for z in self.zeros], self.out_shape)


class Among(Link):
    """The first k images of a link that takes n: the tangents of the others are zero. shapes: of what comes in, for n."""

    push_owns = pull_owns = broadcasts = False

    def __init__(self, link: Link, k: int, shapes: Sequence[torch.Size], out_shape: torch.Size) -> None:
        self.link, self.k, self.shapes, self.out_shape = link, k, shapes, out_shape

    def push(self, tangents: list[Tensor], reuse: bool) -> Tensor:
        """See :class:`Link`."""
        whole = [_filled(t, shape) for t, shape in zip(tangents, self.shapes, strict=True)]
        return self.link.push(whole, False)[: self.k]

    def pull(self, g: Tensor, reuse: bool) -> Sequence[Tensor]:
        """See :class:`Link`."""
        return [part[: self.k] for part in self.link.pull(_filled(g, self.out_shape), False)]


class Retained(Link):
    """Any differentiable ``fn`` at recorded inputs, from its retained autograd graph, walked once a product.

    The pull-back g(w) = J^T w is recorded with its own graph; being linear in w, its derivative there is v -> J v
    whatever w. Source: [khrulkov2018], the R-operator construction.
    """

    push_owns = pull_owns = broadcasts = False

    def __init__(self, fn: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
        self._bytes = 0
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(self._count, lambda t: t):
            self.inputs = [t.detach().clone().requires_grad_(True) for t in inputs]
            self.output = fn(*self.inputs)
            self.w = torch.zeros_like(self.output, requires_grad=True)
            pulled = torch.autograd.grad(self.output, self.inputs, self.w, create_graph=True, materialize_grads=True)
        self.pulled = [g if g.requires_grad else g + 0 * self.w.sum() for g in pulled]

    def push(self, tangents: list[Tensor], reuse: bool) -> Tensor:
        """See :class:`Link`."""
        along = [t.expand_as(g) for t, g in zip(tangents, self.pulled, strict=True)]
        (z,) = torch.autograd.grad(self.pulled, self.w, along, retain_graph=True, materialize_grads=True)
        return z

    def pull(self, g: Tensor, reuse: bool) -> Sequence[Tensor]:
        """See :class:`Link`."""
        return torch.autograd.grad(self.output, self.inputs, g, retain_graph=True, materialize_grads=True)

    def first(self, k: int) -> Link:
        """See :class:`Link`."""
        return Among(self, k, [t.shape for t in self.inputs], self.output.shape)

    def _count(self, t: Tensor) -> Tensor:
        self._bytes += t.numel() * t.element_size()
        return t

    @property
    def nbytes(self) -> int:
        """See :class:`Link`."""
        return self._bytes


def _filled(t: Tensor, shape: torch.Size) -> Tensor:
    return torch.cat([t, t.new_zeros((shape[0] - len(t), *t.shape[1:]))])
