"""The sets by name: load, stream, list, status."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from uapkit import checks, provenance
from uapkit.data import caltech, cifar, embedded, idx, imagenet
from uapkit.data.folder import open_folder
from uapkit.data.images import MAX_SIZE, Images, digest, rotation_angles
from uapkit.data.source import Source, locate
from uapkit.seeds import generator

Root = str | os.PathLike[str] | None
SYNONYMS = {"val": "test", "valid": "test", "validation": "test", "training": "train"}


@dataclass(frozen=True)
class Set:
    """What is known of a set; open(split, root, size, resize, download), where(root) -> folder, "embedded" or None."""

    splits: tuple[str, ...]
    open: Callable[[str, Root, int | None, str, bool], Source]
    where: Callable[[Root], str | Path | None]
    advice: str
    licence: str
    photographs: bool = False
    rotation: float = 0.0


def _pictures_here(_: Root) -> str | None:
    try:
        embedded.picture_files()
    except FileNotFoundError:
        return None
    return "embedded"


def _bytes(module: object, name: str, licence: str) -> Set:
    """A set of small images that is downloaded when it is first asked for."""
    opener = idx.open_idx if module is idx else cifar.open_cifar
    folders = idx.FOLDERS[name] if module is idx else cifar.FOLDERS[name]
    return Set(
        ("train", "test"),
        lambda split, root, _size, _mode, download: opener(name, split, root, download),
        lambda root: locate(folders, root),
        f"downloads itself when first loaded; offline: put its files into {folders[0]} below $UAPKIT_DATA",
        licence,
    )


SETS: dict[str, Set] = {
    "digits": Set(
        ("train", "test"),
        lambda split, *_: embedded.open_digits(split),
        lambda _: "embedded",
        "comes with scikit-learn",
        "CC BY 4.0 (UCI, Alpaydin and Kaynak)",
        rotation=embedded.DIGITS_ROTATION,
    ),
    "mnist": _bytes(idx, "mnist", "by its authors (LeCun, Cortes, Burges)"),
    "fashion-mnist": _bytes(idx, "fashion-mnist", "MIT (Zalando)"),
    "cifar10": _bytes(cifar, "cifar10", "by its authors (Krizhevsky), for research"),
    "cifar100": _bytes(cifar, "cifar100", "by its authors (Krizhevsky), for research"),
    "imagenet-sample": Set(
        ("test",),
        lambda split, root, size, mode, _: imagenet.open_sample(split, root, size, mode),
        lambda root: locate(imagenet.SAMPLE_FOLDERS, root),
        imagenet.SAMPLE_ADVICE,
        "the photographs belong to their owners; for research",
        photographs=True,
    ),
    "imagenet": Set(
        ("train", "test"),
        lambda split, root, size, mode, _: imagenet.open_imagenet(split, root, size, mode),
        lambda root: imagenet.find("test", root),
        imagenet.ADVICE,
        "the photographs belong to their owners; for research",
        photographs=True,
    ),
    "caltech101": Set(
        ("test",),
        caltech.open_caltech,
        lambda root: locate(caltech.FOLDERS, root),
        f"downloads itself when first loaded; offline: {caltech.ADVICE}",
        "CC BY 4.0 (Li, Andreeto, Ranzato, Perona)",
        photographs=True,
    ),
    "pictures": Set(
        ("test",),
        lambda split, _root, size, mode, _: embedded.open_pictures(split, size, mode),
        _pictures_here,
        "pip install 'uapkit[book]'",
        "free, one by one: uapkit.data.pictures()",
        photographs=True,
    ),
}


def open_source(
    name: str | os.PathLike[str],
    split: str = "test",
    root: Root = None,
    size: int | None = None,
    resize: str | None = None,
    rotation: float | None = None,
    download: bool = True,
) -> Source:
    """A split as a :class:`Source`, resized and turned as :func:`load` says; nothing is decoded yet."""
    if not isinstance(name, str | os.PathLike):
        raise TypeError(f"the name of a set must be one of data.list() or the path of a folder of images, got {name!r}")
    split = SYNONYMS.get(split, split)
    known = SETS.get(str(name))
    if known is None:
        source = _open_path(name, split, size, resize or "crop")
    else:
        if split not in known.splits:
            raise ValueError(f"{name!r} has the splits {', '.join(known.splits)} only, got split={split!r}")
        mode = resize or ("crop" if known.photographs else "squash")
        source = known.open(split, root, (224 if size is None else size) if known.photographs else None, mode, download)
        if size is not None and not known.photographs:
            source = _map(source, lambda images, _: images.resized(size, mode))
    degrees = (known.rotation if known else 0.0) if rotation is None else rotation
    if degrees:
        angles = rotation_angles(source.count, degrees, seed=0)  # image i of the set always turns by the same angle
        source = _map(source, lambda images, index: images.rotated(angles[torch.as_tensor(index, device="cpu")]))
    return source


def _map(source: Source, change: Callable[[Images, np.ndarray], Images]) -> Source:
    return replace(source, fetch=lambda index: change(Images(source.fetch(index)), index).x)


def _open_path(name: str | os.PathLike[str], split: str, size: int | None, mode: str) -> Source:
    """A folder of pictures by its path; its subfolder ``train``, ``val`` or ``test`` where it has one of the split."""
    path = Path(name).expanduser()
    if not path.is_dir() or not str(name):  # no name would be the current folder
        if path.name == str(name):
            checks.one_of(str(name), SETS, "data set", see="or give the path of a folder of images")
        raise ValueError(f"no folder of images at {str(name)!r}")
    subfolders = [path / sub for sub in (("val", "validation", "test") if split == "test" else (split,))]
    found = next((sub for sub in subfolders if sub.is_dir()), None)
    if found is None and split != "test":
        raise ValueError(f"the folder {path.name!r} has no subfolder {split!r}; without one it is read by split='test'")
    return open_folder(found or path, f"{path.resolve().name}/{split}", size, mode)


def _whole(value: int | None, name: str, high: float = math.inf) -> int | None:
    return None if value is None else checks.count(value, name, high=high)


def _choose(source: Source, n: int | None, seed: int) -> np.ndarray:
    if n is None:
        return np.arange(source.count)
    if n > source.count:
        raise ValueError(f"n must lie in [1, {source.count}], the images of {source.name!r}, got {n}")
    return torch.randperm(source.count, generator=generator(seed, "data.load"), device="cpu")[:n].numpy()


def _label(source: Source, n: int | None, seed: int, **options: object) -> str:
    """The input's name in provenance: two different pulls from one set must not overwrite each other."""
    told = {"n": n, "seed": None if n is None else seed, **options}
    extra = ", ".join(f"{key}={value}" for key, value in told.items() if value is not None)
    return f"{source.name} ({extra})" if extra else source.name


