"""A block that is given up after some time, whatever runs in it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class Past(BaseException):
    """The time is over; no error that a run would catch and go on after."""


@contextlib.contextmanager
def within(limit: float | None) -> Iterator[None]:
    """:class:`Past` in the block after ``limit`` seconds; None: no limit. Needs the main thread of a POSIX system."""
    if limit is None:
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise Past

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
