"""Images by batches with the labels that the network gives to them clean."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from uapkit.attacks.base import batch_for, ready
from uapkit.data.batches import Pictures, batches_of
from uapkit.gate import Network, device_of, own


class Labelled:
    """Images by batches on the model's device, with their clean labels."""

    def __init__(self, model: Network, x: Pictures, name: str = "x") -> None:
        self.batches, self.device = batches_of(x, name), device_of(ready(model))
        first = next(iter(self), None)
        if first is None:
            raise ValueError(f"{name} holds no images; at least one is needed")
        self.model = ready(model, first)
        self.shape = first.shape[1:]
        self.clean = [self.labels(batch, finite=True) for batch in self]
        self.n = sum(map(len, self.clean))

    def __iter__(self) -> Iterator[Tensor]:
        for pixels, _ in self.batches:
            if pixels.shape[1:] != getattr(self, "shape", pixels.shape[1:]):
                raise ValueError(
                    f"all images need one shape for one v, got {tuple(self.shape)} and {tuple(pixels.shape[1:])}"
                )
            yield own(pixels).to(self.device)

    @torch.no_grad()
    def labels(self, batch: Tensor, v: Tensor | float = 0.0, finite: bool = False) -> Tensor:
        """(n,) predicted labels of a batch under ``v``. finite: ValueError where logits are not."""
        logits = torch.cat([self.model(part + v) for part in batch.split(batch_for(batch))])
        if finite and not bool(torch.isfinite(logits).all()):
            raise ValueError("the model's logits are not finite (NaN or infinity), so no label can be predicted")
        return logits.argmax(1)

    def rate(self, v: Tensor) -> float:
        """Share of the images whose label under v is not the clean one."""
        pairs = zip(self, self.clean, strict=True)
        return sum(int((self.labels(batch, v) != clean).sum()) for batch, clean in pairs) / self.n
