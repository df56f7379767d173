"""DeepFool: for each image a small step across the nearest linearised decision boundary, all images at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from uapkit import checks
from uapkit.attacks.base import batch_for, ready
from uapkit.attacks.gradient import class_index, in_classes
from uapkit.data.images import Images
from uapkit.data.images import as_tensor as pixels
from uapkit.gate import Network, own
from uapkit.norms import dual_exponent, psi
from uapkit.progress import Bar


@dataclass(frozen=True, eq=False, repr=False)
class DeepFoolResult:
    """r: (n, c, h, w), added to the images as it is; where ``success`` is False, how far the attempt came.

    success: (n,) bool, the label of x + r differs from that of x (with a target: is the target). n_iter: (n,) steps.
    label, adversarial: (n,) predicted classes of x and of x + r. gradients: (n,) gradients of one class's score that the
    steps took, a measure of the work that no machine changes.
    """

    r: Tensor
    success: Tensor
    n_iter: Tensor
    label: Tensor
    adversarial: Tensor
    gradients: Tensor

    def __repr__(self) -> str:
        n, won = len(self.r), int(self.success.sum())
        length = torch.linalg.vector_norm(self.r[self.success].flatten(1).double(), dim=1)
        middle = f", median length {float(length.median()):.4g} (2-norm)" if won else ""
        return f"DeepFoolResult({n} x {tuple(self.r.shape[1:])}, {won} of {n} succeeded{middle})"


@dataclass(frozen=True)
class Settings:
    """The settings of one DeepFool, checked; see :func:`deepfool`."""

    num_classes: int = 10
    overshoot: float = 0.02
    max_iter: int = 50
    norm: float = 2.0
    basis: Tensor | None = None
    bounds: tuple[float, float] | None = None
    linearise: Literal["overshot", "plain"] = "overshot"
    extra: float = 0.0
    refine: int = 0

    def __post_init__(self) -> None:
        checked = {
            "num_classes": checks.count(self.num_classes, "num_classes", 2),
            "overshoot": checks.radius(self.overshoot, "overshoot"),
            "max_iter": checks.count(self.max_iter, "max_iter"),
            "norm": checks.in_range(self.norm, 1, math.inf, "norm", open_low=True),
            "extra": checks.radius(self.extra, "extra"),
            "refine": checks.count(self.refine, "refine", 0),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        checks.one_of(self.linearise, ("overshot", "plain"), "linearise")
        if self.bounds is not None:
            object.__setattr__(self, "bounds", checks.bounds(self.bounds))
        if self.basis is not None:
            checks.tensor(self.basis, "basis", "a tensor (d, k) with orthonormal columns")
            if self.norm != 2:
                raise ValueError(f"a basis confines the step only in norm 2, got norm {self.norm:g}")
            if self.bounds is not None:
                raise ValueError("a basis and bounds cannot both be kept to; give one of them")

    def for_images(self, x: Tensor) -> Settings:
        """The same, with the basis on the images' device and checked: (d, k) with orthonormal columns."""
        if self.basis is None:
            return self
        basis, d = self.basis.to(x), x[0].numel()
        if basis.ndim != 2 or len(basis) != d or not 1 <= basis.shape[1] <= d:
            raise ValueError(f"basis must have the shape (d, k) with d = {d}, got {tuple(basis.shape)}")
        wrong = float((basis.T @ basis - torch.eye(basis.shape[1], device=x.device).to(basis)).abs().max())
        if not wrong < 1e-3:
            raise ValueError(
                f"the columns of basis must be orthonormal, they are off by {wrong:.2g}; see subspace.orthonormal"
            )
        return replace(self, basis=basis)


