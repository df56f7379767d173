"""One unit attack direction an image: what the rows of a direction matrix are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from uapkit import attacks, models
from uapkit.data.images import Images

BATCH = 50  # of small images: what their layers make of more does not fit a core's cache, and takes twice as long


def unit_directions(model: models.Model, images: Images, attack: str, labels: str) -> np.ndarray:
    """(n, d) unit loss gradients ("gradient") or DeepFool perturbations, a zero row where the attack gave none."""
    parts = []
    for part in images.batches(BATCH):
        if attack == "gradient":
            rows = attacks.loss_gradient(model, part.x, part.y if labels == "true" else None)
        else:
            result = attacks.deepfool(model, part.x)
            rows = result.r * result.success[:, None, None, None]
        parts.append(unit(rows.flatten(1)).cpu())
    return torch.cat(parts).numpy()


def unit(rows: Tensor) -> Tensor:
    """Rows of unit length; zero rows stay zero. Divided by the largest entry first, so that tiny rows keep a direction."""
    rows = rows / rows.abs().amax(1, keepdim=True).where(rows.any(1, keepdim=True), torch.ones(()).to(rows))
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).where(
        rows.any(1, keepdim=True), torch.ones(()).to(rows)
    )
