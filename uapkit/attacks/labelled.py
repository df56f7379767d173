"""Images by batches with the labels that the network gives to them clean."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from uapkit import checks
from uapkit.attacks.base import batch_for, ready
from uapkit.data.batches import Pictures, batches_of
from uapkit.gate import Network, device_of, own
from uapkit.models.card import state_sha256


class Labelled:
    """Images by batches on the model's device, with their clean labels."""

    def __init__(self, model: Network, x: Pictures, name: str = "x") -> None:
        self.network, self.batches, self.name = ready(model), batches_of(x, name), name
        self.device = device_of(self.network)
        first = next(iter(self), None)
        if first is None:
            raise ValueError(f"{name} holds no images; at least one is needed")
        self.model = ready(model, first)
        self.shape = first.shape[1:]
        self.clean, pixels = [], hashlib.sha256()
        for batch in self:
            self.clean.append(self.labels(batch))
            pixels.update(state_sha256({"x": batch}).encode())
        self.sha256 = pixels.hexdigest()  # of the pixels, batch by batch
        self.n = sum(map(len, self.clean))

    def __iter__(self) -> Iterator[Tensor]:
        for pixels, _ in self.batches:
            if pixels.shape[1:] != getattr(self, "shape", pixels.shape[1:]):
                raise ValueError(
                    f"all images need one shape for one v, got {tuple(self.shape)} and {tuple(pixels.shape[1:])}"
                )
            yield own(pixels).to(self.device)

    def network_sha256(self) -> str:
        """sha256 of the network's parameters and buffers; where it shows none, of its logits."""
        net = self.network
        state = {**net.state_dict(), **dict(net.named_buffers())} if isinstance(net, nn.Module) else {}
        return state_sha256(state or {str(i): self._logits(batch) for i, batch in enumerate(self)})

    @torch.no_grad()
    def _logits(self, batch: Tensor, v: Tensor | float = 0.0) -> Tensor:
        return torch.cat([self.model(part + v) for part in batch.split(batch_for(batch))])

    def labels(self, batch: Tensor) -> Tensor:
        """(n,) predicted labels of a batch as it is. ValueError where logits are not finite."""
        return checks.logits(self._logits(batch)).argmax(1)

    def fooled(self, batch: Tensor, clean: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) whose label under v is not the clean one, and (n,) which have one: without finite logits none is fooled."""
        logits = self._logits(batch, v)
        answered = logits.isfinite().all(1)
        return (logits.argmax(1) != clean) & answered, answered

    def rate(self, v: Tensor) -> float:
        """Share of the images whose label under v is not the clean one. Warns of those without finite logits there."""
        hits, lost = 0, 0
        for batch, clean in zip(self, self.clean, strict=True):
            fooled, answered = self.fooled(batch, clean, v)
            hits, lost = hits + int(fooled.sum()), lost + int((~answered).sum())
        if lost:
            warnings.warn(
                f"under v the model's logits are not finite (NaN or infinity) for {lost} of {self.n} images of "
                f"{self.name}; they count as not fooled",
                stacklevel=2,
            )
        return hits / self.n
