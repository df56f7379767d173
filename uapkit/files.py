"""Files are written whole or not at all; caches have one place."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """The user's cache: ``$UAPKIT_CACHE``, else ``$XDG_CACHE_HOME/uapkit``, else ``~/.cache/uapkit``; not created here."""
    base = os.environ.get("UAPKIT_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uapkit"
    return (Path(base) if base else home).joinpath(*parts)


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
