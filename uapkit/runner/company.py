"""The other processes of ``uapkit run --jobs N``."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def of(item: str, jobs: int, *, full: bool, parameters: Sequence[str]) -> Iterator[bool]:
    """Are there others? They run, on this machine, while the block lasts: what one of them loses, another makes.

    ValueError for fewer than one job.
    """
    if jobs < 1:
        raise ValueError(f"--jobs must be 1 or more, got {jobs}")
    again = [sys.executable, "-m", "uapkit", "run", item, *(["--full"] if full else [])]
    again += [part for pair in parameters for part in ("-p", pair)]
    others = [subprocess.Popen([*again, "--together"], stdout=subprocess.DEVNULL) for _ in range(jobs - 1)]
    try:
        yield bool(others)
    finally:
        for process in others:
            process.terminate()
        for process in others:
            process.wait()
