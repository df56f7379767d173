"""Paper J's first-order subspaces: stacked attack directions, their singular bases, and others to compare them with.

S_hi is spanned by the first, S_lo by the last right singular vectors of the stacked unit directions; here the number of
vectors counts all classes together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uapkit import attacks, checks, lab, spectra, subspace
from uapkit.models import Model
from uapkit.papers.jetley2018.setting import Projected, accuracy, deepfool, mean_image, right
from uapkit.seeds import child_seed

UNTRAINED = "gradient, untrained network"
ATTACKS = ("deepfool", "gradient", "gradients of all classes", UNTRAINED)
SPANS = ("S_hi", "S_lo", "random", "principal components")
LARGEST = 2**24  # numbers of a full basis


def directions(bench: lab.Bench, network: str, attack: str, max_iter: int) -> Tensor:
    """(n, d) unit directions at the images to fit on; images without a direction have no row.

    attack: "deepfool" (at most ``max_iter`` steps), "gradient" (of the predicted class's score), "gradients of all
    classes", of so many fewer images that there are as many rows, or the null "gradient, untrained network".
    """
    checks.one_of(attack, ATTACKS, "attack")
    model, fit = attacked(bench, network, attack), bench.split(network).fit
    if attack == "deepfool":
        found = deepfool(model, fit, max_iter=max_iter)
        rows = found.r[found.success]
    elif attack == "gradients of all classes":
        classes = model(fit.x[:1]).shape[1]
        few = fit.x[: max(1, len(fit) // classes)]
        rows = torch.stack([lab.keep(attacks.saliency, model, few, k) for k in range(classes)], 1).flatten(0, 1)
    else:
        rows = lab.keep(attacks.saliency, model, fit)
    rows = rows.flatten(1)
    return spectra.direction_matrix(rows[rows.any(1)]).cpu()


def attacked(bench: lab.Bench, network: str, attack: str) -> Model:
    """The network, or a copy of it with fresh weights for the null."""
    return bench.untrained(network) if attack == UNTRAINED else bench.network(network)


def full_basis(rows: Tensor) -> tuple[Tensor, Tensor]:
    """((d, d) right singular vectors as columns, (d,) singular values) of rows (n, d), largest first, in float64.

    Fewer than d rows leave a null space, whose vectors have the value 0 and come last in no particular order.
    """
    values, vectors = torch.linalg.eigh(rows.double().T @ rows.double())
    return vectors.flip(1).contiguous(), values.flip(0).clamp(min=0).sqrt()


def singular_basis(rows: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`full_basis` with the vectors in float32, half the size to keep."""
    vectors, values = full_basis(rows)
    return vectors.float(), values


@dataclass(frozen=True)
class Spans:
    """Nested spans of one network's images: each a number of first or last columns of a (d, d) orthonormal matrix.

    vectors, values: right singular vectors of the attack directions, and their singular values. components: principal
    components of the images. random: one matrix a draw.
    """

    vectors: Tensor
    values: Tensor
    components: Tensor
    random: Sequence[Tensor] = ()

    @property
    def d(self) -> int:
        """Number of pixels times channels."""
        return len(self.vectors)

    def span(self, kind: str, k: int, draw: int = 0) -> Tensor:
        """(d, k) orthonormal basis: "S_hi", "S_lo", or to compare with "random" and "principal components"."""
        if checks.one_of(kind, SPANS, "span") == "random":
            return self.random[draw][:, :k]
        if kind == "principal components":
            return self.components[:, :k]
        return self.vectors[:, :k] if kind == "S_hi" else self.vectors[:, -k:]

    def dimensions(self, shares: Sequence[float]) -> list[int]:
        """Numbers of vectors, at least one, for ``shares`` of d in (0, 1]."""
        return [max(1, round(checks.in_range(share, 0, 1, "shares", open_low=True) * self.d)) for share in shares]


def spans_of(
    bench: lab.Bench, network: str, max_iter: int = 50, *, n_random: int = 1, rows: Tensor | None = None
) -> Spans:
    """The spans of a network: of its DeepFool directions, of the images to fit on, and ``n_random`` random ones.

    rows: the directions, where they are known already. ValueError for images whose full basis would not fit.
    """
    d, x = bench.split(network).fit.x[0].numel(), bench.split(network).fit.x
    if d * d > LARGEST:
        raise ValueError(
            f"a full basis of {d} dimensions is too large; take images of at most {int(LARGEST**0.5)} numbers"
        )
    rows = directions(bench, network, "deepfool", max_iter) if rows is None else rows
    vectors, values = lab.keep(singular_basis, rows)
    components = lab.keep(singular_basis, (x - mean_image(bench, network)).flatten(1).cpu())[0]
    seeds = [child_seed(bench.seed, f"random subspace {draw}") for draw in range(n_random)]
    return Spans(vectors, values, components, [subspace.random_subspace(d, d, seed).float() for seed in seeds])


def projected_rows(
    bench: lab.Bench, network: str, kind: str, shares: Sequence[float], spans: Sequence[Tensor]
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Accuracy on the images projected on ``spans``, one a share, and the flags of the correctly classified."""
    model, images, mean = bench.network(network), bench.split(network).scored, mean_image(bench, network)
    centred = (images.x - mean).flatten(1).cpu()
    rows, arrays = [], {}
    for share, span in zip(shares, spans, strict=True):
        flags = right(Projected(model, span, mean), images)
        norm = float(((centred @ span).norm(dim=1) / centred.norm(dim=1)).mean())
        rows.append({"kind": kind, "share": share, "d": span.shape[1], "image_norm": norm, **accuracy(flags)})
        arrays[f"right/{network}/{kind}/{share:g}"] = flags.numpy()
    return rows, arrays
