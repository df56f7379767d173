"""Caltech-101: thousands of free photographs (CC BY 4.0), of use where many different images without labels are wanted."""

from __future__ import annotations

import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

from uapkit.data import source
from uapkit.data.folder import open_folder

BASE = "101_ObjectCategories"
FOLDERS = (f"caltech101/{BASE}", BASE, f"caltech-101/{BASE}")
ARCHIVE = (  # address and md5, those of torchvision
    "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
    "3138e1922a9193bfa496528edbbc45d0",
)
INSIDE = f"caltech-101/{BASE}.tar.gz"
ADVICE = f"unpack {INSIDE} of {ARCHIVE[0]}, so that {FOLDERS[0]} lies below $UAPKIT_DATA"


def open_caltech(
    split: str, root: str | os.PathLike[str] | None, size: int | None, mode: str, fetch_missing: bool
) -> source.Source:
    """The photographs, whole or the part that is there, one folder a category; labels count the folders by name."""
    folder = source.locate(FOLDERS, root) or _download(root, fetch_missing)
    return open_folder(folder, f"caltech101/{split}", size, mode)


def _download(root: str | os.PathLike[str] | None, fetch_missing: bool) -> Path:
    """The whole set in the user's cache, its archive verified."""
    url, checksum = ARCHIVE
    archive = source.cache_folder("data", url.rpartition("/")[2])
    if not fetch_missing:
        raise source.missing("caltech101", FOLDERS, root, ADVICE)
    try:
        source.download([url], archive, checksum)
    except ConnectionError as error:
        raise source.missing("caltech101", FOLDERS, root, f"{error}, so {ADVICE}") from error
    with tempfile.TemporaryDirectory(dir=archive.parent) as part:
        with zipfile.ZipFile(archive) as outer, outer.open(INSIDE) as inner, tarfile.open(fileobj=inner) as tar:
            tar.extractall(part, filter="data")
        (Path(part) / BASE).replace(folder := archive.parent / BASE)
    archive.unlink()
    return folder