def load(
    name: str | os.PathLike[str],
    *,
    split: str = "test",
    n: int | None = None,
    seed: int = 0,
    root: Root = None,
    size: int | None = None,
    resize: str | None = None,
    rotation: float | None = None,
    download: bool = True,
) -> Images:
    """Images of a set, (n, c, h, w) float32 in [0, 1], in memory.

    name: one of :func:`list`, or the path of a folder of images (one folder a class, or flat and unlabelled).
    split: "train" or "test" ("val" means "test", whose place ImageNet's validation set takes).
    n: how many, drawn without repetition by ``seed``: the first of a longer draw with the same seed; no other file is
    decoded. None: all, in the set's order.
    root: the first folder to look in; then ``$UAPKIT_DATA``, the user's cache and, with ``download``, the set's server.
    size, resize: square images, at most 4096 pixels a side, by :func:`uapkit.data.images.resize_steps`; photographs have
    224 and "crop" unless told, the other sets keep their size and are squashed where one is asked for.
    rotation: image i turns by its own fixed angle from [-rotation, rotation] degrees (bilinear, zero fill); None: 30
    for "digits", 0 for the others. With 180 "mnist" is the rotated MNIST of [equivariant2019], Section 3.

    Raises TypeError for what is no name; ValueError for an unknown name, split or size, and for a damaged file (checksums
    named); FileNotFoundError, with what to put where, for a set that is not here.
    """
    n, size = _whole(n, "n"), _whole(size, "size", MAX_SIZE)
    source = open_source(name, split, root, size, resize, rotation, download)
    images = source.images(_choose(source, n, seed))
    label = _label(source, n, seed, size=size, resize=resize, rotation=rotation)
    provenance.note_input(label, images.sha256)
    return images


@dataclass(frozen=True)
class Stream:
    """Batches of a set, decoded as they are asked for; can be gone through again. ``len`` is the number of batches."""

    source: Source
    index: np.ndarray
    batch_size: int
    label: str

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.index)

    def __len__(self) -> int:
        return -(-len(self.index) // self.batch_size)

    def __iter__(self) -> Iterator[Images]:
        sha = hashlib.sha256()
        for start in range(0, len(self.index), self.batch_size):
            images = self.source.images(self.index[start : start + self.batch_size])
            if start == 0:
                sha.update(f"{(len(self.index), *images.shape)}".encode())
            digest(images.x, None, sha)
            yield images
        labels = self.source.labels
        digest(None, None if labels is None else torch.as_tensor(labels[self.index], device="cpu"), sha)
        provenance.note_input(self.label, sha.hexdigest())


def stream(
    name: str | os.PathLike[str],
    *,
    batch_size: int,
    split: str = "test",
    n: int | None = None,
    seed: int = 0,
    root: Root = None,
    size: int | None = None,
    resize: str | None = None,
    rotation: float | None = None,
    download: bool = True,
) -> Stream:
    """The images of :func:`load`, same arguments, ``batch_size`` at a time: for sets too large for memory.

    The sha256 noted for provenance after a full pass is that of the loaded set, whatever the batch size.
    """
    batch_size, n, size = checks.count(batch_size, "batch_size"), _whole(n, "n"), _whole(size, "size", MAX_SIZE)
    source = open_source(name, split, root, size, resize, rotation, download)
    label = _label(source, n, seed, size=size, resize=resize, rotation=rotation)
    return Stream(source, _choose(source, n, seed), batch_size, label)


def names() -> list[str]:
    """The sets known by name."""
    return [*SETS]


def status(root: Root = None) -> pd.DataFrame:
    """One row a set: name, splits, here (bool), where, what to do if it is missing, licence. Opens no file."""
    rows = []
    for name, known in SETS.items():
        where = known.where(root)
        advice = "" if where else known.advice
        rows.append((name, ", ".join(known.splits), where is not None, str(where or ""), advice, known.licence))
    return pd.DataFrame(rows, columns=["name", "splits", "here", "where", "what_to_do", "licence"])