@torch.inference_mode(False)
def deepfool(
    model: Network,
    x: Tensor | Images,
    *,
    num_classes: int = 10,
    overshoot: float = 0.02,
    max_iter: int = 50,
    norm: float = 2,
    target: Tensor | int | None = None,
    basis: Tensor | None = None,
    bounds: tuple[float, float] | None = None,
    linearise: Literal["overshot", "plain"] = "overshot",
    extra: float = 0.0,
    refine: int = 0,
    batch_size: int | None = None,
) -> DeepFoolResult:
    """Smallest steps found that change the predicted labels; the true labels never enter.

    x: (n, c, h, w) in [0, 1]. ``model`` returns logits, not probabilities. num_classes: the candidate classes, the
    predicted one included, are the highest-scoring ones at the start and stay fixed; all classes where the network has
    fewer. The sum of the steps is multiplied by 1 + ``overshoot``; the search ends once the label there is another,
    or after ``max_iter`` steps, or where no candidate has a gradient. norm: in (1, inf], what the steps minimise.
    target: one class or (n,) classes to reach; then each step leads from the best-scoring other class to the target.
    basis: (d, k) with orthonormal columns; r stays in its span (norm 2). bounds: (low, high) keeps x + r in that pixel
    box: pixels without room are left out of a step, the others close the gap; None, as in the papers, ignores the box.
    linearise: the next linearisation is taken at x + (1 + overshoot) r ("overshot") or at x + r ("plain").
    extra: added to the length of every step. refine: how often to halve the interval in which the length of r is known
    to suffice, at one forward pass each; 0 leaves r as DeepFool found it. batch_size: images at once; finished ones
    leave the batch.

    Raises ValueError for settings out of range, or images outside ``bounds``.

    Source: [moosavi2017], the minimal perturbation of its Algorithm 1, found as in the DeepFool paper that it builds
    on. That paper and the MATLAB release linearise at x + r; the Python releases at the overshot point, the default
    here too: x + r may rest on a kink where the plain step is zero for good. The Python DeepFool release has
    ``extra=1e-4``, the copy inside the UAP release none; ``max_iter`` is 100 (MATLAB), 50 (Python), 10 (inside UAP).
    Released code always minimises the 2-norm. The box and ``refine`` are ours.
    """
    x = own(pixels(x))
    settings = Settings(num_classes, overshoot, max_iter, norm, basis, bounds, linearise, extra, refine).for_images(x)
    box = settings.bounds
    if box is not None and not box[0] <= float(x.min()) <= float(x.max()) <= box[1]:
        raise ValueError(f"x has pixels in [{float(x.min()):g}, {float(x.max()):g}], outside the bounds {box!r}")
    goal = None if target is None else class_index(target, len(x), "target").to(x.device)
    size = batch_for(x, settings.num_classes) if batch_size is None else checks.count(batch_size, "batch_size")
    use = ready(model, x)
    parts = [
        walk(use, x[i : i + size], settings, goal if goal is None else goal[i : i + size])
        for i in Bar(range(0, len(x), size), desc="DeepFool", unit="batch")
    ]
    return DeepFoolResult(
        *(torch.cat([getattr(part, name) for part in parts]) for name in DeepFoolResult.__annotations__)
    )


@torch.no_grad()
def walk(
    model: Network, x: Tensor, settings: Settings, target: Tensor | None = None, away: Tensor | None = None
) -> DeepFoolResult:
    """:func:`deepfool` on one batch with checked settings and a network past the gate; images may lie outside [0, 1].

    away: (n,) labels to get away from, if not those of x: where x has another one already, nothing is done.
    """
    reach = 1 + settings.overshoot
    total = torch.zeros_like(x)  # without the overshoot
    n_iter = torch.zeros(len(x), dtype=torch.long, device=x.device)
    success = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    label = adversarial = candidates = n_iter
    alive = torch.arange(len(x), device=x.device)  # the images still running
    for step in range(settings.max_iter + 1):
        last, plain = step == settings.max_iter, settings.linearise == "plain" and step > 0
        point, logits = _forward(model, _inside(x[alive] + total[alive] * reach, settings), not (last or plain))
        now = logits.argmax(1)
        if step == 0:
            label, adversarial = now if away is None else away, now.clone()
            candidates = _candidates(logits, settings.num_classes, target)
        adversarial[alive] = now
        crossed = (now != label[alive] if target is None else now == target[alive]) & answered(logits)
        success[alive] = crossed
        finished = int(crossed.sum())
        alive = alive[~crossed]
        if last or not len(alive):
            break
        running = ~crossed if finished else slice(None)
        gradients = max(1, candidates.shape[1] - 1)
        if plain or finished * gradients > len(alive):
            # one more forward pass of those that run on costs less than the gradients of those that are finished
            far = reach if settings.linearise == "overshot" else 1.0
            point, logits = _forward(model, _inside(x[alive] + total[alive] * far, settings), True)
            running = slice(None)
        gap, w = _linearise(logits, point, candidates[alive], running)
        move, moved = _step(gap, w, x[alive], total[alive], settings)
        total[alive] += move
        n_iter[alive] += moved
        alive = alive[moved]  # no gradient, or no room in the box: it stays where it is
        if not len(alive):
            break
    r = total * reach
    if settings.bounds is not None:
        r = _inside(x + r, settings) - x
    short, long = torch.zeros_like(success, dtype=x.dtype), torch.ones_like(success, dtype=x.dtype)
    for _ in range(settings.refine if bool(success.any()) else 0):
        middle = (short + long)[success] / 2
        logits = model(x[success] + middle[:, None, None, None] * r[success])
        now = logits.argmax(1)
        crossed = (now != label[success] if target is None else now == target[success]) & answered(logits)
        long[success], short[success] = middle.where(crossed, long[success]), middle.where(~crossed, short[success])
        adversarial[success] = now.where(crossed, adversarial[success])
    r = r * long[:, None, None, None]
    return DeepFoolResult(r, success, n_iter, label, adversarial, n_iter * max(1, candidates.shape[1] - 1))


