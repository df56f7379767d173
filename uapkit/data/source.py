"""Where images come from: a count, labels, and a way to fetch any of them; and where files are looked for."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from uapkit.data.images import Images
from uapkit.files import cache_folder, write_whole
from uapkit.progress import Bar

TIMEOUT = 30  # seconds without an answer after which a download is given up


@dataclass(frozen=True)
class Source:
    """A split before any pixel is decoded. labels: (count,) integers or None; fetch: indices -> (k, c, h, w)."""

    name: str
    count: int
    labels: np.ndarray | None
    classes: tuple[str, ...]
    fetch: Callable[[np.ndarray], Tensor]

    def images(self, index: np.ndarray) -> Images:
        """The images at ``index``, and nothing else, decoded."""
        y = None if self.labels is None else torch.as_tensor(self.labels[index].astype(np.int64), device="cpu")
        return Images(self.fetch(index), y, self.classes, self.name)


def from_bytes(name: str, pixels: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> Source:
    """A source held as (n, c, h, w) bytes; a byte is divided by 255 when it is fetched."""
    return Source(name, len(pixels), labels, classes, lambda index: torch.from_numpy(pixels[index]).float() / 255)


def roots(root: str | os.PathLike[str] | None) -> list[Path]:
    """Where to look: ``root``, ``$UAPKIT_DATA``, the user's cache. ValueError if a given folder does not exist."""
    found = []
    for value, what in ((root, "root"), (os.environ.get("UAPKIT_DATA"), "$UAPKIT_DATA")):
        if value:
            folder = Path(value).expanduser()
            if not folder.is_dir():
                raise ValueError(f"{what} must be an existing folder, got {str(value)!r}")
            found.append(folder)
    return [*found, cache_folder("data")]


def locate(folders: Sequence[str], root: str | os.PathLike[str] | None, probe: Sequence[str] = ()) -> Path | None:
    """The first of ``folders`` that exists below a root and holds one of the ``probe`` files, if any are named."""
    for base in roots(root):
        for folder in folders:
            path = base / folder
            if path.is_dir() and (not probe or any((path / name).exists() for name in probe)):
                return path
    return None


def missing(name: str, folders: Sequence[str], root: str | os.PathLike[str] | None, advice: str) -> FileNotFoundError:
    """The sentence for a set that is nowhere: where it was looked for and what to do."""
    bases = ", ".join(str(base) for base in roots(root))
    unset = "" if os.environ.get("UAPKIT_DATA") else " ($UAPKIT_DATA is not set)"
    return FileNotFoundError(
        f"the data set {name!r} is not here: no {' or '.join(folders)} with its files below {bases}{unset}; {advice}"
    )


def md5(data: bytes) -> str:
    """Hexadecimal md5: the checksum that the standard sets are published with; it guards against damage."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def damaged(path: Path, expected: str, found: str) -> ValueError:
    """The sentence for a file that is not what it should be."""
    return ValueError(
        f"{path} is damaged or changed: checksum expected {expected}, found {found}; remove it and fetch it again"
    )


def download(urls: Sequence[str], target: Path, checksum: str) -> None:
    """Fetch the first of ``urls`` that answers into ``target``, whole or not at all; ValueError for a wrong md5."""
    problem: OSError | None = None
    for url in urls:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                total = int(answer.headers.get("Content-Length") or 0) or None
                with Bar(total=total, unit="B", unit_scale=True, desc=target.name) as bar:
                    parts = []
                    while part := answer.read(1 << 20):
                        parts.append(part)
                        bar.update(len(part))
        except OSError as error:
            problem = error
            continue
        data = b"".join(parts)
        if md5(data) != checksum:
            raise damaged(Path(url), checksum, md5(data))
        write_whole(target, data)
        return
    raise ConnectionError(f"{target.name} could not be downloaded ({problem})")
