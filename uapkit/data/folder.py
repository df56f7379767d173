"""Folders of image files: one folder a class, or flat."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor

from uapkit.data.decode import OTHERS, READ, Resize, read
from uapkit.data.images import resize_steps
from uapkit.data.source import Source


def resizer(size: int | None, mode: str) -> Resize:
    """Image -> image of ``size`` x ``size`` by :func:`uapkit.data.images.resize_steps`; None leaves it alone.

    "crop" is torchvision's Resize(256) and CenterCrop(224) up to a pixel in the longer side and in the crop's corner.
    """
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


def _files(folder: Path, deep: bool = False) -> list[Path]:
    """Picture files of a folder in the order of their names; deep: those of its subfolders too, as torchvision walks."""
    found = [p for top in (sorted(_tops(folder)) if deep else [folder]) for p in sorted(Path(top).iterdir())]
    found = [p for p in found if not p.name.startswith(".") and p.is_file()]
    strange = sorted({p.suffix.lower() for p in found} & set(OTHERS))
    if strange:
        raise ValueError(
            f"{folder.name!r} holds {' and '.join(strange)} files, which are not read ({', '.join(READ)} are); convert "
            "them, or move them out"
        )
    return [p for p in found if p.suffix.lower() in READ]


def _tops(folder: Path, above: tuple[str, ...] | None = None) -> Iterator[str]:
    """The folder and all below, links followed, but for one that leads back to a folder above it: no end otherwise."""
    if above is None:
        above = tuple(os.path.realpath(p) for p in folder.absolute().parents)
    above = (*above, os.path.realpath(folder))
    yield str(folder)
    for path in folder.iterdir():
        if path.is_dir() and os.path.realpath(path) not in above:
            yield from _tops(path, above)


def from_files(
    name: str,
    files: Sequence[Path],
    labels: Sequence[int] | None,
    classes: tuple[str, ...],
    size: int | None,
    mode: str,
    upright: bool = True,
) -> Source:
    """A source that decodes a file when it is asked for, see :func:`uapkit.data.decode.read`."""

    def fetch(index: np.ndarray) -> Tensor:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # Pillow decodes outside Python's lock
            decoded = list(
                pool.map(partial(read, resize=resizer(size, mode), upright=upright), [files[i] for i in index])
            )
        shapes = sorted({tuple(x.shape[1:]) for x in decoded})
        if len(shapes) > 1:
            raise ValueError(f"the pictures of {name!r} differ in size ({shapes[0]}, {shapes[1]}, ...); give size=224")
        return torch.stack(decoded)

    resizer(size, mode)
    return Source(name, len(files), None if labels is None else np.array(labels), classes, fetch)


def open_folder(path: Path, name: str, size: int | None, mode: str, known: bool = True) -> Source:
    """A folder a class, walked through as torchvision's ImageFolder does, or flat: no labels, unless names say the class.

    Classes are numbered in the order of the folders' names. known: where all names are WordNet ids of ImageNet, labels
    and class names are ImageNet's, also of a part of the 1000, and pictures are turned upright. Flat files whose names
    all begin with a WordNet id, ``n01440764_tench.JPEG``, are labelled like folders. Raises ValueError for a folder
    without pictures, in all or in one of its classes (the numbers behind it would shift).
    """
    folders = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    groups = [(p.name, _files(p, deep=True)) for p in folders]
    flat = _files(path)
    empty = [label for label, files in groups if not files]
    if len(empty) == len(groups):
        groups = []
    elif flat:
        raise ValueError(
            f"{path.name!r} mixes pictures with folders of pictures; give one folder a class, or a flat folder"
        )
    elif empty:
        raise ValueError(
            f"{path.name!r} has no pictures of the class {empty[0]!r} ({len(empty)} such folders), so the labels behind "
            "it would shift; remove the folder or fill it"
        )
    if not groups and flat and all(_is_wnid(p.name[:9]) and p.name[9:10] == "_" for p in flat):
        ids = sorted({p.name[:9] for p in flat})
        groups = [(i, [p for p in flat if p.name.startswith(i)]) for i in ids]
    if not groups and not flat:
        raise ValueError(f"{path.name!r} holds no pictures ({', '.join(READ)}), flat or in one folder a class")
    files = [p for _, group in groups for p in group] or flat
    classes, number = tuple(label for label, _ in groups), list(range(len(groups)))
    if known and classes and set(classes) <= set(place := wordnet_places()):
        number, classes = [place[label] for label in classes], categories()
    elif known and classes and all(map(_is_wnid, classes)):
        strange = next(label for label in classes if label not in place)
        warnings.warn(
            f"{strange!r} is none of ImageNet's 1000 classes, so the labels of {path.name!r} are 0 to {len(classes) - 1} in "
            "the order of the folders, not ImageNet's",
            stacklevel=2,
        )
    elif known and all(label.isdecimal() for label in classes) and list(classes) != sorted(classes, key=int):
        k, label = next((k, label) for k, label in enumerate(classes) if label != sorted(classes, key=int)[k])
        warnings.warn(
            f"the classes of {path.name!r} are numbers, but labels follow their order as texts, as in torchvision: label "
            f"{k} means {label!r}; names with leading zeros have one order",
            stacklevel=2,
        )
    labels = [k for k, (_, group) in zip(number, groups, strict=True) for _ in group] or None
    return from_files(name, files, labels, classes, size, mode, upright=known)


@cache
def wordnet_places() -> dict[str, int]:
    """{WordNet id: class} of ImageNet's 1000 classes."""
    text = Path(__file__).with_name("imagenet.yml").read_text(encoding="utf-8")
    return {wnid: k for k, wnid in enumerate(yaml.safe_load(text)["wordnet_ids"].split())}


def categories() -> tuple[str, ...]:
    """The 1000 class names of ImageNet in the order of the sorted WordNet ids."""
    from torchvision.models import ResNet18_Weights  # seconds to import, needed for these sets only

    return tuple(ResNet18_Weights.DEFAULT.meta["categories"])


def _is_wnid(text: str) -> bool:
    return len(text) == 9 and text[0] == "n" and text[1:].isdigit()
