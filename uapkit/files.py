"""Files are written whole or not at all; caches have one place."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

LARGEST = 2**31  # bytes: to more than this no file of a stranger is unpacked


def cache_folder(*parts: str) -> Path:
    """The user's cache: ``$UAPKIT_CACHE``, else ``$XDG_CACHE_HOME/uapkit``, else ``~/.cache/uapkit``; not created here.

    FileNotFoundError where nothing is set and the user has no home folder, as in a container under a free number.
    """
    if base := os.environ.get("UAPKIT_CACHE"):
        return Path(base).joinpath(*parts)
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise FileNotFoundError(
            "this user has no home folder to keep anything in: set UAPKIT_CACHE to a folder"
        ) from None
    return home.joinpath("uapkit", *parts)


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write ``data`` to ``path`` completely or not at all; OSError with one sentence if the disk refuses.

    lasting: wait until the disk has it; False where a power cut may cost the file, for a cache that finds damage itself.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        reason = error.strerror or error
        raise OSError(
            error.errno,
            f"{path.name} could not be written ({reason}); free space or permission is needed in {path.parent}",
        ) from error


@contextlib.contextmanager
def alone(place: Path, doing: str = "") -> Iterator[None]:
    """One process at a time is at ``place`` in this block; a second waits. Where the cache takes no lock, nobody waits.

    doing: what the other is doing, for the sentence that tells why nothing happens; "" to wait in silence. The lock goes
    when its process goes, however it ends. Not to be entered twice by one thread for one place.
    """
    name = hashlib.sha256(os.fsencode(Path(place).resolve())).hexdigest()[:16]
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError, NotImplementedError):
            lock = FileLock(cache_folder("locks", f"{name}.lock"))
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0 if doing else -1)
            except Timeout:  # which is an OSError, too
                print(f"another process {doing} in {place}; waiting for it", file=sys.stderr, flush=True)
                lock.acquire()
            held.callback(lock.release)
        yield


def refuse_bomb(path: Path, largest: int = LARGEST) -> None:
    """ValueError where a zip, which .npz, .pt and .pth are, says that it unpacks to more than ``largest`` bytes.

    A member that says less than it holds is cut off, and so found damaged, by whoever reads it. Other files pass.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # damaged: its reader says how
    if size > largest:
        raise ValueError(
            f"{path.name} unpacks to {size / 2**30:.1f} GiB, more than the {largest / 2**30:g} GiB allowed"
        )


def gunzip(data: bytes, largest: int = LARGEST) -> bytes:
    """What a gzip file holds. ValueError beyond ``largest`` bytes; OSError, EOFError, zlib.error for a damaged one."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        found = file.read(largest + 1)
    if len(found) > largest:
        raise ValueError(f"the gzip file unpacks to more than the {largest / 2**30:g} GiB allowed")
    return found
