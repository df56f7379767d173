"""The Jacobians of a network's layer at many images, stacked."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from uapkit import checks
from uapkit.operators.base import Operator, batch_of, default_chunk
from uapkit.operators.retained import RetainedGraph


class JacobianOperator(Operator):
    """Jacobians of ``layer_fn`` at n images, stacked: shape (n*m, c*h*w), never formed.

    ``layer_fn`` maps images (n, c, h, w) to (n, ...), each output depending on its own image only (a network in eval
    mode). Source: [khrulkov2018], Algorithms 2 and 3.
    Raises ValueError for images that are not a finite, non-empty (n, c, h, w).
    """

    def __init__(self, layer_fn: Callable[[Tensor], Tensor], images: Tensor, *, chunk: int | None = None) -> None:
        images = batch_of(images)
        self.chunk = default_chunk(images) if chunk is None else checks.count(chunk, "chunk")
        self._parts = [RetainedGraph(layer_fn, part) for part in images.split(self.chunk)]
        rows = sum(part.rows for part in self._parts)
        self._image_shape = images.shape[1:]
        super().__init__((rows, images[0].numel()), images.dtype, images.device)

    def _matvec(self, v: Tensor) -> Tensor:
        v = v.view(self._image_shape)
        return torch.cat([part.forward(v).reshape(-1) for part in self._parts])

    def _rmatvec(self, w: Tensor) -> Tensor:
        pieces = w.split([part.rows for part in self._parts])
        return (
            torch.stack([part.backward(piece) for part, piece in zip(self._parts, pieces, strict=True)])
            .sum(0)
            .flatten()
        )
