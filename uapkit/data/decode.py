"""One picture file as pixels in [0, 1]: any depth of colour, upright, opaque; what cannot be read rightly is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

READ = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif", ".avif", ".jfif", ".jp2")
OTHERS = (
    ".heic",
    ".heif",
    ".jxl",
    ".svg",
    ".exr",
    ".hdr",
    ".dng",
    ".cr2",
    ".nef",
    ".arw",
    ".raw",
    ".psd",
    ".npy",
    ".dcm",
)
Resize = Callable[[Image.Image], Image.Image]


def read(path: Path, resize: Resize, upright: bool = True) -> Tensor:
    """(3, h, w) float32 in [0, 1] of one file; grey pictures are repeated over the channels.

    16 bits a channel and floating pixels in [0, 1] keep their depth. upright: turned as the camera's EXIF note says.
    Transparent pixels are laid on white, and of an animation the first picture is taken, each with a warning. Raises
    ValueError that names a file that is truncated, no picture, or of pixels on an unknown scale.
    """
    try:
        with Image.open(path) as image:
            if (frames := getattr(image, "n_frames", 1)) > 1:
                warnings.warn(f"{path.name} holds {frames} pictures; the first is taken", stacklevel=2)
            kind = image.format or ""
            flat = _flat(ImageOps.exif_transpose(image) if upright else image, kind, path)
            pixels = torch.from_numpy(np.array(resize(flat)))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, _Scale):
            raise ValueError(str(error)) from None
        raise ValueError(f"{path} is damaged or not a picture ({error}); remove it and fetch it again") from error
    if flat.mode == "F":
        return pixels.clamp(0, 1).expand(3, *pixels.shape).clone()
    return pixels.permute(2, 0, 1).float() / 255


class _Scale(ValueError):
    """Pixels whose scale the file does not tell."""


def _flat(image: Image.Image, kind: str, path: Path) -> Image.Image:
    """The picture in mode RGB, or in mode F with pixels in [0, 1] where eight bits would not hold it."""
    if image.mode.startswith(("I", "F")):
        values = np.array(image).astype(np.float64)
        low, high = float(values.min()), float(values.max())
        if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM") and high < 2**16):
            low, high, values = low / 65535, high / 65535, values / 65535
        if not 0 <= low <= high <= 1:
            raise _Scale(
                f"{path} has pixels from {low:g} to {high:g} on a scale that the file does not tell; save it with 8 or 16 "
                "bits a channel, or as floating numbers in [0, 1]"
            )
        return Image.fromarray(values.astype(np.float32), "F")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            warnings.warn(f"{path.name} has transparent pixels; they are laid on white", stacklevel=3)
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
