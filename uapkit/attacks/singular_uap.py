"""Universal perturbations from the singular vectors of a layer's Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from uapkit import checks
from uapkit.attacks.base import Perturbation, fitted_on, plain, ready, warn_of_size
from uapkit.data.images import Images
from uapkit.data.images import as_tensor as pixels
from uapkit.models.model import Model
from uapkit.operators import JacobianOperator, LayerJacobians
from uapkit.singular import pq_singular


@torch.inference_mode(False)
def singular_uap(
    model: Model,
    x: Tensor | Images,
    *,
    layer: str | Callable[[Tensor], Tensor],
    p: float = math.inf,
    q: float = 10,
    eps: float = 10 / 255,
    norm: float = math.inf,
    max_iter: int = 20,
    rtol: float = 0.0,
    seed: int = 0,
    chunk: int | None = None,
    recorded: LayerJacobians | None = None,
    callback: Callable[[int, Tensor, float], object] | None = None,
) -> Perturbation:
    """The (p, q)-singular vector of a layer's Jacobian, stacked over the images, scaled to ``norm`` = ``eps``.

    x: (n, c, h, w) in [0, 1], all of them one fixed batch. layer: a name of ``model.layers()`` or any callable from
    images to (n, ...). p: norm that confines the direction, q: norm of the layer's response, each in [1, inf].
    eps: size of the result, in the unit of the pixels, measured in ``norm`` (with p = inf and norm = inf every entry is
    +-eps). max_iter, rtol, seed, callback: of :func:`uapkit.singular.pq_singular`. chunk: images at once. recorded: the
    Jacobians of several layers of this model at these images, ``layer`` by name among them; where many layers are
    attacked, one forward pass then serves them all, and the result is the same.

    history holds the singular value after each iteration; made_by has layer, p, q, n_fit, seed, singular_value (of unit
    p-norm, stacked over the n images, so it grows with n), start_value (of the random start), n_iter and converged. The
    sign is the one the random start led to: v and -v have the same singular value, but not the same fooling rate; see
    :meth:`Perturbation.flipped`.

    Raises ValueError for an unknown layer, one that does not respond to any of the images, or numbers out of range.
    Source: [khrulkov2018], Algorithm 3 (stochastic power method); q = 10 and 64 images are the paper's, 20 iterations
    ours (its released example takes 15, its code 30).
    """
    ready(model)
    if isinstance(layer, str) and not hasattr(model, "until"):
        raise TypeError(
            f"a layer by name needs a network that knows its layers: give models.wrap(module), got {type(model).__name__}"
        )
    eps = checks.radius(eps)
    norm, p, q = checks.exponent(norm, "norm"), checks.exponent(p, "p"), checks.exponent(q, "q")
    seed = checks.seed(seed)
    images = pixels(x)
    warn_of_size(eps, norm, images.shape[1:])
    if layer == "logits":
        ready(model, images)
    if recorded is not None and isinstance(layer, str):
        if recorded.model is not model or not torch.equal(recorded.images.to(images), images):
            raise ValueError("recorded belongs to another model or other images; record these, or leave it out")
        op = recorded.at(layer)
    else:
        op = JacobianOperator(layer if callable(layer) else model.until(layer), images, chunk=chunk)
    pair = pq_singular(
        op,
        p=p,
        q=q,
        seed=seed,
        max_iter=max_iter,
        rtol=rtol,
        callback=callback,
    )
    v = pair.v.view(images.shape[1:])
    made_by = {
        "method": "singular_uap",
        **fitted_on(model, x),
        "layer": layer if isinstance(layer, str) else getattr(layer, "layer", None) or _name(layer),
        "p": plain(p),
        "q": plain(q),
        "seed": seed,
        "singular_value": pair.value,
        "start_value": pair.start_value,
        "n_iter": pair.n_iter,
        "converged": pair.converged,
    }
    size = float(torch.linalg.vector_norm(v.double(), norm))
    return Perturbation(v * (eps / size), eps, norm, made_by, pair.history)


def _name(layer: Callable) -> str:
    return type(layer).__name__ if isinstance(layer, nn.Module) else getattr(layer, "__name__", type(layer).__name__)
