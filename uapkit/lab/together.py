"""Several processes at one run: each takes what no other is at, and what one has made all the others read.

There is nothing to merge. The processes share the folder of kept answers (:mod:`uapkit.lab.memo`); an answer is made by
one of them, under a lock that goes when its process goes. Whoever comes last finds everything made and writes the table
that one process alone would have written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


class Busy(Exception):
    """Another process is making this answer at the moment; there is other work to do first."""


_together: ContextVar[bool] = ContextVar("uapkit_together", default=False)
_passing: ContextVar[bool] = ContextVar("uapkit_passing", default=False)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Other processes are at the same run while the block lasts."""
    with _set(_together, True):
        yield


def in_company() -> bool:
    """Are other processes at the same run?"""
    return _together.get()


def passing_over() -> bool:
    """Shall an answer that another process is making be left for later, by :class:`Busy`, instead of waited for?"""
    return _passing.get()


def each(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """The answers of all ``jobs``, in their order; in company those come last that another process is at.

    A job may call ``each`` itself. Its answer must not depend on which jobs were done before it.
    """
    if not _together.get():
        return [job() for job in jobs]
    answers: dict[int, T] = {}
    waiting = list(range(len(jobs)))
    while waiting:
        later = []
        for k in waiting:
            try:
                with _set(_passing, True):
                    answers[k] = jobs[k]()
            except Busy:
                later.append(k)
        if len(later) == len(waiting):  # others are at all of them
            if _passing.get():
                raise Busy
            k = later.pop(0)
            answers[k] = jobs[k]()  # waits
        waiting = later
    return [answers[k] for k in range(len(jobs))]


@contextlib.contextmanager
def _set(variable: ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
