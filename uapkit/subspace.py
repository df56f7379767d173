"""Subspaces by their orthonormal bases: making them, projecting on them, and the angles between two of them."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import subspace_angles
from torch import Tensor

from uapkit import checks
from uapkit.seeds import generator


def _columns(a: Tensor, name: str) -> Tensor:
    if not isinstance(a, Tensor) or a.ndim != 2 or not a.is_floating_point() or a.numel() == 0:
        shape = tuple(a.shape) if isinstance(a, Tensor) else type(a).__name__
        raise ValueError(f"{name} must be a floating-point matrix (d, k) with its vectors as columns, got {shape}")
    if not bool(torch.isfinite(a).all()):
        raise ValueError(f"{name} holds values that are not finite (NaN or infinity)")
    return a


def orthonormal(vectors: Tensor, *, rtol: float = 1e-6) -> Tensor:
    """(d, r) orthonormal basis of the span of the columns of ``vectors`` (d, k), r <= min(d, k) their rank.

    With independent columns it is the reduced QR: the first j columns span what the first j vectors span, and each
    points to the side of its own vector. Columns that the ones before them span, up to ``rtol`` of their length, are
    left out, zero columns with them. Computed in float64, returned in the dtype of ``vectors``. Source: [jetley2018],
    stacked principal directions. Raises ValueError for anything but a finite matrix, or for zero vectors only.
    """
    a = _columns(vectors, "vectors").double()
    a = a / torch.linalg.vector_norm(a, dim=0).where(a.any(0), torch.ones((), device=a.device).to(a))
    q, r = torch.linalg.qr(a)
    sign = torch.where(r.diagonal() < 0, -1.0, 1.0).to(q)
    if bool((r.diagonal().abs() > rtol).all()) and a.shape[1] <= len(a):
        return (q * sign).to(vectors.dtype)
    basis = a.new_empty(len(a), 0)
    for column in a.T:  # rank-deficient: one by one, so that the first of equal vectors is the one that stays
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)  # once more: cancellation leaves a remainder that is not orthogonal
        if basis.shape[1] < len(a) and float(rest.norm()) > rtol:
            basis = torch.cat([basis, (rest / rest.norm())[:, None]], 1)
    if not basis.shape[1]:
        raise ValueError("vectors are all zero and span nothing")
    return basis.to(vectors.dtype)


def project(x: Tensor, basis: Tensor) -> Tensor:
    """Q Q^T x for every row of ``x``: (d,), (n, d), (c, h, w) or (n, c, h, w) with d = c h w; same shape.

    The result has the dtype of ``x``; that of ``basis`` where ``x`` holds integers. basis: (d, k) with orthonormal
    columns, see :func:`orthonormal`. Source: [jetley2018], images and attacks projected on spans of principal
    directions. Raises ValueError where the sizes do not fit.
    """
    d = len(_columns(basis, "basis"))
    image = x.ndim >= 3
    own = x.shape[-3:].numel() if image else x.shape[-1] if x.ndim else 0
    if x.ndim > 4 or own != d:
        raise ValueError(f"x must hold vectors or images of {d} entries, as basis has rows, got {tuple(x.shape)}")
    x = x if x.is_floating_point() or x.is_complex() else x.to(basis.dtype)
    q = basis.to(x)
    return (x.reshape(-1, d) @ q @ q.T).view(x.shape)


def principal_angles(u: Tensor, w: Tensor) -> np.ndarray:
    """(min(k, l),) float64 angles in degrees between the column spans of u (d, k) and w (d, l), largest first.

    The columns need be independent, not orthonormal. cos of the j-th smallest angle is the j-th singular value of
    Q_u^T Q_w; small angles are computed by their sines. Source: [equivariant2019], Table 1, which lists the largest
    first. Raises ValueError for matrices of different height.
    """
    if len(_columns(u, "u")) != len(_columns(w, "w")):
        raise ValueError(f"u and w must have the same number of rows, got {len(u)} and {len(w)}")
    return np.degrees(subspace_angles(u.detach().double().cpu().numpy(), w.detach().double().cpu().numpy()))


def random_subspace(d: int, k: int, seed: int, *, inside: Tensor | None = None) -> Tensor:
    """(d, k) orthonormal basis of a uniformly random k-dimensional subspace of R^d, float64.

    inside: (d, m) orthonormal basis of a subspace that it shall lie in, k <= m <= d: the null for directions that are
    confined to the data's own principal subspace. The same seed gives nested bases for growing k.
    """
    checks.count(d, "d")
    m = d if inside is None else _columns(inside, "inside").shape[1]
    if inside is not None and len(inside) != d:
        raise ValueError(f"inside must have d = {d} rows, got {len(inside)}")
    if checks.count(k, "k") > m:
        raise ValueError(f"k must lie in [1, {m}], got {k}")
    rng = generator(seed, "random_subspace")
    normal = torch.randn(k, m, generator=rng, dtype=torch.float64, device="cpu").T
    return orthonormal(normal if inside is None else inside.double() @ normal)
