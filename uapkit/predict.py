"""Predicted labels and probabilities, a batch at a time; :mod:`uapkit.evaluate` counts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from uapkit import checks, gate
from uapkit.data.batches import Pictures, batches_of
from uapkit.data.images import Images
from uapkit.data.sets import Stream
from uapkit.gate import Network
from uapkit.progress import Bar

Pixels = Tensor | Images | Stream | Pictures
Change = Callable[[Tensor, int], Tensor]  # of a batch, whose first image stands at that place


def default_batch(h: int, w: int) -> int:
    """Images predicted at once when nobody says: half a million pixels, at most 512 (10 of 224 x 224)."""
    return max(1, min(512, 2**19 // (h * w)))


@contextmanager
def inference(model: Network) -> Iterator[None]:
    """No gradients, evaluation mode; the modes are put back afterwards."""
    modes = {m: m.training for m in model.modules()} if isinstance(model, nn.Module) else {}
    try:
        if isinstance(model, nn.Module):
            with gate.eval_as_it_is(model):
                model.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def blocks(x: Pixels, batch_size: int | None) -> Iterator[tuple[int, Tensor]]:
    """(place of the first image, pixels), a batch at a time."""
    if batch_size is not None:
        batch_size = checks.count(batch_size, "batch_size")
    parts = (images.x for images in x) if isinstance(x, Stream) else (pixels for pixels, _ in batches_of(x))
    start = 0
    with Bar(total=count(x), desc="predicting", unit="image") as bar:
        for block in parts:
            for part in block.split(batch_size or default_batch(*block.shape[2:])):
                yield start, part
                start += len(part)
                bar.update(len(part))
    if not start:
        raise ValueError("x holds no images; at least one is needed")


def count(x: Pixels) -> int | None:
    """Number of images, where it is known beforehand."""
    return x.n if isinstance(x, Stream) else batches_of(x).n


def ordered(x: Pixels, name: str, otherwise: str) -> int:
    """Number of images that something is given beside; ValueError for batches, whose order it may not have been made in."""
    n = count(x)
    if n is None:
        raise ValueError(
            f"{name} cannot be given beside batches of somebody's own, whose order may be another one each time; give x "
            f"as a tensor or an Images, or {otherwise}"
        )
    return n


def added(v: Any, x: Pixels, clip: bool = False, bits: int | None = None) -> Change:
    """Images plus v: one (c, h, w), also as (1, c, h, w), or for one an image (n, c, h, w), as many as x has."""
    v = checks.tensor(getattr(v, "v", v), "v", checks.PERTURBATION)
    each = v.ndim == 4 and len(v) > 1
    if each and len(v) != (n := ordered(x, "v, one perturbation an image,", "give one for all")):
        raise ValueError(f"v must be one perturbation (c, h, w) or one for each of {n} images, got {tuple(v.shape)}")
    levels = None if bits is None else 2 ** checks.count(bits, "bits", high=24) - 1  # 24: those of a float32

    def moved(x: Tensor, start: int) -> Tensor:
        here = checks.perturbation(*((v[start : start + len(x)], x.shape) if each else (v, x.shape[1:])))
        moved = x + here.to(x)
        if levels is not None:
            return (moved.clamp(0, 1) * levels).round() / levels
        return moved.clamp(0, 1) if clip else moved

    return moved


def logits(model: Network, x: Tensor) -> Tensor:
    """(n, classes) on the model's device. ValueError for an output that is not (n, classes) or not finite."""
    x = x.to(gate.device_of(model) or x.device)
    if getattr(model, "channels_last", False) and x.device.type == "cpu":
        x = x.contiguous(memory_format=torch.channels_last)  # faster convolutions on a CPU
    found = model(x)
    if found.ndim != 2 or len(found) != len(x):
        raise ValueError(f"the model must return logits (n, classes), here ({len(x)}, ...), got {tuple(found.shape)}")
    return checks.logits(found)


def answers(
    model: Network, x: Pixels, *changes: Change | None, batch_size: int | None = None, soft: bool = False
) -> Iterator[tuple[int, list[Tensor]]]:
    """(place of the first image, one logits tensor a change) by batches; None changes nothing.

    soft: what the logits are worth matters, not only their order. The network passes the gate at the first batch.
    """
    use = None
    for start, part in blocks(x, batch_size):
        with inference(model):  # never across a yield: whoever reads the answers may want gradients between them
            if use is None:
                use = gate.admit(model, part, logits=soft)
            found = [logits(use, part if change is None else change(part, start)) for change in changes]
        yield start, found


def probabilities(
    model: Network,
    x: Pixels,
    v: Any = None,
    *,
    batch_size: int | None = None,
    clip: bool = False,
    bits: int | None = None,
) -> Tensor:
    """(n, classes) softmax of the logits of x, or of x + v, on the CPU; arguments and errors as in :func:`labels`."""
    change = None if v is None else added(v, x, clip, bits)
    return torch.cat([z.softmax(1).cpu() for _, (z,) in answers(model, x, change, batch_size=batch_size, soft=True)])


def labels(
    model: Network,
    x: Pixels,
    v: Any = None,
    *,
    batch_size: int | None = None,
    clip: bool = False,
    bits: int | None = None,
) -> Tensor:
    """(n,) int64 predicted labels of x, or of x + v, on the CPU; memory for one batch.

    model: from pixels in [0, 1] to logits (n, classes); a module runs in evaluation mode. x: (n, c, h, w), an Images, a
    Stream, or batches as a DataLoader gives them. v: (c, h, w), a Perturbation, or (n, c, h, w), one an image in the
    order of x, which must then be no batches of somebody's own. clip: cut x + v back to [0, 1]. bits: do so and round
    x + v to so many bits, at most 24, 8 for what is left of it in a picture file. Raises ValueError for pixels or a
    perturbation that are not finite or of the wrong shape, and for useless logits; see :mod:`uapkit.gate` for the
    networks that are refused.
    """
    change = None if v is None else added(v, x, clip, bits)
    return torch.cat([z.argmax(1).cpu() for _, (z,) in answers(model, x, change, batch_size=batch_size)])
