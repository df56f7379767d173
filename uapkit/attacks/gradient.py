"""Directions that one gradient gives: of the loss, its sign, and of a class score."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from uapkit import checks
from uapkit.attacks.base import batch_for, ready, warn_of_size
from uapkit.data.images import Images
from uapkit.data.images import as_tensor as pixels
from uapkit.gate import Network, own
from uapkit.progress import Bar


@torch.inference_mode(False)
def _pull(model: Network, x: Tensor, size: int | None, weights: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """Gradients (n, c, h, w) of <weights(logits, images), logits> with the weights held fixed, a batch at a time."""
    model, x = ready(model, x), own(x)
    size = batch_for(x) if size is None else checks.count(size, "batch_size")
    out = torch.empty_like(x)
    for i in Bar(range(0, len(x), size), desc="gradients", unit="batch"):
        part = x[i : i + size].detach().requires_grad_()
        with torch.enable_grad():
            logits = model(part)
        out[i : i + size] = torch.autograd.grad(logits, part, weights(logits.detach(), slice(i, i + size)))[0]
    return out


def class_index(y: Tensor | int, n: int, name: str) -> Tensor:
    """(n,) int64 classes from one class for all images or one an image; ValueError otherwise."""
    y = y if isinstance(y, Tensor) else torch.as_tensor(y, device="cpu")
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool or y.shape not in ((), (n,)):
        raise ValueError(
            f"{name} must be an integer class or one an image, shape ({n},), got {y.dtype} of shape {tuple(y.shape)}"
        )
    return y.long().expand(n)


def in_classes(y: Tensor, classes: int, name: str) -> Tensor:
    """``y`` if every entry is a class of the network; ValueError otherwise."""
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise ValueError(f"{name} must hold classes in [0, {classes - 1}], got {int(y.min())} to {int(y.max())}")
    return y


def loss_gradient(
    model: Network, x: Tensor | Images, y: Tensor | None = None, *, batch_size: int | None = None
) -> Tensor:
    """Gradient of the cross-entropy with respect to each image, (n, c, h, w).

    y: (n,) true classes; None takes the predicted ones, also where ``x`` is an Images that has labels. The gradient is
    J^T (softmax - onehot(y)); the entry of class y is computed as minus the sum of the others, in float64, because in
    float32 it rounds to zero on images that the network is sure of and the direction is then wrong. A row is zero only
    where the network does not depend on the image or the other classes' probabilities are zero in the images' dtype;
    :func:`uapkit.spectra.direction_matrix` leaves such rows out. Raises ValueError for labels that are no classes.
    Source: [equivariant2019], Section 3, which does not say whether y is the true or the predicted class.
    """
    x = pixels(x)
    wanted = None if y is None else class_index(y, len(x), "y").to(x.device)

    def weights(logits: Tensor, images: slice) -> Tensor:
        true = logits.argmax(1) if wanted is None else in_classes(wanted[images], logits.shape[1], "y")
        g = logits.double().softmax(1).scatter(1, true[:, None], 0.0)
        return g.scatter(1, true[:, None], -g.sum(1, keepdim=True)).to(logits.dtype)

    return _pull(model, x, batch_size, weights)


def fgsm(
    model: Network, x: Tensor | Images, y: Tensor | None = None, *, eps: float, batch_size: int | None = None
) -> Tensor:
    """Sign of :func:`loss_gradient` times eps >= 0, (n, c, h, w), not clipped to the pixel box.

    Entries whose gradient is zero stay zero. Source: the fast gradient sign method, as used in [equivariant2019].
    """
    eps = checks.radius(eps)
    warn_of_size(eps, math.inf, (1,))
    return loss_gradient(model, x, y, batch_size=batch_size).sign_().mul_(eps)


def saliency(
    model: Network, x: Tensor | Images, target: Tensor | int | None = None, *, batch_size: int | None = None
) -> Tensor:
    """Gradient of the class score (the logit) of ``target`` at each image, (n, c, h, w).

    target: one class for all, or (n,) classes; None takes the predicted ones. ValueError for what is no class.
    Source: saliency maps after Simonyan et al., as used in [jetley2018], Fig. 3.
    """
    x = pixels(x)
    wanted = None if target is None else class_index(target, len(x), "target").to(x.device)

    def weights(logits: Tensor, images: slice) -> Tensor:
        k = logits.argmax(1) if wanted is None else in_classes(wanted[images], logits.shape[1], "target")
        return torch.zeros_like(logits).scatter(1, k[:, None], 1.0)

    return _pull(model, x, batch_size, weights)
