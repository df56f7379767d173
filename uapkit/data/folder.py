"""Folders of image files: one folder a class, or flat."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from uapkit.data.images import resize_steps
from uapkit.data.source import Source

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
Resize = Callable[[Image.Image], Image.Image]


def resizer(size: int | None, mode: str) -> Resize:
    """Image -> image of ``size`` x ``size`` by :func:`uapkit.data.images.resize_steps`; None leaves it alone."""
    if size is None:
        return lambda image: image
    resize_steps(size, size, size, mode)  # a wrong size or mode is refused before any file is opened

    def apply(image: Image.Image) -> Image.Image:
        (width, height), bicubic = resize_steps(*image.size, size, mode)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR)
        left, top = (width - size) // 2, (height - size) // 2
        return image.crop((left, top, left + size, top + size))

    return apply


def pixels(image: Image.Image) -> Tensor:
    """(3, h, w) float32 in [0, 1] of a picture in any mode; grey pictures are repeated over the channels."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def read(path: Path, resize: Resize) -> Tensor:
    """One decoded file; ValueError that names it if it is truncated or no picture."""
    try:
        with Image.open(path) as image:
            return pixels(resize(image.convert("RGB")))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is damaged or not a picture ({error}); remove it and fetch it again") from error


def _files(folder: Path) -> list[Path]:
    """Picture files of a folder in the order of their names."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMG_EXTENSIONS and not p.name.startswith("."))


def from_files(
    name: str,
    files: Sequence[Path],
    labels: Sequence[int] | None,
    classes: tuple[str, ...],
    size: int | None,
    mode: str,
) -> Source:
    """A source that decodes a file when it is asked for."""

    def fetch(index: np.ndarray) -> Tensor:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # Pillow decodes outside Python's lock
            decoded = list(pool.map(partial(read, resize=resizer(size, mode)), [files[i] for i in index]))
        shapes = sorted({tuple(x.shape[1:]) for x in decoded})
        if len(shapes) > 1:
            raise ValueError(f"the pictures of {name!r} differ in size ({shapes[0]}, {shapes[1]}, ...); give size=224")
        return torch.stack(decoded)

    resizer(size, mode)
    return Source(name, len(files), None if labels is None else np.array(labels), classes, fetch)


def open_folder(path: Path, name: str, size: int | None, mode: str) -> Source:
    """ImageFolder layout (a folder a class, sorted name = class index), or flat: no labels, unless names say the class.

    Flat files whose names all begin with a WordNet id, ``n01440764_tench.JPEG``, are labelled by the sorted ids.
    Raises ValueError for a folder without pictures.
    """
    groups = [(p.name, _files(p)) for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    groups = [(label, files) for label, files in groups if files]
    flat = _files(path)
    if groups and flat:
        raise ValueError(
            f"{path.name!r} mixes pictures with folders of pictures; give one folder a class, or a flat folder"
        )
    if not groups and flat and all(_is_wnid(p.name[:9]) and p.name[9:10] == "_" for p in flat):
        ids = sorted({p.name[:9] for p in flat})
        groups = [(i, [p for p in flat if p.name.startswith(i)]) for i in ids]
    if not groups and not flat:
        raise ValueError(
            f"{path.name!r} holds no pictures ({', '.join(IMG_EXTENSIONS)}), flat or in one folder a class"
        )
    files = [p for _, group in groups for p in group] or flat
    labels = [k for k, (_, group) in enumerate(groups) for _ in group] or None
    return from_files(name, files, labels, tuple(label for label, _ in groups), size, mode)


def _is_wnid(text: str) -> bool:
    return len(text) == 9 and text[0] == "n" and text[1:].isdigit()
