"""A set of images with its labels, its origin and the sha256 of what it holds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from uapkit import checks
from uapkit.seeds import generator

Index = int | slice | Sequence[int] | np.ndarray | Tensor
MAX_SIZE = 4096  # pixels a side of resized images: one in colour then takes 200 MB
RESIZE_MODES = ("crop", "squash", "squash256")


def resize_steps(width: int, height: int, size: int, mode: str) -> tuple[tuple[int, int], bool]:
    """What ``mode`` does to a ``width`` x ``height`` image: ((new width, new height), bicubic?); a centre crop follows.

    ``"crop"``: short side to 256 for sizes 224 to 256 and to 256/224 of the size otherwise, bilinear. ``"squash"``:
    straight to the size, the aspect ratio is lost; bicubic. Source: [khrulkov2018] (whose interpolation is not given).
    ``"squash256"``: squash to 256/224 of the size (256 for 224); bicubic. Source: [moosavi2017], with the centre crop of
    its Python code. All filters are antialiased. The crop's corner is half of the margin, rounded down.

    ``"crop"`` to 224 is near torchvision's Resize(256) and CenterCrop(224), by which its published accuracies are measured,
    but not the same: the longer side is rounded to the nearest pixel here and down there, and half a pixel in the crop's
    corner goes down here and to the even number there. Each is one pixel apart at most: 640 x 427 becomes 384 x 256 here and
    383 x 256 there, 500 x 375 the same in both.
    """
    checks.one_of(mode, RESIZE_MODES, "resize mode")
    size = checks.count(size, "size", high=MAX_SIZE)
    short = 256 if 224 <= size <= 256 else round(size * 256 / 224)
    if mode == "squash":
        return (size, size), True
    if mode == "squash256":
        return (short, short), True
    scale = short / min(width, height)
    return (max(short, round(width * scale)), max(short, round(height * scale))), False


def digest(x: Tensor | None, y: Tensor | None, sha: hashlib._Hash) -> None:
    """Feed pixels as little-endian float32 and labels as int64 to ``sha``."""
    if x is not None:
        sha.update(np.ascontiguousarray(x.detach().cpu().numpy(), dtype="<f4").data)
    if y is not None:
        sha.update(np.ascontiguousarray(y.cpu().numpy(), dtype="<i8").data)


@dataclass(frozen=True, eq=False)
class Images:
    """Images and what is known about them; every method returns a new set.

    x: (n, c, h, w) float32 in [0, 1]. y: (n,) int64 true labels, or None. classes: names, class k at place k.
    name: where the images come from, ``"<set>/<split>"``; subsets keep it, and ``sha256`` tells them apart.
    Raises TypeError or ValueError for anything that is not a non-empty batch of finite pixels in [0, 1], or not one
    integer label an image.
    """

    x: Tensor
    y: Tensor | None = None
    classes: tuple[str, ...] = ()
    name: str = "images"

    def __post_init__(self) -> None:
        checks.images(self.x)
        if self.y is not None:
            if not isinstance(self.y, Tensor):
                raise TypeError(
                    f"y must be a tensor of one integer label an image, got {type(self.y).__name__}; torch.as_tensor makes "
                    "one of a list or an array"
                )
            if self.y.is_floating_point() or self.y.is_complex() or self.y.shape != (len(self.x),):
                raise ValueError(
                    f"y must hold one integer label an image, shape ({len(self.x)},), "
                    f"got {self.y.dtype} of shape {tuple(self.y.shape)}"
                )
            object.__setattr__(self, "y", self.y.long())
        object.__setattr__(self, "x", self.x.float())
        object.__setattr__(self, "classes", tuple(self.classes))

    @cached_property
    def sha256(self) -> str:
        """sha256 of the shape, the float32 pixels and the labels that this set holds; independent of the device."""
        sha = hashlib.sha256(f"{tuple(self.x.shape)}".encode())
        for chunk in self.x.split(4096):
            digest(chunk, None, sha)
        digest(None, self.y, sha)
        return sha.hexdigest()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of one image."""
        return self.x.shape[1], self.x.shape[2], self.x.shape[3]

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self) -> Iterator[Images]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Index) -> Images:
        """The chosen images as Images (an integer gives a set of one); also lists, index tensors and masks."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):  # IndexError, so that Python's own loops over a sequence end
                raise IndexError(f"image {index} asked for, the set has {len(self)}")
            index = [int(index)]
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.x.device)
        return replace(self, x=self.x[index], y=None if self.y is None else self.y[index])

    def __repr__(self) -> str:
        labels = "no labels" if self.y is None else f"{len(self.classes)} classes"
        return f"Images({self.name}, {len(self)} x {tuple(self.shape)}, {labels}, sha256 {self.sha256[:12]})"

    def to(self, device: torch.device | str) -> Images:
        """The same images on ``device``. ValueError where this machine does not have it."""
        device = checks.device(device)
        return replace(self, x=self.x.to(device), y=None if self.y is None else self.y.to(device))

    def matched(self, classes: Sequence[str]) -> Images:
        """The same images with the labels that ``classes`` has for the same names, as a network's ``classes``.

        Raises ValueError for images without labels or class names, and for a name that ``classes`` does not have.
        """
        if self.y is None or not self.classes:
            raise ValueError(f"{self.name} has no {'labels' if self.y is None else 'class names'} to match")
        place = {name: k for k, name in enumerate(classes)}
        for name in sorted({self.classes[k] for k in self.y.tolist()}):
            checks.one_of(name, place, "class")
            if list(classes).count(name) > 1:
                raise ValueError(f"two of the classes are called {name!r}, so labels cannot be matched by name")
        table = torch.tensor([place.get(name, -1) for name in self.classes], device=self.y.device)
        return replace(self, y=table[self.y], classes=tuple(classes))

    def split(self, n: int) -> tuple[Images, Images]:
        """(the first ``n`` images, the rest): for example to fit on and to score on. Both must be non-empty."""
        if not 1 <= n < len(self):
            raise ValueError(f"n must lie in [1, {len(self) - 1}] to leave images on both sides, got {n!r}")
        n = checks.count(n, "n")
        return self[:n], self[n:]

    def batches(self, size: int) -> Iterator[Images]:
        """The images in order, ``size`` at a time (the last batch may be smaller)."""
        size = checks.count(size, "size")
        return (self[i : i + size] for i in range(0, len(self), size))

    def rotated(self, degrees: float | Tensor | Sequence[float], seed: int | None = None) -> Images:
        """Turned counter-clockwise about the centre; bilinear, zeros come in from outside.

        degrees: a number draws one angle an image uniformly from [-degrees, degrees] with ``seed`` (the draw of
        :func:`rotation_angles`); n angles turn image i by ``degrees[i]``. Source: [equivariant2019], Section 3, which
        does not name the interpolation. Raises ValueError for a number without a seed or a wrong count of angles.
        """
        if isinstance(degrees, (int, float)):
            if seed is None:
                raise ValueError("a random rotation needs a seed; to turn by known angles give one angle an image")
            degrees = rotation_angles(len(self), degrees, seed)
        angles = torch.as_tensor(degrees, dtype=torch.float64, device="cpu")
        if angles.shape != (len(self),):
            raise ValueError(f"one angle an image is needed, shape ({len(self)},), got {tuple(angles.shape)}")
        chunks = zip(self.x.split(2048), angles.split(2048), strict=True)
        return replace(self, x=torch.cat([_rotate(x, a) for x, a in chunks]))

    def resized(self, size: int, mode: str = "squash") -> Images:
        """Square images of ``size`` pixels; the modes are those of :func:`resize_steps`."""
        size = checks.count(size, "size", high=MAX_SIZE)
        (width, height), bicubic = resize_steps(self.x.shape[3], self.x.shape[2], size, mode)
        x = interpolate(self.x, (height, width), mode="bicubic" if bicubic else "bilinear", antialias=True)
        left, top = (width - size) // 2, (height - size) // 2
        return replace(self, x=x[:, :, top : top + size, left : left + size].clamp(0, 1))


def rotation_angles(n: int, degrees: float, seed: int) -> Tensor:
    """(n,) float64 angles in degrees, uniform in [-degrees, degrees]; the same for the first n of a longer draw."""
    n = checks.count(n, "n")
    checks.in_range(degrees, 0, 360, "degrees")
    rng = generator(seed, "rotation_angles")
    return (torch.rand(n, generator=rng, dtype=torch.float64, device="cpu") * 2 - 1) * degrees


def _rotate(x: Tensor, degrees: Tensor) -> Tensor:
    """Turn each image of ``x`` counter-clockwise by its angle."""
    h, w = x.shape[2:]
    a = degrees * (math.pi / 180)
    zero = torch.zeros_like(a)
    # grid_sample's coordinates run over [-1, 1] on both axes, hence the factors h/w and w/h of a rotation in pixels
    theta = torch.stack([a.cos(), -a.sin() * h / w, zero, a.sin() * w / h, a.cos(), zero], 1).view(-1, 2, 3)
    grid = affine_grid(theta, list(x.shape), align_corners=False).to(x)
    return grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False).clamp(0, 1)


def as_tensor(x: Tensor | Images, name: str = "x") -> Tensor:
    """The pixels (n, c, h, w) of a tensor or an Images, checked by :func:`uapkit.checks.images`.

    Pixels of 16 bits come as float32, since a perturbation would be rounded to theirs.
    """
    if isinstance(x, Images):
        return x.x
    checks.images(x, name)
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
