"""Universal perturbations from the top singular vector of many images' attack directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from uapkit import checks
from uapkit.attacks.base import Perturbation, fitted_on, warn_of_size
from uapkit.attacks.deepfool import deepfool
from uapkit.attacks.gradient import fgsm, loss_gradient
from uapkit.data.images import Images
from uapkit.data.images import as_tensor as pixels
from uapkit.evaluate import fooling_rate, labels
from uapkit.gate import Network
from uapkit.spectra import direction_matrix, top_singular

DIRECTIONS: dict[str, Callable[[Network, Tensor, Tensor | None], Tensor]] = {
    "gradient": loss_gradient,
    "fgsm": lambda model, x, y: fgsm(model, x, y, eps=0.5),  # rows are made unit anyway
    "deepfool": lambda model, x, y: _successful(model, x),
}


def _successful(model: Network, x: Tensor) -> Tensor:
    result = deepfool(model, x)
    if not bool(result.success.any()):
        raise ValueError("DeepFool found no perturbation for any of the images, so there are no directions")
    return result.r[result.success]


@torch.inference_mode(False)
def svd_uap(
    model: Network,
    x: Tensor | Images,
    *,
    directions: Literal["gradient", "fgsm", "deepfool"] | Tensor = "gradient",
    eps: float,
    norm: float = 2,
    sign: Literal["both", "+", "-"] = "both",
    y: Tensor | None = None,
    method: str = "auto",
    vector: int = 1,
    seed: int = 0,
) -> Perturbation:
    """The top right singular vector of the images' unit attack directions, scaled to ``norm`` = ``eps``.

    x: (n, c, h, w) in [0, 1]. directions: what stands in the rows: the loss gradient, its sign, DeepFool's perturbation
    (successes only), or ready rows (m, c, h, w). y: (n,) true labels for the first two; None takes predicted ones.
    eps: in the unit of the pixels, measured in ``norm``. sign: a singular vector has none; "both" tries v and -v on the
    fitted images and keeps the one that fools more of them; "+" is the sign whose entry of largest modulus is positive.
    vector: 1 for the top vector, 2 for the second, ... method, seed: of :func:`uapkit.spectra.top_singular`.

    made_by: directions, n_rows (those left without zero rows), singular_value, share (of the squared singular values),
    sign, and with "both" the two fooling rates on the fitted images. history: the singular values up to ``vector``.

    Raises ValueError for numbers out of range, or where no image has a direction.
    Source: [equivariant2019], Section 3; the sign and the choice of y are not given there.
    """
    images = pixels(x)
    eps = checks.radius(eps)
    norm = checks.exponent(norm, "norm")
    warn_of_size(eps, norm, images.shape[1:])
    checks.one_of(sign, ("both", "+", "-"), "sign")
    vector, seed = checks.count(vector, "vector"), checks.seed(seed)
    if isinstance(directions, Tensor):
        rows, kind = checks.tensor(directions, "directions", "a tensor (m, c, h, w)"), "given"
        if rows.ndim != 4 or rows.shape[1:] != images.shape[1:]:
            raise ValueError(f"directions must be image-shaped rows (m, c, h, w), got {tuple(rows.shape)}")
    else:
        kind = checks.one_of(directions, DIRECTIONS, "kind of directions")
        rows = DIRECTIONS[kind](model, images, y)
    a = direction_matrix(rows)
    top = top_singular(a, vector, method, seed=seed)
    v = top.vectors[-1].view(images.shape[1:])
    v = v * (eps / float(torch.linalg.vector_norm(v.double(), norm)))
    made_by = {
        "method": "svd_uap",
        **fitted_on(model, x),
        "directions": kind,
        "vector": vector,
        "n_rows": len(a),
        "svd": top.method,
        "singular_value": float(top.values[-1]),
        "share": float(top.values[-1]) ** 2 / len(a),
        "labels": "predicted" if y is None else "given",
    }
    if sign == "both":
        clean = labels(model, images)
        rates = {s: float(fooling_rate(model, images, v * f, clean=clean)) for s, f in (("+", 1), ("-", -1))}
        sign = "+" if rates["+"] >= rates["-"] else "-"
        made_by["fooling_rate_fit"] = rates
    made_by["sign"] = sign
    return Perturbation(v if sign == "+" else -v, eps, norm, made_by, tuple(top.values.tolist()))
