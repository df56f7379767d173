"""(p, q)-singular vectors by the generalised power method."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from uapkit import checks
from uapkit.norms import dual_exponent, lp_norm, psi
from uapkit.operators import DenseOperator, Operator
from uapkit.seeds import generator

ZERO = (
    "the operator is zero and has no singular vector; if it is a layer's Jacobian, "
    "all its units are dead or saturated on these images, so choose another layer"
)


@dataclass(frozen=True)
class SingularPair:
    """A maximiser of ||A v||_q over ||v||_p = 1, as far as it was found.

    ``v`` (columns,), unit p-norm; ``value`` = ||A v||_q of this very ``v``; ``start_value`` that of the start;
    ``history`` one value an iteration, the last is ``value``; ``converged`` says that the value stopped growing.
    """

    v: Tensor
    value: float
    history: tuple[float, ...]
    n_iter: int
    converged: bool
    p: float
    q: float
    start_value: float


def pq_singular(
    op: Operator,
    *,
    p: float,
    q: float,
    v0: Tensor | None = None,
    seed: int = 0,
    max_iter: int = 30,
    rtol: float = 0.0,
    callback: Callable[[int, Tensor, float], object] | None = None,
) -> SingularPair:
    """A (p, q)-singular vector of ``op``: local maximiser of ||A v||_q over ||v||_p = 1, p and q in [1, inf].

    One iteration is one ``rmatvec`` and one ``matvec``: v becomes the unit vector that maximises the linearisation,
    psi_p'(A^T psi_q(A v)) scaled to p-norm 1. For p = 1 this is one coordinate, for q = inf one largest output counts.
    The iteration stops once the value grows by no more than the share ``rtol`` (``converged``; 0: does not grow at
    all), or after ``max_iter``. A step that would lose (by rounding) is not taken, so ``history`` never decreases. A
    loss beyond rounding, which only an operator whose ``rmatvec`` is not its adjoint shows, ends it unconverged.

    ``v0``: start, any shape with ``columns`` entries, normalised here; by default uniform on [-1/2, 1/2] from ``seed``.
    For p = inf the start is replaced by its sign (+1 at 0), and entries whose back-projection is exactly 0 keep their
    sign, so that all entries are +-1. v and -v have the same value; the sign returned is the one the start leads to.
    A start in the kernel is replaced by the maximiser for a random functional. ``callback(k, v, value)`` is called
    after iteration k = 1, 2, ...

    A :class:`DenseOperator` is solved exactly (``n_iter`` 1, start ignored) where a closed form exists: p = 1 (largest
    column), q = inf (largest row in the dual norm), p = q = 2 (SVD).

    Source: [khrulkov2018], generalised power method (Algorithm 1), after Boyd (1974). Departures: psi_q is rescaled by
    the largest modulus (same iterates, no overflow), and the safeguards above.
    Raises ValueError for p or q outside [1, inf], a zero operator, a zero or misshapen v0, or products that are not
    finite.
    """
    p, q = checks.exponent(p, "p"), checks.exponent(q, "q")
    max_iter, rtol = checks.count(max_iter, "max_iter"), checks.in_range(rtol, 0.0, math.inf, "rtol")
    if isinstance(op, DenseOperator) and (p == 1 or q == math.inf or p == q == 2):
        return _closed_form(op.a, p, q)
    v = _start(op, p, v0, seed)
    z = _tensor(op.matvec(v))
    value = _finite_norm(z, q)
    if value == 0:
        v = _escape_kernel(op, p, v, seed)
        z = _tensor(op.matvec(v))
        value = _finite_norm(z, q)
    start_value, history, converged = value, [], False
    for k in range(1, max_iter + 1):
        g = _tensor(op.rmatvec(psi(z, q, scaled=True)))
        new_v = _unit_maximiser(g, p, v)
        z = _tensor(op.matvec(new_v))
        new_value = _finite_norm(z, q)
        growth = new_value - value
        if growth >= 0:
            v, value = new_v, new_value
        history.append(value)
        if callback is not None:
            callback(k, v, value)
        if growth <= rtol * value:
            converged = growth >= -value * torch.finfo(v.dtype).eps ** 0.5
            break
    return SingularPair(v, value, tuple(history), len(history), converged, p, q, start_value)


def _start(op: Operator, p: float, v0: Tensor | None, seed: int) -> Tensor:
    n = op.shape[1]
    if v0 is None:
        v0 = torch.rand(n, generator=generator(seed, "start_vector"), dtype=torch.float64, device="cpu") - 0.5
    v = _tensor(v0).detach().reshape(-1).to(getattr(op, "device", "cpu"), _dtype(op))
    if v.numel() != n:
        raise ValueError(f"v0 must have {n} entries for an operator of shape {tuple(op.shape)}, got {v.numel()}")
    length = float(lp_norm(v, p))
    if not 0 < length < math.inf:
        raise ValueError(f"v0 must be finite and not zero, its norm is {length:g}; leave it out for a random start")
    return torch.where(v < 0, -1.0, 1.0).to(v.dtype) if p == math.inf else v / length


def _tensor(t: Any) -> Tensor:
    """A tensor as it is, wherever it lies; an operator of SciPy's gives arrays."""
    return t if isinstance(t, Tensor) else torch.as_tensor(t, device="cpu")


def _dtype(op: Operator) -> torch.dtype:
    """Floating type to iterate in: the operator's own, also of one that only says it in NumPy's terms or not at all."""
    name = str(getattr(op, "torch_dtype", getattr(op, "dtype", "float32"))).removeprefix("torch.")
    return getattr(torch, name) if name in ("float16", "bfloat16", "float32", "float64") else torch.float32


def _unit_maximiser(g: Tensor, p: float, previous: Tensor) -> Tensor:
    """The maximiser of <g, v> over ||v||_p = 1; for p = inf, where g is 0, the entry of ``previous``."""
    v = psi(g, dual_exponent(p), scaled=True)
    if p == math.inf:
        return torch.where(g == 0, previous, v)
    return v / lp_norm(v, p).to(v)  # stays on the device: nothing is waited for


def _escape_kernel(op: Operator, p: float, v: Tensor, seed: int) -> Tensor:
    """A unit vector that ``op`` does not send to 0: for g = A^T w not 0, its maximiser has <w, A v> = ||g||_p' > 0."""
    w = torch.rand(op.shape[0], generator=generator(seed, "functional"), dtype=torch.float32, device="cpu") - 0.5
    g = _tensor(op.rmatvec(w.to(v)))
    if not bool(g.any()):
        raise ValueError(ZERO)
    return _unit_maximiser(g, p, v)


def _finite_norm(z: Tensor, q: float) -> float:
    value = float(lp_norm(z, q))
    if not math.isfinite(value):
        raise ValueError("the operator's product holds values that are not finite (NaN or infinity)")
    return value


def _closed_form(a: Tensor, p: float, q: float) -> SingularPair:
    if not bool(a.any()):
        raise ValueError(ZERO)
    ones = a.new_ones(a.shape[1])
    if p == 1:  # the maximum of a convex function over the cross-polytope lies at a vertex: the largest column
        v = torch.zeros_like(ones)
        v[lp_norm(a, q, dim=0).argmax()] = 1
    elif q == math.inf:  # one row at a time, each a linear functional: its dual norm
        v = _unit_maximiser(a[lp_norm(a, dual_exponent(p), dim=1).argmax()], p, ones)
    else:
        v = torch.linalg.svd(a, full_matrices=False).Vh[0]
    value = float(lp_norm(a @ v, q))
    return SingularPair(v, value, (value,), 1, True, p, q, value)
