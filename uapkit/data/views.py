"""New views of the same photographs: any transform of one image, drawn by a seed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from uapkit.seeds import child_seed

View = Callable[[Tensor], Tensor]


def viewed(view: View, x: Tensor, seed: int, name: str) -> Tensor:
    """``view`` of each image of ``x``, (n, c, h, w) in [0, 1], with torch's random numbers set by ``seed`` and ``name``.

    view: a function from an image (c, h, w) to one of the same shape in [0, 1], such as a transform of torchvision; it
    draws from torch's global generator, which is as before afterwards. Raises ValueError for another shape or range.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, name))
        images = [view(image) for image in x]
    wrong = next((y for y in images if not isinstance(y, Tensor) or y.shape != x.shape[1:]), None)
    if wrong is not None:
        got = tuple(wrong.shape) if isinstance(wrong, Tensor) else type(wrong).__name__
        raise ValueError(f"a view must have the shape of its image, {tuple(x.shape[1:])}, got {got}")
    out = torch.stack(images).to(x)
    low, high = float(out.min()), float(out.max())
    if not -1e-3 <= low <= high <= 1 + 1e-3:
        raise ValueError(f"a view must keep pixels in [0, 1], it gave [{low:.3g}, {high:.3g}]; leave normalisation out")
    return out.clamp(0, 1)


def crops(size: int, smallest: float = 0.35) -> View:
    """A random crop of ``smallest`` to all of an image's area, resized to ``size``, flipped half of the time."""
    from torchvision.transforms import v2  # seconds to import, needed for photographs only

    return v2.Compose([v2.RandomResizedCrop(size, scale=(smallest, 1.0), antialias=True), v2.RandomHorizontalFlip()])
