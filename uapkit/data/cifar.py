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

from uapkit.data import source

BASE = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
FOLDERS = {k: (base, f"{k}/{base}", f"{k.upper()}/{base}", k) for k, base in BASE.items()}
ARCHIVE = {  # address and md5
    "cifar10": ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
    "cifar100": ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),
}
LABELS = {"cifar10": "labels", "cifar100": "fine_labels"}
# published md5 of each file (the tables of torchvision, which a test compares)
FILES = {
    "cifar10": {
        "train": {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
    },
    "cifar100": {
        "train": {"train": "16019d7e3df5f24257cddd939b257f8d"},
        "test": {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    },
}
META = {  # file, key of the class names, md5
    "cifar10": ("batches.meta", "label_names", "5ff9c542aee3614f3951f8cda6e48888"),
    "cifar100": ("meta", "fine_label_names", "7973b15100ade9c7d40fb424638fde48"),
}


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
    url, checksum = ARCHIVE[name]
    archive = source.cache_folder("data", url.rpartition("/")[2])
    advice = f"unpack {archive.name} from {url}, so that {BASE[name]} lies below $UAPKIT_DATA"
    if not fetch_missing:
        raise source.missing(name, FOLDERS[name], root, advice)
    try:
        source.download([url], archive, checksum)
    except ConnectionError as error:
        raise source.missing(name, FOLDERS[name], root, f"{error}, so {advice}") from error
    folder = archive.parent / BASE[name]
    with tempfile.TemporaryDirectory(dir=archive.parent) as part, tarfile.open(archive) as tar:
        tar.extractall(part, filter="data")
        (Path(part) / BASE[name]).replace(folder)
    archive.unlink()
    return folder
