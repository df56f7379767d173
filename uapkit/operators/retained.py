"""Products with the Jacobian of any differentiable function, from one retained autograd graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class RetainedGraph:
    """The linearisation of ``fn`` at images ``x``: the graph is recorded once and walked once a product.

    The pull-back g(w) = J^T w is recorded with its own graph; being linear in w, its derivative there is v -> J v
    whatever w. Source: [khrulkov2018], the R-operator construction.
    """

    def __init__(self, fn: Callable[[Tensor], Tensor], x: Tensor) -> None:
        with torch.enable_grad():
            self.x = x.detach().clone().requires_grad_(True)
            self.y = fn(self.x)
            self.w = torch.zeros_like(self.y, requires_grad=True)
            (self.g,) = torch.autograd.grad(self.y, self.x, self.w, create_graph=True)
        self.rows = self.y.numel()

    def forward(self, v: Tensor) -> Tensor:
        """J v, shaped like the layer's output."""
        (z,) = torch.autograd.grad(self.g, self.w, v.expand_as(self.g), retain_graph=True)
        return z

    def backward(self, w: Tensor) -> Tensor:
        """J^T w summed over the images, shaped like one image."""
        (g,) = torch.autograd.grad(self.y, self.x, w.view_as(self.y), retain_graph=True)
        return g.sum(0)