def answered(logits: Tensor) -> Tensor:
    """(n,) which rows have a label: argmax takes NaN for the largest number."""
    return ~logits.isnan().any(1)


def _inside(point: Tensor, settings: Settings) -> Tensor:
    """The point itself; with bounds clamped, against rounding only, since every step keeps to the box."""
    return point if settings.bounds is None else point.clamp(*settings.bounds)


def _forward(model: Network, point: Tensor, differentiate: bool) -> tuple[Tensor, Tensor]:
    """The point and its logits, ready for gradients with respect to the point if asked for."""
    point.requires_grad_(differentiate)
    with torch.set_grad_enabled(differentiate):
        return point, model(point)


def _candidates(logits: Tensor, num_classes: int, target: Tensor | None) -> Tensor:
    """(n, k) classes; untargeted: the best-scoring ones, best first; targeted: the target alone."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"the network must return logits (n, classes) of two classes or more, got {tuple(logits.shape)}"
        )
    if target is not None:
        return in_classes(target, logits.shape[1], "target")[:, None]
    best = logits.argmax(1, keepdim=True)  # topk may order equal logits otherwise: the label is argmax's
    others = logits.scatter(1, best, -math.inf).topk(min(num_classes, logits.shape[1]) - 1).indices
    return torch.cat([best, others], 1)


def _linearise(logits: Tensor, point: Tensor, classes: Tensor, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
    """Gaps |f'_k| between scores, (k, n), and their gradients w_k, (k, n, d), of the ``rows`` with these classes."""
    scores = logits.detach()[rows]
    if classes.shape[1] == 1:  # towards a target, from the best of the others
        start, end = scores.scatter(1, classes, -math.inf).argmax(1, keepdim=True), classes
    else:
        start, end = classes[:, :1], classes[:, 1:]
    gap = scores.gather(1, end) - scores.gather(1, start)
    k = gap.shape[1]
    # what to differentiate, as weights of the logits: nothing is recorded beyond the network itself
    units = torch.zeros(k, *logits.shape, dtype=logits.dtype, device=logits.device)
    own = torch.zeros(k, *scores.shape, dtype=logits.dtype, device=logits.device)
    units[:, rows] = own.scatter(2, end.T[..., None], 1.0).scatter(2, start.expand(k, -1, 1), -1.0)
    if k > 1 and point.numel() <= 2**12:  # little to compute: one pass with k right-hand sides beats k passes
        w = torch.autograd.grad(logits, point, units, is_grads_batched=True)[0]
    else:
        w = torch.stack([torch.autograd.grad(logits, point, units[j], retain_graph=j < k - 1)[0] for j in range(k)])
    # a step is never asked to gain less than the rounding error of the scores, or it could rest on the boundary
    least = scores.abs().amax(1) * torch.finfo(scores.dtype).eps
    return gap.abs().maximum(least[:, None]).T, w[:, rows].flatten(2)


def _step(gap: Tensor, w: Tensor, x: Tensor, total: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """(n, c, h, w) shortest step that closes the gap to one of the candidates, and (n,) whether there is one.

    Closing the gap f along w with the least p-norm takes r = f d / <w, d>, d = psi_q(w), 1/p + 1/q = 1.
    """
    if settings.basis is not None:
        w = w @ settings.basis @ settings.basis.T
    largest = w.abs().amax(2, keepdim=True)
    w, gap = w / largest, gap / largest[..., 0]  # no power overflows or vanishes; a zero gradient gives NaN: not chosen
    d = w if settings.norm == 2 else psi(w, dual_exponent(settings.norm))  # psi_2 is the identity: no copies of w
    slope, size = (w * d).sum(2), torch.linalg.vector_norm(d, settings.norm, 2)
    gap = gap + settings.extra * slope / size
    length, step = gap * size / slope, None
    if settings.bounds is not None:
        low, high = (((b - x) / (1 + settings.overshoot) - total).flatten(1) for b in settings.bounds)
        free = torch.where(d > 0, high > 0, low < 0)  # pixels with room; they alone have to close the gap
        slope = (w * d * free).sum(2)
        step = torch.clamp((gap / slope)[..., None] * d, low.clamp(max=0), high.clamp(min=0))
        # those that hit the wall on the way gain less: priced as if the rest were to be had at the same rate
        length = torch.linalg.vector_norm(step, settings.norm, 2) * gap / (w * step).sum(2)
    length = length.nan_to_num(math.inf, math.inf)
    price, best = length.min(0)
    moved = price.isfinite()
    at = best, torch.arange(len(best), device=best.device)
    chosen = (gap / slope)[at][:, None] * d[at] if step is None else step[at]
    return torch.where(moved[:, None], chosen, 0.0).view_as(x), moved
