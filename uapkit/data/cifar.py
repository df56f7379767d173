"""CIFAR's python batches, read without running anything that they contain."""

from __future__ import annotations

import io
import os
import pickle  # noqa: TID251  the official format; ALLOWED below admits arrays, numbers and strings only
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

from uapkit.data import source

SETS: dict[str, type[CIFAR10]] = {"cifar10": CIFAR10, "cifar100": CIFAR100}
FOLDERS = {
    name: (cls.base_folder, f"{name}/{cls.base_folder}", f"{name.upper()}/{cls.base_folder}", name)
    for name, cls in SETS.items()
}
LABELS = {"cifar10": "labels", "cifar100": "fine_labels"}
FILES = {name: {"train": dict(cls.train_list), "test": dict(cls.test_list)} for name, cls in SETS.items()}
META = {name: (cls.meta["filename"], cls.meta["key"], cls.meta["md5"]) for name, cls in SETS.items()}


def _latin1(text: str, encoding: str) -> bytes:
    """What Python 3 pickles bytes with under protocol 2; no other codec is run."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding}")
    return text.encode("latin1")


_reconstruct = np.empty(0).__reduce__()[0]  # the function that builds an empty array for its pickled bytes
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


class Batch(pickle.Unpickler):
    """An unpickler that knows NumPy arrays and nothing else: any other global is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        """The allowed object of that name; UnpicklingError for any other."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return ALLOWED[module, name]


def open_cifar(name: str, split: str, root: str | os.PathLike[str] | None, fetch_missing: bool) -> source.Source:
    """The images and labels of one split, verified."""
    meta_file, meta_key, meta_sum = META[name]
    folder = source.locate(FOLDERS[name], root, [meta_file, *FILES[name][split]]) or _download(
        name, root, fetch_missing
    )
    classes = tuple(_read(folder / meta_file, meta_sum, {meta_key: list})[meta_key])
    wanted = {"data": np.ndarray, LABELS[name]: list}
    batches = [_read(folder / file, checksum, wanted) for file, checksum in FILES[name][split].items()]
    pixels = np.concatenate([batch["data"] for batch in batches])
    labels = np.concatenate([batch[LABELS[name]] for batch in batches])
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3072):
        raise ValueError(
            f"{folder} holds pixels {pixels.shape} {pixels.dtype} and {len(labels)} labels, not (n, 3072) bytes"
        )
    return source.from_bytes(f"{name}/{split}", pixels.reshape(-1, 3, 32, 32), labels, classes)


def _read(path: Path, checksum: str, wanted: dict[str, type]) -> dict[str, Any]:
    """The dictionary in one file, with the ``wanted`` keys and types; ValueError for anything else."""
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing in {path.parent}, which has other files of the set")
    data = path.read_bytes()
    if source.md5(data) != checksum:
        raise source.damaged(path, checksum, source.md5(data))
    try:
        batch = Batch(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a broken pickle raises nearly anything
        raise ValueError(f"{path} was refused: it is not a batch of arrays, numbers and strings ({error})") from error
    if not isinstance(batch, dict) or any(not isinstance(batch.get(key), kind) for key, kind in wanted.items()):
        raise ValueError(f"{path} is not an official batch: it must be a dictionary with {' and '.join(wanted)}")
    return batch


def _download(name: str, root: str | os.PathLike[str] | None, fetch_missing: bool) -> Path:
    cls = SETS[name]
    advice = f"unpack {cls.filename} from {cls.url}, so that {cls.base_folder} lies below $UAPKIT_DATA"
    if not fetch_missing:
        raise source.missing(name, FOLDERS[name], root, advice)
    archive = source.cache_folder("data", cls.filename)
    try:
        source.download([cls.url], archive, cls.tgz_md5)
    except ConnectionError as error:
        raise source.missing(name, FOLDERS[name], root, f"{error}, so {advice}") from error
    with tempfile.TemporaryDirectory(dir=archive.parent) as part, tarfile.open(archive) as tar:
        tar.extractall(part, filter="data")
        (Path(part) / cls.base_folder).replace(archive.parent / cls.base_folder)
    archive.unlink()
    return archive.parent / cls.base_folder
