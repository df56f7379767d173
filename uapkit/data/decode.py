"""One picture file as pixels in [0, 1]: any depth of colour, upright, opaque; what cannot be read rightly is named."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
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
BITS, PHOTOMETRIC, PLANES = 258, 262, 284  # a TIFF's numbers for its fields
Resize = Callable[[Image.Image], Image.Image]


def read(path: Path, resize: Resize, upright: bool = True) -> Tensor:
    """(3, h, w) float32 in [0, 1] of one file; grey pictures are repeated over the channels.

    Kept at their depth: grey of 16 bits (PNG, TIFF, PGM) or 12 (TIFF), floating grey in [0, 1] (TIFF), and colour of 16
    bits a channel in PNG, with alpha or not, in binary PPM and in TIFF whose channels lie side by side. Colour of more
    than 8 bits in another layout of these formats is refused; other formats give what Pillow does, 8 bits a channel of colour.
    White-is-zero TIFFs are turned to black-is-zero. upright: turned as the camera's EXIF note says. Transparent pixels are
    laid on white, and of an animation the first picture is taken, each with a warning. Raises ValueError that names a file
    that is truncated, no picture, in a layout that is not read, or of pixels on an unknown scale.
    """
    try:
        with Image.open(path) as image:
            if (frames := getattr(image, "n_frames", 1)) > 1:
                warnings.warn(f"{path.name} holds {frames} pictures; the first is taken", stacklevel=2)
            bands = [resize(band) for band in _bands(image, path, upright)]
            pixels = torch.from_numpy(np.stack([np.array(band) for band in bands]))
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:  # Pillow's
        if isinstance(error, _NotRead):
            raise ValueError(str(error)) from None
        raise ValueError(f"{path} is damaged or not a picture ({error}); remove it and fetch it again") from error
    if bands[0].mode == "F":
        return pixels.clamp(0, 1).expand(3, -1, -1).clone()
    return pixels[0].permute(2, 0, 1).float() / 255


class _NotRead(ValueError):
    """Pixels in a layout that is not read, or whose scale the file does not tell."""


def _bands(image: ImageFile, path: Path, upright: bool) -> list[Image.Image]:
    """The picture in mode RGB, or, where eight bits would not hold it, each channel in mode F with pixels in [0, 1]."""
    tags, kind, clear = getattr(image, "tag_v2", {}), image.format, image.info.get("transparency")
    if (deep := _deep_colour(image, path, upright)) is not None:
        values, top = deep
        opaque = None if clear is None else (values != clear).any(-1, keepdims=True)
        values = values.astype(np.float32) / np.float32(top)
        if values.shape[-1] in (2, 4):
            values, opaque = values[..., :-1], values[..., -1:]
        return _floating(values, opaque, path)
    picture = ImageOps.exif_transpose(image) if upright else image
    if picture.mode.startswith(("I", "F")):
        values = np.array(picture).astype(np.float64)[..., None]
        opaque = None if clear is None else values != clear
        low, high = float(values.min()), float(values.max())
        if picture.mode.startswith("I;16") or (picture.mode == "I" and kind in ("PNG", "PPM") and high < 2**16):
            top = 2 ** tags.get(BITS, (16,))[0] - 1
            low, high, values = low / top, high / top, values / top
        if not 0 <= low <= high <= 1:
            raise _NotRead(
                f"{path} has pixels from {low:g} to {high:g} on a scale that the file does not tell; save it with 8 or 16 "
                "bits a channel, or as floating numbers in [0, 1]"
            )
        if tags.get(PHOTOMETRIC) == 0:  # white is zero; Pillow turns those of 8 bits only
            values = 1 - values
        return _floating(values, opaque, path)
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        if np.asarray(picture.getchannel("A")).min() < 255:
            _warn_transparent(path)
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return [picture.convert("RGB")]


def _deep_colour(image: ImageFile, path: Path, upright: bool) -> tuple[np.ndarray, int] | None:
    """((h, w, c) uint16, top of the scale) of colour, or grey with alpha, of 16 bits a channel; None for other pictures.

    Pillow gives the upper byte of such a channel, and the lower one when told that the bytes come in the other order.
    """
    if image.mode.startswith(("I", "F")) or not image.tile:
        return None
    codec, args = image.tile[0].codec_name, cast(Any, image.tile[0].args)
    raw, top, tags = args if isinstance(args, str) else str((args or [""])[0]), 65535, getattr(image, "tag_v2", {})
    if codec.startswith("ppm") and isinstance(args, tuple) and args[1] > 255:
        raw, top = f"{raw};16B", args[1]
    channels, _, order = raw.partition(";16")
    if order not in ("B", "L", "N") and max(tags.get(BITS, (8,))) <= 8:
        return None
    if channels not in ("RGB", "RGBX", "RGBA", "LA") or codec == "ppm_plain" or tags.get(PLANES, 1) != 1:
        raise _NotRead(
            f"{path} has more than 8 bits a channel in a layout that is not read; save it as PNG of 16 or 8 bits"
        )

    def bytes_of(raw: str) -> np.ndarray:
        with Image.open(path) as again:
            again.tile = [
                tile._replace(
                    codec_name="raw" if codec == "ppm" else codec,
                    args=(raw, *cast(Any, tile.args)[1:]) if codec in ("raw", "libtiff") else raw,
                )
                for tile in again.tile
            ]
            return np.array(ImageOps.exif_transpose(again) if upright else again)

    if channels == "LA":  # both bytes of both channels at once
        four = bytes_of("RGBA")
        upper, lower = four[..., 0::2], four[..., 1::2]
    else:
        big = order == "B" or (order == "N" and sys.byteorder == "big")
        upper, lower = (bytes_of(f"{channels};16{end}") for end in ("BL" if big else "LB"))
    return upper.astype(np.uint16) << 8 | lower, top


def _warn_transparent(path: Path) -> None:
    warnings.warn(f"{path.name} has transparent pixels; they are laid on white", stacklevel=4)


def _floating(values: np.ndarray, opaque: np.ndarray | None, path: Path) -> list[Image.Image]:
    """The channels of (h, w, c) values in mode F, laid on white where ``opaque``, (h, w, 1) in [0, 1], is below 1."""
    if opaque is not None and opaque.min() < 1:
        _warn_transparent(path)
        values = values * opaque + (1 - opaque)
    return [Image.fromarray(band, "F") for band in np.moveaxis(values.astype(np.float32), -1, 0)]
