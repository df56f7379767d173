"""Slow, dense, obvious answers in float64 that fast code is held against."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Function(nn.Module):
    """A function with the layers that it uses, as a network."""

    def __init__(self, fn, *parts):
        super().__init__()
        self.fn, self.parts = fn, nn.ModuleList(parts)

    def forward(self, x):
        return self.fn(x, *self.parts)


def matrix(seed: int, rows: int, columns: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Gaussian (rows, columns)."""
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def vector(seed: int, entries: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Gaussian (entries,)."""
    return matrix(seed, entries, 1, dtype)[:, 0]


def pixels(seed: int, n: int, c: int, h: int, w: int | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
    """Uniform images (n, c, h, w) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, c, h, h if w is None else w, generator=generator, dtype=torch.float64).to(dtype)


def power_norm(z: Tensor, r: float) -> float:
    """The r-norm from its definition."""
    return float(z.abs().max()) if r == float("inf") else float(z.abs().pow(r).sum() ** (1 / r))


def sign_vectors(d: int) -> Tensor:
    """All 2^d vectors of +-1, as rows."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=d)), dtype=torch.float64)


def best_sign_value(a: Tensor, q: float) -> float:
    """max ||a v||_q over all v of +-1: the (inf, q)-singular value by brute force."""
    return max(power_norm(a @ v, q) for v in sign_vectors(a.shape[1]))


def jacobian(fn: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Jacobians of ``fn`` at every image of ``x``, one image and all its outputs at a time: (n * m, c * h * w)."""
    rows = []
    for image in x:
        leaf = image[None].clone().requires_grad_(True)
        out = fn(leaf).reshape(-1)
        every = torch.eye(out.numel(), dtype=out.dtype)
        (g,) = torch.autograd.grad(out, leaf, every, is_grads_batched=True)
        rows.append(g.reshape(out.numel(), -1))
    return torch.cat(rows)


def by_columns(product: Callable[[Tensor], Tensor], columns: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The matrix behind ``product``, from the unit vectors."""
    return torch.stack([product(e) for e in torch.eye(columns, dtype=dtype)], 1)


class Plain:
    """A matrix known by its products only, so that no closed form applies; counts them."""

    def __init__(self, a: Tensor) -> None:
        self.a, self.shape, self.dtype = a, tuple(a.shape), a.dtype
        self.forward = self.backward = 0

    def matvec(self, v: Tensor) -> Tensor:
        self.forward += 1
        return self.a @ v

    def rmatvec(self, w: Tensor) -> Tensor:
        self.backward += 1
        return self.a.T @ w
