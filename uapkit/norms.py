"""p-norms, dual exponents, the map psi and projections onto balls, all safe for large exponents in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from uapkit import checks


def dual_exponent(p: float) -> float:
    """The dual exponent p' with 1/p + 1/p' = 1; the ends 1 and inf are each other's dual.

    Raises ValueError for p outside [1, inf].
    """
    p = checks.exponent(p, "p")
    if p == 1:
        return math.inf
    return 1.0 if p == math.inf else p / (p - 1)


def lp_norm(z: Tensor, r: float, dim: int | None = None) -> Tensor:
    """The r-norm of ``z``, r in [1, inf], over all entries or along ``dim``; float64.

    The largest modulus is divided out first, so that no power over- or underflows before the result does. Infinite or
    NaN entries give infinity or NaN. Raises ValueError for r outside [1, inf].
    """
    r = checks.exponent(r, "r")
    if dim is None:
        z, dim = z.reshape(-1), 0
    size = z.abs()
    if r == 1:
        return size.sum(dim, dtype=torch.float64)
    top = size.amax(dim)
    if r == math.inf:
        return top.double()
    ratio = size / _divisor(top).unsqueeze(dim)
    total = ratio.pow(r).sum(dim, dtype=torch.float64)
    return torch.where(top.isinf(), torch.inf, top.double() * total.pow(1 / r))


def psi(z: Tensor, r: float, *, scaled: bool = False) -> Tensor:
    """psi_r(z) = sign(z) |z|^(r - 1), entry by entry; same shape and dtype as ``z``, r in [1, inf].

    psi_1 is the sign (0 at 0), psi_2 the identity, and psi_p' inverts psi_p for 1 < p < inf. Entries too large for the
    dtype become its largest finite number. With ``scaled`` the result is psi_r(z / max|z|) instead, a positive multiple
    of psi_r(z) with entries in [-1, 1] that neither overflows nor vanishes as a whole: what the power method uses. For
    r = inf both are its limit with one entry only, the sign of the first entry of largest modulus and 0 elsewhere, a
    subgradient of the max-norm. All-zero input gives zeros.

    Source: [khrulkov2018], generalised power method; the scaling is ours. Raises ValueError for r outside [1, inf].
    """
    r = checks.exponent(r, "r")
    if r == 1:
        return z.sign()
    size = z.abs()
    if r == math.inf:
        first = size.reshape(-1).argmax()
        one = torch.zeros_like(z).reshape(-1)
        one[first] = z.reshape(-1)[first].sign()
        return one.view(z.shape)
    if scaled:
        size = size / _divisor(size.max())
    power = size if r == 2 else size.pow(r - 1)
    return torch.copysign(power.clamp(max=torch.finfo(z.dtype).max), z)


def project(v: Tensor, norm: float, eps: float, onto: str = "ball") -> Tensor:
    """The point nearest to ``v`` in l2 with ``norm`` at most ``eps`` (same unit as ``v``); the tensor is one vector.

    onto: "sphere" scales ``v`` to the norm ``eps``, whether it was longer or shorter (0 stays 0); in the 2-norm that is
    the nearest point of the sphere.

    Source: [moosavi2017], the projection of Algorithm 1; its code of 2016 took the 2-norm's sphere, the later one the
    ball. The sphere of the infinity norm is ours. Raises ValueError for a norm other than 2 and inf, for eps < 0 or
    infinite, and for entries of ``v`` that are not finite.
    """
    checks.one_of(onto, ("ball", "sphere"), "projection")
    eps = checks.in_range(eps, 0.0, torch.finfo(torch.float64).max, "eps")
    if norm not in (2, math.inf):
        raise ValueError(f"norm must be 2 or inf to project onto its ball, got {norm!r}")
    if not bool(torch.isfinite(v).all()):
        raise ValueError("v holds values that are not finite (NaN or infinity) and cannot be projected")
    if norm == math.inf and onto == "ball":
        return v.clamp(-eps, eps)
    length = float(lp_norm(v, norm))
    if onto == "sphere":
        return v * (eps / length) if length else v.clone()
    return v * (eps / length) if length > eps else v.clone()


def _divisor(top: Tensor) -> Tensor:
    """1 in place of 0, so that 0 / 0 is 0."""
    return torch.where(top == 0, 1.0, top)
