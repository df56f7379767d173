"""Spectra and eigenspaces of stacked directions by groups of images, with intervals that leave out a group at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.special import stdtrit
from torch import Tensor

from uapkit import checks, subspace

GROUPS = 10  # of images, left out one at a time for an interval
DATA_ENERGY = 0.99  # share of the images' energy that their own principal subspace holds


def moments(rows: Tensor, groups: int = GROUPS) -> Tensor:
    """(groups, d, d) float64: A^T A of each of ``groups`` runs of rows; their sum over n is the matrix of Theorem 1."""
    return torch.stack([part.double().T @ part.double() for part in rows.tensor_split(groups)])


def _largest(k: int | None, d: int) -> list[int] | None:
    """Which of d ascending eigenvalues are the k largest; ValueError unless 1 <= k <= d."""
    if k is not None and checks.count(k, "number of top directions") > d:
        raise ValueError(f"the number of top directions must lie in [1, {d}] for images of {d} pixels, got {k}")
    return None if k is None else [d - k, d - 1]


def top_values(moment: Tensor, k: int | None = None) -> np.ndarray:
    """(k,) largest eigenvalues as shares of the trace, largest first; all of them for None. ValueError for k > d."""
    subset = _largest(k, len(moment))
    return eigh((moment / moment.trace()).numpy(), subset_by_index=subset, eigvals_only=True)[::-1].clip(0)


def top(moment: Tensor, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(k largest eigenvalues as shares of the trace, (d, k) eigenvectors), largest first; all of them for None."""
    values, vectors = eigh((moment / moment.trace()).numpy(), subset_by_index=_largest(k, len(moment)))
    return values[::-1].clip(0), vectors[:, ::-1].copy()


def leading(rows: Tensor, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """:func:`top` of the rows' moment: shares of the squared singular values, and the right singular vectors."""
    return top(moments(rows, 1).sum(0), k)


def principal_subspace(rows: Tensor) -> Tensor:
    """(d, m) float64 orthonormal basis of the fewest principal directions of ``rows`` that hold 99 % of their energy."""
    values, vectors = leading(rows)
    m = int((np.cumsum(values) < DATA_ENERGY).sum()) + 1
    return torch.from_numpy(np.ascontiguousarray(vectors[:, :m]))


def jackknife(
    statistic: Callable[..., np.ndarray], *parts: Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(estimate, low, high, standard error) of ``statistic(*moments)`` from moments by group of images.

    The same group is left out of all of ``parts`` at a time; the interval is Student's at 95 %.
    """
    whole = [p.sum(0) for p in parts]
    estimate = np.atleast_1d(statistic(*whole))
    g = len(parts[0])
    left_out = np.stack(
        [np.atleast_1d(statistic(*(w - p[j] for w, p in zip(whole, parts, strict=True)))) for j in range(g)]
    )
    error = np.sqrt((g - 1) / g * ((left_out - left_out.mean(0)) ** 2).sum(0))
    half = stdtrit(g - 1, 0.975) * error
    return estimate, estimate - half, estimate + half, error


def shares(moment: Tensor, k: int) -> np.ndarray:
    """(k,) cumulative shares of the spectrum: entry j - 1 is what the top j directions hold."""
    return np.cumsum(top_values(moment, k))


def top_share(rows: Tensor, k: int) -> tuple[float, float, float]:
    """(share, low, high): what the top k directions hold of the squared singular values, with its jackknife interval."""
    share, low, high, _ = jackknife(lambda moment: shares(moment, k)[-1:], moments(rows))
    return float(share[0]), float(low[0]), float(high[0])


def held_out_share(parts: Tensor, k: int) -> float:
    """Share of the energy of one half of the images in the top k directions of the other half, mean of both ways."""
    half = len(parts) // 2
    a, b = parts[:half].sum(0), parts[half:].sum(0)
    found = []
    for fit, scored in ((a, b), (b, a)):
        v = torch.from_numpy(top(fit, k)[1])
        found.append(float((v.T @ scored @ v).trace() / scored.trace()))
    return float(np.mean(found))


def angles(a: Tensor, b: Tensor, k: int) -> np.ndarray:
    """(k,) principal angles in degrees between the top k eigenspaces, largest first."""
    u, w = (torch.from_numpy(top(moment, k)[1]) for moment in (a, b))
    return subspace.principal_angles(u, w)


def mean_dots(a: Tensor, b: Tensor, ks: Sequence[int]) -> np.ndarray:
    """Mean modulus of the k x k dot products between the top k eigenvectors, for each k."""
    dots = np.abs(top(a, max(ks))[1].T @ top(b, max(ks))[1])
    return np.array([dots[:k, :k].mean() for k in ks])
