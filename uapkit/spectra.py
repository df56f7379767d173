"""Spectra of many directions: singular values of stacked unit rows, their energy, and what chance would give."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from uapkit import checks
from uapkit.seeds import generator

METHODS = ("auto", "exact", "gram", "randomised")
EXACT_ENTRIES = 2**24  # up to here (10,000 x 784 is half of it) an SVD of the rows themselves takes seconds
GRAM_SIDE = 8192  # up to here the smaller Gram matrix has its eigenvalues in minutes and fits in half a gigabyte

Rows = Tensor | Iterable[Tensor]


class Singular(NamedTuple):
    """Singular values (k,), largest first, the right singular vectors (k, d) as rows, and the method that found them."""

    values: Tensor
    vectors: Tensor
    method: str


def _flat(rows: Tensor) -> Tensor:
    if not isinstance(rows, Tensor) or not rows.is_floating_point() or rows.ndim < 2 or rows.numel() == 0:
        shape = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        raise ValueError(f"rows must be floating-point directions (n, d) or (n, c, h, w), got {shape}")
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("rows hold values that are not finite (NaN or infinity)")
    return rows.flatten(1)


def direction_matrix(rows: Tensor) -> Tensor:
    """(m, d) rows of unit 2-norm from directions (n, d) or (n, c, h, w), m <= n; no mean is subtracted.

    Rows that are zero have no direction: they are left out, with a warning that counts them. The norm is computed after
    division by the largest entry, so that tiny gradients keep their direction. Source: [equivariant2019], the matrix
    of attack directions; [moosavi2017], Figure 9; [jetley2018], Figure 4. Raises ValueError for entries that are not
    finite, or if all rows are zero.
    """
    a = _flat(rows)
    largest = a.abs().amax(1, keepdim=True)
    kept = largest[:, 0] > 0
    zero = len(a) - int(kept.sum())
    if zero == len(a):
        raise ValueError(f"all {zero} rows are zero and have no direction")
    if zero:
        warnings.warn(f"{zero} of {len(a)} rows are zero, have no direction and are left out", stacklevel=2)
    a = a[kept] / largest[kept]
    return a / torch.linalg.vector_norm(a, dim=1, keepdim=True)


def unit_rows(rows: Tensor) -> Tensor:
    """(n, d) rows of unit 2-norm; zero rows stay zero, so that rows keep their places; see :func:`direction_matrix`."""
    one = torch.ones(()).to(rows)
    rows = rows / rows.abs().amax(1, keepdim=True).where(rows.any(1, keepdim=True), one)
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).where(rows.any(1, keepdim=True), one)


def top_singular(rows: Rows, k: int, method: str = "auto", *, seed: int = 0) -> Singular:
    """The ``k`` largest singular values and right singular vectors of ``rows``, (n, d) or (n, c, h, w), as they are.

    rows: a tensor, or an iterable of blocks of rows for sets too large for memory. method: "exact" (SVD of the rows),
    "gram" (eigenvectors of the smaller Gram matrix in float64; blocks are accumulated into the d x d one and need not
    stay in memory; singular values below 1e-8 of the largest are lost), "randomised" (four rounds of subspace
    iteration from a random start of k + 10 vectors, drawn with ``seed``; a few per cent low on spectra that hardly
    decay), or "auto": exact up to 16 million entries, else gram up to a side of 8192, else randomised; gram for blocks.
    Signs are free: each vector is turned so that its entry of largest modulus is positive. The dtype is that of the
    rows, float64 for blocks. Raises ValueError for k > min(n, d), entries that are not finite, or blocks with
    another method than gram.
    """
    checks.one_of(method, METHODS, "method")
    k = checks.count(k, "k")
    if not isinstance(rows, Tensor):
        if method not in ("auto", "gram"):
            raise ValueError(f'blocks of rows can only be accumulated, method="gram", got method={method!r}')
        n, moment = _moment(rows)
        return _finish(*_from_gram(moment, _at_most(k, n, len(moment))), "gram", torch.float64)
    a = _flat(rows).detach()
    if a.dtype in (torch.float16, torch.bfloat16):  # none of the decompositions takes them
        a = a.float()
    n, d = a.shape
    _at_most(k, n, d)
    if method == "auto":
        small = n * d <= EXACT_ENTRIES
        method = "exact" if small else "gram" if min(n, d) <= GRAM_SIDE else "randomised"
    if method == "randomised":
        return _finish(*_randomised(a, k, seed), method, rows.dtype)
    if method == "exact":
        _, values, vectors = torch.linalg.svd(a, full_matrices=False)
        return _finish(values[:k], vectors[:k], method, rows.dtype)
    if d <= n:
        return _finish(*_from_gram(_moment(a.split(1024))[1], k), method, rows.dtype)
    values, left = _from_gram(a.double() @ a.double().T, k)
    return _finish(values, (left @ a.double()) / values[:, None], method, rows.dtype)


def singular_values(rows: Rows) -> Tensor:
    """All min(n, d) singular values of ``rows``, largest first, float64. A tensor, or an iterable of blocks as above."""
    if isinstance(rows, Tensor):
        return torch.linalg.svdvals(_flat(rows).detach().double())
    n, moment = _moment(rows)
    return torch.linalg.eigvalsh(moment).flip(0).clamp(min=0).sqrt()[: min(n, len(moment))]


def energy(spectrum: Tensor, total: float | None = None) -> Tensor:
    """Cumulative share of the squared singular values, in [0, 1], float64: entry k - 1 is what the top k hold.

    spectrum: singular values (k,), or rows (n, d), whose values are then computed. total: the sum of all squares where
    only the largest values are given (n for n unit rows). Source: [equivariant2019], Figure 1. Raises ValueError for
    negative values, or a total below their sum.
    """
    values = singular_values(spectrum) if spectrum.ndim > 1 else spectrum.double()
    if values.numel() == 0 or not bool((values >= 0).all()):
        raise ValueError("singular values must be given, all of them at least 0")
    squares = values.square().cumsum(0)
    whole = float(squares[-1]) if total is None else float(total)
    if not whole > 0 or float(squares[-1]) > whole * (1 + 1e-4):
        raise ValueError(
            f"total must be positive and at least the sum of squares {float(squares[-1]):g}, got {whole:g}"
        )
    return (squares / whole).clamp(max=1)


def sphere_dimension(spectrum: Tensor) -> float:
    """Dimension of the sphere on which random unit rows would be as alike as the unit rows with these singular values.

    spectrum: all singular values (k,) of n unit rows, so that their squares sum to n. Two random unit vectors of D
    dimensions have a mean squared cosine of 1/D; that of the n (n - 1) pairs here is (sum of fourth powers - n) over
    their number, whatever n is. So D is not bounded by n, unlike a count of singular values. inf where the pairs are
    orthogonal. Raises ValueError for fewer than two rows. The measure is ours; [moosavi2017] looks at the decay.
    """
    squares = spectrum.double().square()
    n = round(float(squares.sum()))
    if n < 2:
        raise ValueError(
            f"the spectrum must be that of two unit rows or more, its squares sum to {float(squares.sum()):g}"
        )
    surplus = float(squares.square().sum()) - n
    return n * (n - 1) / surplus if surplus > 0 else math.inf


def random_directions(n: int, d: int, seed: int, *, inside: Tensor | None = None) -> Tensor:
    """(n, d) float32 rows uniform on the unit sphere of R^d: the null of a spectrum, with the same n.

    inside: (d, m) orthonormal basis; then uniform on the unit sphere of its span, the null for directions that cannot
    leave the data's own principal subspace. Source: [moosavi2017], Figure 9 (columns uniform on the unit sphere).
    """
    n, d = checks.count(n, "n"), checks.count(d, "d")
    if inside is not None and (inside.ndim != 2 or len(inside) != d):
        raise ValueError(f"inside must have the shape (d, m) with d = {d}, got {tuple(inside.shape)}")
    m = d if inside is None else inside.shape[1]
    a = torch.randn(n, m, generator=generator(seed, "random_directions"), dtype=torch.float32, device="cpu")
    a = a / torch.linalg.vector_norm(a, dim=1, keepdim=True)
    return a if inside is None else a @ inside.to(a).T


def _at_most(k: int, n: int, d: int) -> int:
    if k > min(n, d):
        raise ValueError(f"k must lie in [1, {min(n, d)}], the smaller side of the {n} x {d} rows, got {k}")
    return k


def _moment(blocks: Iterable[Tensor]) -> tuple[int, Tensor]:
    """Number of rows and A^T A, (d, d) float64, of blocks that need not be in memory together."""
    n, moment = 0, torch.zeros((), device="cpu")
    for block in blocks:
        a = _flat(block).detach().double()
        if n and a.shape[1] != len(moment):
            raise ValueError(f"all blocks must have rows of one length, got {len(moment)} and {a.shape[1]}")
        n, moment = n + len(a), moment.to(a) + a.T @ a
    if not n:
        raise ValueError("there are no rows: the iterable of blocks is empty (or was used up before)")
    return n, moment


def _from_gram(gram: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Square roots of the k largest eigenvalues, and their eigenvectors as rows."""
    values, vectors = torch.linalg.eigh(gram)
    floor = float(values[-1]) * 1e-16 or math.ulp(0.0)  # a value lost to rounding stays a positive number to divide by
    return values[-k:].flip(0).clamp(min=floor).sqrt(), vectors[:, -k:].flip(1).T


def _randomised(a: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor]:
    """Subspace iteration (Halko, Martinsson and Tropp 2011, Algorithm 4.4)."""
    width = min(k + 10, *a.shape)
    rng = generator(seed, "randomised_svd")
    start = torch.randn(a.shape[1], width, generator=rng, dtype=torch.float32, device="cpu")
    q = torch.linalg.qr(a @ start.to(a))[0]
    for _ in range(4):
        q = torch.linalg.qr(a @ torch.linalg.qr(a.T @ q)[0])[0]
    _, values, vectors = torch.linalg.svd(q.T @ a, full_matrices=False)
    return values[:k], vectors[:k]


def _finish(values: Tensor, vectors: Tensor, method: str, dtype: torch.dtype) -> Singular:
    values, vectors = values.to(dtype), vectors.to(dtype)
    peak = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return Singular(values, vectors * torch.where(peak < 0, -1.0, 1.0).to(vectors), method)
