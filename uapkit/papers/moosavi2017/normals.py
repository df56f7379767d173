"""DeepFool's minimal perturbations of one set of images and their spectrum, computed once for all items that need them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from uapkit import attacks, spectra
from uapkit.data.images import Images
from uapkit.models import Model
from uapkit.progress import Bar

SINGLE = 10  # perturbations of single images that are kept as they are


@dataclass(frozen=True)
class Normals:
    """What is needed of the minimal perturbations r of n images, in the 2-norm, where DeepFool found them.

    values: all singular values of the n unit rows r / |r|, largest first; vectors: their first k right singular vectors
    (k, d); group_values: (n_groups, ·), the same values for equal runs of rows; lengths: (n,) |r|; total: (d,) sum of
    all r; single: (m, d) the first few r; image_vectors: (k, d) right singular vectors of the images themselves, no
    mean subtracted; image_rank: how many of those hold 99 % of their energy.
    """

    values: Tensor
    vectors: Tensor
    group_values: Tensor
    lengths: Tensor
    total: Tensor
    single: Tensor
    image_vectors: Tensor
    image_rank: int


def minimal(net: Model, x: Images, *, k: int, n_groups: int, num_classes: int = 10) -> Normals:
    """See :class:`Normals`. ValueError where DeepFool finds a way for fewer images than ``n_groups``."""
    steps = []
    for part in Bar(x.x.split(_at_once(x)), desc="minimal perturbations"):
        result = attacks.deepfool(net, part, num_classes=num_classes)
        steps.append(result.r[result.success].flatten(1).cpu())
    r = torch.cat(steps)
    if len(r) < n_groups:
        raise ValueError(f"DeepFool found a way for {len(r)} images, too few for n_groups = {n_groups}; raise n_fit")
    rows, images = spectra.unit_rows(r), spectra.unit_rows(x.x.flatten(1).cpu())
    normals, pictures = (spectra.top_singular(a, min(a.shape), "gram") for a in (rows, images))
    size = len(rows) // n_groups
    return Normals(
        values=normals.values,
        vectors=normals.vectors[:k],
        group_values=torch.stack([all_values(rows[g * size : (g + 1) * size]) for g in range(n_groups)]),
        lengths=r.norm(dim=1),
        total=r.double().sum(0).float(),
        single=r[:SINGLE],
        image_vectors=pictures.vectors[:k],
        image_rank=int((spectra.energy(pictures.values) < 0.99).sum()) + 1,
    )


def _at_once(x: Images) -> int:
    """Few enough images that what a layer makes of them fits a core's cache."""
    return max(4, min(50, 2**20 // x.x[0].numel()))


def all_values(rows: Tensor) -> Tensor:
    """All singular values of (n, d) rows, largest first, from the smaller Gram matrix in float64.

    Those below 1e-8 of the largest are lost, which no sum of squares notices.
    """
    n, d = rows.shape
    if d <= n:
        return spectra.singular_values(iter(rows.split(1024)))
    gram = torch.zeros(n, n, dtype=torch.float64)
    for part in rows.split(8192, dim=1):
        gram += part.double() @ part.double().T
    return torch.linalg.eigvalsh(gram).flip(0).clamp(min=0).sqrt()
