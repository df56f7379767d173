"""Principal curvatures of a class score: eigenvectors of its mean Hessian at points near the decision boundary.

Networks of affine, ReLU and max-pooling layers are piecewise linear in their input: the exact Hessian is zero almost
everywhere. What curves is the score at a finite scale, so Hessians are central differences of gradients at a finite
step (:func:`paper_step`), or exact ones of a smooth copy (:func:`uapkit.models.smooth.softened`), or of the average
over Gaussian noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from uapkit import checks
from uapkit.attacks.base import ready
from uapkit.attacks.deepfool import deepfool
from uapkit.data.images import Images, as_tensor
from uapkit.gate import Network, own
from uapkit.operators.base import Operator
from uapkit.operators.hessian import HessianOperator
from uapkit.progress import Bar
from uapkit.seeds import generator

MANY = 8  # with k > d / 8 directions at each end the whole eigenbasis costs no more products than Lanczos
STEP_FACTOR = 10.0  # the value behind the figures of [jetley2018]
COLUMNS = 64  # of the dense matrix at once


@dataclass(frozen=True, eq=False)
class Curvatures:
    """values: (m,) descending: positive first, along which images move *into* ``target``. vectors: (d, m), columns.

    residuals: (m,) |H v - value v|_2 with the products made anew along v itself; NaN where not measured. converged:
    whether Lanczos reached its tolerance (a dense basis always has). history: largest residual of the wanted ends,
    relative to the largest value, at each check. method: "dense" or "lanczos". n: boundary points averaged over.
    whole: whether the vectors are the whole basis. asymmetry: |H - H^T| / |H| (Frobenius), how far the finite
    difference is from a linear symmetric map.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    converged: bool
    history: tuple[float, ...]
    method: str
    target: int
    step: float | None
    n: int
    asymmetry: float

    @property
    def whole(self) -> bool:
        """Whether the vectors are a basis of the whole space."""
        return self.vectors.shape[1] == len(self.vectors)


def paper_step(shape: tuple[int, ...], bounds: tuple[float, float] = (0.0, 1.0), factor: float = STEP_FACTOR) -> float:
    """Step h = sqrt(d) (high - low) / 512 * factor in the 2-norm, for images of ``shape`` (c, h, w).

    A direction that is spread over all pixels then moves each by ``factor`` / 2 of 256 grey levels. Source:
    [jetley2018], released code, which takes the range of the mean-subtracted training images where we take that of the
    pixels. Raises ValueError for a factor that is not positive.
    """
    checks.in_range(factor, 0, math.inf, "factor", open_low=True)
    return math.sqrt(math.prod(shape)) * (bounds[1] - bounds[0]) / 512 * factor


@torch.inference_mode(False)
def boundary_points(
    model: Network,
    x: Tensor | Images,
    target: int,
    *,
    overshoot: float = 0.05,
    max_iter: int = 5,
    back_off: float = 0.8,
) -> tuple[Tensor, Tensor]:
    """(points (m, c, h, w), rivals (m,)): x + back_off r near the boundary to ``target``, r from targeted DeepFool.

    Images that the network already gives to ``target`` and failures of DeepFool are left out, so m <= n. A rival is
    the best-scoring other class at its point. Source: [jetley2018], released code: overshoot 0.05, at most 5
    steps, 0.8 of the way, so still on the other side. Raises ValueError where no image is left.
    """
    x = own(as_tensor(x))
    checks.in_range(back_off, 0, math.inf, "back_off", open_low=True)
    found = deepfool(model, x, target=target, overshoot=overshoot, max_iter=max_iter)
    kept = found.success & (found.label != target)
    if not bool(kept.any()):
        raise ValueError(
            f"no image reaches class {target} from another one within {max_iter} steps of DeepFool; "
            f"give more than these {len(x)} images or a larger max_iter"
        )
    points = (x + back_off * found.r)[kept]
    with torch.no_grad():
        logits = ready(model, x)(points).clone()
    logits[:, target] = -math.inf
    return points, logits.argmax(1)


