"""Smooth copies of piecewise linear networks, whose exact second derivatives are not zero."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, softplus, unfold

from uapkit import checks
from uapkit.models.nets.gcnn import P4MaxPool


class SoftReLU(nn.Module):
    """log(1 + exp(beta x)) / beta."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """The smooth rectifier of every entry."""
        return softplus(x, self.beta)


class SoftMaxPool(nn.Module):
    """log(mean(exp(beta x))) / beta over each window of a max-pooling."""

    def __init__(self, pool: nn.MaxPool2d | P4MaxPool, beta: float) -> None:
        super().__init__()
        planar = nn.MaxPool2d(2) if isinstance(pool, P4MaxPool) else pool
        self.side, self.stride, self.padding = (
            (v, v) if isinstance(v, int) else v for v in (planar.kernel_size, planar.stride, planar.padding)
        )
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w), or p4 maps (n, c, 4, h, w), to the pooled maps."""
        if x.ndim == 5:
            return self.forward(x.flatten(1, 2)).unflatten(1, x.shape[1:3])
        (ph, pw), (kh, kw), (sh, sw) = self.padding, self.side, self.stride
        wide = pad(x, (pw, pw, ph, ph), value=-1e4 / self.beta)  # far below all else, and finite
        n, c, h, w = wide.shape
        windows = unfold(wide, self.side, stride=self.stride).view(n, c, kh * kw, -1)
        pooled = (torch.logsumexp(self.beta * windows, 2) - math.log(kh * kw)) / self.beta
        return pooled.view(n, c, (h - kh) // sh + 1, (w - kw) // sw + 1)


def softened(model: nn.Module, beta: float) -> nn.Module:
    """A smooth copy of a network: softplus for ReLU, a smooth maximum for max-pooling; the kinks come back as beta grows.

    beta: sharpness, in the units of the activations; the exact Hessian of the copy is not zero. Ours: [jetley2018] takes
    finite differences. Raises ValueError for beta <= 0 and for a network without such modules (functional ReLUs cannot
    be found).
    """
    beta = checks.in_range(beta, 0, math.inf, "beta", open_low=True)
    smooth, found = copy.deepcopy(model), 0
    for parent in list(smooth.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU | nn.MaxPool2d | P4MaxPool):
                found += 1
                soft = SoftReLU(beta) if isinstance(child, nn.ReLU) else SoftMaxPool(child, beta)
                setattr(parent, name, soft.train(model.training))
    if not found:
        raise ValueError(f"{type(model).__name__} has no nn.ReLU or nn.MaxPool2d module, so there is nothing to soften")
    return smooth
