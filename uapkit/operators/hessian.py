"""The mean Hessian of a score over images, exact or at a finite scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from uapkit import checks, gate
from uapkit.operators.base import Operator, batch_of, default_chunk, placed


class HessianOperator(Operator):
    """Mean over images of the Hessian of ``score_fn``, shape (c*h*w, c*h*w), never formed.

    ``score_fn`` maps images (n, c, h, w) to scores (n,), each depending on its own image only. Without ``step`` the
    products are exact (double backward): zero for networks of affine and ReLU-like layers, whose scores are piecewise
    linear. With ``step`` h > 0, in pixel units, H v is the central difference of gradients
    |v|_2 * (G(x + h u) - G(x - h u)) / (2 h), u = v / |v|_2: homogeneous in v, but linear and symmetric only as far as
    the score is quadratic at the scale h. ``rmatvec`` is ``matvec``. Images may lie outside [0, 1], where the difference
    looks anyway. At most ``chunk`` images (default: see :func:`default_chunk`) go through the network at once.

    Source: [jetley2018], Algorithm 1 and its released code (finite step).
    Raises ValueError for images that are not a finite, non-empty (n, c, h, w), a step that is not positive and finite,
    scores that are not (n,), and a score that is no fixed, differentiable function (:mod:`uapkit.gate`).
    """

    def __init__(
        self,
        score_fn: Callable[[Tensor], Tensor],
        images: Tensor,
        *,
        step: float | None = None,
        chunk: int | None = None,
    ) -> None:
        with torch.inference_mode(False):
            self.images = placed(score_fn, batch_of(images))
        self.step = None if step is None else checks.in_range(step, 0.0, 1e30, "step", open_low=True)
        self.chunk = default_chunk(self.images) if chunk is None else checks.count(chunk, "chunk")
        self._score_fn = score_fn
        d = self.images[0].numel()
        super().__init__((d, d), self.images.dtype, self.images.device)
        with torch.inference_mode(False):
            self._gradient(self.images[:1])
            gate.admit(score_fn, self.images, gradient=True, whole=False)

    def _matvec(self, v: Tensor) -> Tensor:
        return self._matmat(v[:, None])[:, 0]

    def _rmatvec(self, w: Tensor) -> Tensor:
        return self._matvec(w)

    def _matmat(self, V: Tensor) -> Tensor:
        """Every pair of an image and a vector is one entry of a long batch, cut into chunks."""
        length = torch.linalg.vector_norm(V, dim=0)
        unit = (V / torch.where(length == 0, 1.0, length)).T
        total = torch.zeros_like(unit)
        for x, which in self._pairs(len(unit)):
            along = unit[which].view_as(x)
            total.index_add_(0, which, self._second(x, along).reshape(len(x), -1))
        return (total * (length / len(self.images))[:, None]).T

    def _pairs(self, k: int) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.images)
        for part in torch.arange(n * k, device=self.device).split(self.chunk):
            yield self.images[part % n], part // n

    def _second(self, x: Tensor, along: Tensor) -> Tensor:
        """Each image's Hessian times its direction."""
        if self.step is not None:
            plus, minus = (self._gradient(x + s * self.step * along) for s in (1, -1))
            return (plus - minus) / (2 * self.step)
        with torch.enable_grad():
            x = x.clone().requires_grad_(True)
            slope = (self._gradient(x, create_graph=True) * along).sum()
            if not slope.requires_grad:  # the gradient does not depend on the image at all
                return torch.zeros_like(x)
            (second,) = torch.autograd.grad(slope, x, allow_unused=True)
        return torch.zeros_like(x) if second is None else second

    def _gradient(self, x: Tensor, create_graph: bool = False) -> Tensor:
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_(True)
            score = self._score_fn(x)
            if tuple(score.shape) != (len(x),):
                raise ValueError(f"score_fn must return one score an image, ({len(x)},), got {tuple(score.shape)}")
            if not score.requires_grad:
                return torch.zeros_like(x)
            (g,) = torch.autograd.grad(score.sum(), x, create_graph=create_graph, allow_unused=True)
        return torch.zeros_like(x) if g is None else g