class MeanHessian(Operator):
    """Mean over ``points`` of the Hessian of F_target - F_rival, each point with a rival of its own.

    One :class:`HessianOperator` for all points of a rival, weighted by their number; ``step`` and ``chunk`` as there.
    """

    def __init__(
        self, model: Network, points: Tensor, rivals: Tensor, target: int, *, step: float | None, chunk: int | None
    ) -> None:
        d = points[0].numel()
        super().__init__((d, d), points.dtype, points.device)
        chunk = chunk or max(1, (2**18 if points.device.type == "cpu" else 2**24) // d)  # in a CPU's cache
        self.parts = [
            (HessianOperator(_difference(model, target, int(r)), points[rivals == r], step=step, chunk=chunk), w)
            for r in rivals.unique()
            if (w := float((rivals == r).double().mean()))
        ]

    def _matvec(self, v: Tensor) -> Tensor:
        return self._matmat(v[:, None])[:, 0]

    def _rmatvec(self, w: Tensor) -> Tensor:
        return self._matvec(w)

    def _matmat(self, V: Tensor) -> Tensor:
        return sum((weight * part.matmat(V) for part, weight in self.parts), torch.zeros_like(V))


def _difference(model: Network, target: int, rival: int) -> Callable[[Tensor], Tensor]:
    fast = getattr(model, "channels_last", False)

    def score(x: Tensor) -> Tensor:
        logits = model(x.contiguous(memory_format=torch.channels_last) if fast and x.device.type == "cpu" else x)
        return logits[:, target] - logits[:, rival]

    vars(score).update(part_of_model=True, model=model, layer=f"logit {target} - logit {rival}")  # for the gate
    return score


@torch.inference_mode(False)
def principal_curvatures(
    model: Network,
    images: Tensor | Images,
    target: int,
    *,
    k: int | None = None,
    step: float | Literal["paper"] | None = "paper",
    method: Literal["auto", "dense", "lanczos"] = "auto",
    overshoot: float = 0.05,
    max_iter: int = 5,
    back_off: float = 0.8,
    noise: float = 0.0,
    n_noise: int = 8,
    max_products: int = 300,
    rtol: float = 0.02,
    n_check: int = 10,
    chunk: int | None = None,
    seed: int = 0,
) -> Curvatures:
    """Mean principal curvatures and directions of the score difference F_target - F_rival near the boundary.

    images: (n, c, h, w) in [0, 1]; the points are those of :func:`boundary_points` (``overshoot``, ``max_iter``,
    ``back_off``). k: how many directions from *each* end of the signed spectrum; None: the whole basis. step: of the
    central differences of gradients, in the unit of the pixels, measured in the 2-norm; ``"paper"``:
    :func:`paper_step`; None: the exact Hessian, which is zero for a piecewise linear network. noise: if positive, each point
    is replaced by ``n_noise`` copies with Gaussian noise of this standard deviation a pixel, which smooths the score.
    method: ``"dense"`` takes the products with a random orthonormal basis and needs d of them; ``"lanczos"`` builds a
    Krylov basis of at most ``max_products`` vectors until the 2k wanted residuals are below ``rtol`` of the largest
    value; ``"auto"``: dense for the whole basis or for k > d/8. n_check: for how many pairs of each end the
    residual is measured. chunk: images through the network at once. seed: of starts and noise.

    Sign: positive values belong to directions along which F_target - F_rival rises on either side, so images move into
    ``target``. [jetley2018] prints that difference; its released code takes the opposite sign. Which end moves images in
    is measured, not only derived: experiment jetley2018/fig2_positive.

    Source: [jetley2018], Algorithm 1, and its released code, neither of which restricts products to the tangent space of
    the boundary. Departures: the rival is fixed at the point; Lanczos keeps all its vectors and never restarts.
    Raises ValueError for settings out of range or images that do not reach ``target``.
    """
    x = own(as_tensor(images))
    use = ready(model, x)
    d = x[0].numel()
    if k is not None and not 1 <= checks.count(k, "k") <= d // 2:
        raise ValueError(f"k must lie in [1, {d // 2}], half of the {d} pixels, for each end has k directions; got {k}")
    checks.one_of(method, ("auto", "dense", "lanczos"), "method")
    if method == "lanczos" and k is None:
        raise ValueError('Lanczos finds the ends only: give k, or take method="dense" for the whole basis')
    h = paper_step(tuple(x.shape[1:]), getattr(model, "bounds", (0.0, 1.0))) if step == "paper" else step
    points, rivals = boundary_points(model, x, target, overshoot=overshoot, max_iter=max_iter, back_off=back_off)
    n = len(points)
    if checks.in_range(noise, 0, math.inf, "noise") > 0:
        points, rivals = (t.repeat_interleave(checks.count(n_noise, "n_noise"), 0) for t in (points, rivals))
        draws = torch.randn(points.shape, generator=generator(seed, "noise"), dtype=points.dtype, device="cpu")
        points = points + noise * draws.to(points)
    op = MeanHessian(use, points, rivals, int(target), step=h, chunk=chunk)
    dense = method == "dense" or (method == "auto" and (k is None or MANY * k > d))
    solved = whole_basis(op, seed) if dense else ends(op, k or 1, seed=seed, max_products=max_products, rtol=rtol)
    values, vectors, asymmetry, converged, history = solved
    m = len(values)
    wanted = _outer(m, m if k is None else k)
    values, vectors = values[wanted], vectors[:, wanted]
    residuals = torch.full_like(values, math.nan)
    some = min(checks.count(n_check, "n_check", 0), len(values) // 2)
    if some:
        at = _outer(len(values), some)
        residuals[at] = torch.linalg.vector_norm(op.matmat(vectors[:, at]) - vectors[:, at] * values[at], dim=0)
    name = "dense" if dense else "lanczos"
    return Curvatures(values, vectors, residuals, converged, history, name, int(target), h, n, asymmetry)


Solved = tuple[Tensor, Tensor, float, bool, tuple[float, ...]]


def whole_basis(op: Operator, seed: int = 0) -> Solved:
    """(values (d,) descending, vectors (d, d), asymmetry, True, ()) of a nearly symmetric operator.

    The products are taken along a random orthonormal basis, whose vectors are spread over all pixels: at a finite step
    a single pixel would be moved much further than any picture is.
    """
    d = op.shape[0]
    normal = torch.randn(d, d, generator=generator(seed, "basis"), dtype=torch.float64, device="cpu")
    q = torch.linalg.qr(normal)[0].to(op.device, op.torch_dtype)
    bar = Bar(range(0, d, COLUMNS), desc="Hessian", unit="block")
    product = torch.cat([op.matmat(q[:, i : i + COLUMNS]) for i in bar], 1).double() @ q.double().T
    values, vectors, asymmetry = _eigen(product)
    return values.to(q), _turned(vectors).to(q), asymmetry, True, ()


def ends(
    op: Operator, k: int, *, seed: int = 0, max_products: int = 300, rtol: float = 0.02, every: int = 10
) -> Solved:
    """Both ends of the spectrum by Lanczos with full orthogonalisation and no restart; see :func:`whole_basis`.

    All Krylov vectors (at most ``max_products``) and their products are kept, so the Rayleigh-Ritz matrix and the
    residuals are those of the products as they came, also where finite differences make the operator not quite linear.
    Every ``every`` steps the residuals of the k outermost pairs of each end are looked at.
    """
    d = op.shape[0]
    most = min(checks.count(max_products, "max_products", 2 * k), d)
    rng = generator(seed, "lanczos")

    def fresh() -> Tensor:
        return torch.randn(d, generator=rng, dtype=torch.float64, device="cpu").to(op.device)

    basis, products = (torch.zeros(d, most, dtype=torch.float64, device=op.device) for _ in range(2))
    rest, history = fresh(), []
    for j in Bar(range(most), desc="Lanczos", unit="product"):
        q, w = basis[:, :j], rest
        for attempt in range(2):  # an invariant subspace is left by a new random direction
            for _ in range(2):
                w = w - q @ (q.T @ w)
            if attempt or float(w.norm()) > 1e-10 * max(1e-300, float(rest.norm())):
                break
            w = fresh()
        basis[:, j] = w / w.norm()
        products[:, j] = rest = op.matvec(basis[:, j].to(op.torch_dtype)).double()
        m = j + 1
        if m == most or (m >= 2 * k and not m % every):
            small = basis[:, :m].T @ products[:, :m]
            values, s, asymmetry = _eigen(small)
            at = torch.cat([torch.arange(min(k, m), device="cpu"), torch.arange(max(0, m - k), m, device="cpu")])
            vectors = basis[:, :m] @ s[:, at]
            worst = torch.linalg.vector_norm(products[:, :m] @ s[:, at] - vectors * values[at], dim=0).max()
            scale = float(values.abs().max())
            history.append(float(worst) / scale if scale else 0.0)
            if history[-1] <= rtol:
                break
    dtype = op.torch_dtype
    return values[at].to(dtype), _turned(vectors).to(dtype), asymmetry, history[-1] <= rtol, tuple(history)


def _outer(m: int, k: int) -> Tensor:
    """The places of the first and the last k of m, each once."""
    places = torch.arange(m, device="cpu")
    return places[(places < k) | (places >= m - k)]


def _eigen(a: Tensor) -> tuple[Tensor, Tensor, float]:
    """Eigenpairs of the symmetric part, descending, and how much the rest weighs."""
    size = float(a.norm())
    values, vectors = torch.linalg.eigh((a + a.T) / 2)
    return values.flip(0), vectors.flip(1), float((a - a.T).norm()) / size if size else 0.0


def _turned(vectors: Tensor) -> Tensor:
    """Each column with its entry of largest modulus positive: an eigenvector's sign is free."""
    peak = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * torch.where(peak < 0, -1.0, 1.0).to(vectors)
