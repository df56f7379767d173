"""MNIST's idx format, plain or gzipped, with the official checksums."""

from __future__ import annotations

import os
import warnings
import zlib
from pathlib import Path

import numpy as np

from uapkit.data import source
from uapkit.files import gunzip

FOLDERS = {
    "mnist": ("MNIST/raw", "mnist/raw", "MNIST", "mnist"),
    "fashion-mnist": ("FashionMNIST/raw", "fashion-mnist/raw", "FashionMNIST", "fashion-mnist"),
}
CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
MIRRORS = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}
# published md5 of the .gz files (the tables of torchvision, which a test compares)
GZ_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}
# md5 of the unpacked files: a file that someone compressed anew holds the same images
RAW_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion-mnist": {},
}
PREFIX = {"train": "train", "test": "t10k"}


def open_idx(name: str, split: str, root: str | os.PathLike[str] | None, fetch_missing: bool) -> source.Source:
    """The images and labels of one split, verified."""
    stems = [f"{PREFIX[split]}-images-idx3-ubyte", f"{PREFIX[split]}-labels-idx1-ubyte"]
    folder = source.locate(FOLDERS[name], root, [stem + end for stem in stems for end in ("", ".gz")])
    if folder is None:
        folder = _download(name, stems, root, fetch_missing)
    pixels, labels = (_read(name, folder, stem) for stem in stems)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise ValueError(f"{folder} holds images {pixels.shape} and labels {labels.shape} that do not belong together")
    return source.from_bytes(f"{name}/{split}", pixels[:, None], labels, CLASSES[name])


def _download(name: str, stems: list[str], root: str | os.PathLike[str] | None, fetch_missing: bool) -> Path:
    folder = source.cache_folder("data", FOLDERS[name][0])
    advice = f"put {', '.join(stem + '.gz' for stem in stems)} (or unpacked) into {FOLDERS[name][0]} below $UAPKIT_DATA"
    if not fetch_missing:
        raise source.missing(name, FOLDERS[name], root, advice)
    try:
        for stem in stems:
            file = stem + ".gz"
            source.download([mirror + file for mirror in MIRRORS[name]], folder / file, GZ_MD5[name][file])
    except ConnectionError as error:
        raise source.missing(name, FOLDERS[name], root, f"{error}, so {advice}") from error
    return folder


def _read(name: str, folder: Path, stem: str) -> np.ndarray:
    """The array of one file. Verified by the md5 of its content, or of the .gz where only that is published."""
    plain, packed = folder / stem, folder / f"{stem}.gz"
    raw_sum, gz_sum = RAW_MD5[name].get(stem), GZ_MD5[name].get(f"{stem}.gz")
    # only the .gz can be verified where no checksum of the content is published, so it goes first there
    path = packed if packed.exists() and (raw_sum is None or not plain.exists()) else plain
    if not path.exists():
        raise FileNotFoundError(f"{stem} (or {stem}.gz) is missing in {folder}, which has other files of {name!r}")
    data = path.read_bytes()
    if path == packed:
        packed_sum = source.md5(data)
        if raw_sum is None and gz_sum and packed_sum != gz_sum:
            raise source.damaged(path, gz_sum, packed_sum)
        try:
            data = gunzip(data)
        except (OSError, EOFError, zlib.error):
            raise source.damaged(path, gz_sum or "that of a whole gzip file", packed_sum) from None
    elif raw_sum is None:
        warnings.warn(
            f"{path} has no published checksum and was not verified; the .gz beside it would be", stacklevel=2
        )
    if raw_sum is not None and source.md5(data) != raw_sum:
        raise source.damaged(path, raw_sum, source.md5(data))
    return _parse(path, data)


def _parse(path: Path, data: bytes) -> np.ndarray:
    """Bytes of an idx file: two zeros, the type (8 = byte), the rank, the big-endian shape, the values."""
    rank = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    shape = tuple(int(s) for s in np.frombuffer(data, ">u4", rank, 4)) if len(data) >= 4 + 4 * rank else ()
    if not shape or len(data) != 4 + 4 * rank + int(np.prod(shape)):
        raise ValueError(f"{path} is not a whole idx file of bytes: shape {shape} announced, {len(data)} bytes found")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
