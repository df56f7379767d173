"""Runs one test cell property by property; its text is executed in the student's kernel, so it imports nothing of uapkit.

A property that fails costs its own points and no others: the next ones run, and for them a function that has failed is
replaced by the right one. A property is always tried on the student's own function.

Tests run where the answers run. What a student could do to be believed is made harder, not impossible: the functions of
libraries that tests trust are put back before each of them, and the points carry a word that only the grader knows.
"""

from __future__ import annotations

import ast
import contextlib
import io
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

PRINTED = 10_000  # characters that the answers may print while they are tested
SECONDS = 50.0  # for all properties of a cell together; the cell itself has a limit in nbgrader_config.py


BEFORE = "as_it_was"  # a module in which the kernel keeps the libraries' functions, see kernel.py
TOKEN = "application/vnd.uapkit.judged"


class TooLong(BaseException):
    """The time of a cell's properties is used up."""


class Points(float):
    """Points, shown together with the grader's word."""

    token = ""

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": float.__repr__(self), TOKEN: self.token}


class Few(io.TextIOBase):
    """Hands on so many characters and forgets the rest: what is tested may print without end."""

    def __init__(self, room: int = 0, to: Any = None) -> None:
        super().__init__()
        self.room, self.to = room, to

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Write what there is room for."""
        shown, self.room = text[: self.room], max(0, self.room - len(text))
        if shown:
            self.to.write(shown)
        return len(text)


def put_back() -> list[str]:
    """Give the libraries' functions their own names again; the names of those that the notebook had replaced."""
    found: list[str] = []
    if BEFORE not in sys.modules:
        return found
    for thing, names in sys.modules[BEFORE].names.items():  # builtins come first
        for name, value in names.items():
            if thing.__dict__.get(name, value) is not value:
                found += [f"{thing.__name__}.{name}"]
                setattr(thing, name, value)
    return found


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Interrupt after that many seconds, where the system can (not on Windows)."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TooLong(f"no answer after {seconds:.0f} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _said(error: BaseException) -> str:
    """The error in one or two lines: its message, and the last line of the student's own code on the way to it."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, AssertionError):
        return text if str(error) else "AssertionError: a check without words failed"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "ipykernel" in frame.filename and frame.line]
    return text + (f"\n          in {own[-1].name}, line {own[-1].lineno}: {own[-1].line}" if own else "")


def _define(space: dict[str, Any], sources: Iterable[str]) -> None:
    for source in sources:
        exec(compile(source, "<the right one>", "exec"), space)


def judge(plan: dict[str, Any], space: dict[str, Any], token: str = "") -> Points:
    """The points of a test cell; prints one line a property.

    plan: "properties" (dictionaries with function, title, points), "segments" (pairs of a property's index, None for
    set-up, and source), "right" (sources of functions by name), "again" (sources to run once more when functions have
    changed), "names" (what the notebook defines; a test that fails halfway leaves it as it was), "seconds". space: the
    notebook's names; a function that failed is the right one afterwards. token: what the points shall carry.
    """
    if replaced := put_back():
        print(f"Put back before the tests, for the notebook had replaced it: {', '.join(replaced)}.")
    properties, left = plan["properties"], plan.get("seconds", SECONDS)
    own = {name: space[name] for name in plan["right"] if name in space}
    said = Few(PRINTED, sys.stdout)
    why: dict[int, str] = {}
    wrong: set[str] = set()
    state: frozenset[str] = frozenset()

    def arrange(tried: str | None) -> None:
        nonlocal state
        wanted = frozenset(wrong - {tried})
        if wanted == state:
            return
        for name in plan["right"]:
            if name in own:
                space[name] = own[name]
            else:
                space.pop(name, None)
        _define(space, [plan["right"][name] for name in sorted(wanted)])
        with contextlib.suppress(Exception), contextlib.redirect_stdout(Few()):
            for source in plan["again"]:
                exec(compile(source, "<once more>", "exec"), space)
        state = wanted

    for index, source in plan["segments"]:
        tried = None if index is None else properties[index]["function"]
        before = {}
        try:
            with _limit(left), contextlib.redirect_stderr(Few()), contextlib.redirect_stdout(said):
                arrange(tried)
                before = {name: space[name] for name in plan["names"] if name in space}
                exec(compile(ast.parse(source), "<test>", "exec"), space)
            if (replaced := put_back()) and index is not None:
                why.setdefault(index, f"while it was tested the answer has replaced {', '.join(replaced)}")
        except (Exception, SystemExit, KeyboardInterrupt, TooLong) as error:
            put_back()
            space.update(before)  # what the test had put in another's place
            if isinstance(error, (TooLong, KeyboardInterrupt)):
                left = min(left, 5.0)
            if index is not None:
                why.setdefault(index, _said(error))
                wrong |= {name for name in plan["right"] if name == tried}
            if isinstance(error, KeyboardInterrupt):
                break
    tested = {index for index, _ in plan["segments"]} - {None}
    total = 0.0
    for index, one in enumerate(properties):
        passed = index in tested and index not in why
        total += one["points"] if passed else 0
        print(f"{one['points'] if passed else 0:g} of {one['points']:g}  {one['function']}: {one['title']}")
        if not passed:
            print(f"          {why.get(index, 'not tried')}")
    with contextlib.suppress(Exception), _limit(SECONDS):
        arrange(None)
    if wrong:
        names = ", ".join(sorted(wrong))
        print(f"From here on the right {names} is used instead of yours, so that a mistake is counted once.")
    points = Points(total)
    points.token = token
    return points
