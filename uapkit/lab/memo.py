"""The one memo of computed things: ``made = keep(function, *args, **kwargs)``.

Without an active memo it is the plain call. With one (the runner has one for every run) the answer is looked up under a
key that is derived, never written down: the function and the code it depends on (:mod:`uapkit.sources`), every argument
(:mod:`uapkit.lab.identity`), the versions of Python and the numerical libraries. What cannot be identified is computed
anew. A second lock: an entry also holds what each network answered on two of the images, and is refused where the
network answers otherwise now.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from uapkit import provenance, sources
from uapkit.data.images import Images
from uapkit.lab import stored
from uapkit.lab.identity import Unidentified, identity, stands_in_its_module
from uapkit.lab.together import Busy, passing_over

P = ParamSpec("P")
R = TypeVar("R")
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas")
CHECKPOINT = "checkpoint"  # the parameter of functions that keep their state in a file until they are done
PROBE_TOLERANCE = 1e-3  # of the largest logit; rounding of another batch size stays far below it


@dataclass
class Memo:
    """Entries in ``folder``, and what this run has taken from them.

    seconds: {entry: its own seconds} of every entry that the run's numbers rest on, each once, however often it was
    used. reused, computed: how often an answer was read, or made and stored.
    """

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    reused: int = 0
    computed: int = 0
    elsewhere: float = 0.0  # seconds that this run spent on making or reading them
    _inside: list[_Frame] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def call(self, function: Callable[..., R], args: tuple, kwargs: dict[str, Any]) -> R:
        """The function's answer, from an entry or computed and stored."""
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
            given = dict(bound.arguments)
            resumable = CHECKPOINT in given and given.pop(CHECKPOINT) is None
            key = _key(function, given)
        except Unidentified:
            return function(*args, **kwargs)
        path = self.folder / key[:2] / f"{key}.npz"
        probes = _probes(given)
        if (found := self._read(path, key, probes)) is not None:
            return found[0]
        with self._alone(path) as here:
            if (found := self._read(path, key, probes)) is not None:  # another process has just made it
                return found[0]
            state = path.with_suffix(".state")
            more = {CHECKPOINT: state} if resumable and here else {}
            frame = _Frame()
            self._inside.append(frame)
            started = time.perf_counter()
            try:
                with provenance.recording() as inputs:
                    result = function(*args, **kwargs, **more)
            finally:
                self._inside.pop()
            elapsed = time.perf_counter() - started
            provenance.note_all(inputs)
            own = max(0.0, elapsed - frame.elsewhere)
            about = {"inputs": inputs, "seconds": own, "uses": frame.uses, "probes": probes}
            self._count(key, own, frame.uses, elapsed)
            self.computed += 1
            return self._write(path, result, about, state)

    def _read(self, path: Path, key: str, probes: list[Any]) -> tuple[Any] | None:
        started = time.perf_counter()
        try:
            result, about = stored.read(path)
            if not _same(about["probes"], probes):
                self._say("an entry whose network answers otherwise than recorded was refused and computed anew")
                return None
        except FileNotFoundError:
            return None
        except (stored.Unreadable, KeyError):
            self._say("an entry that is damaged, or of another version, was passed over and computed anew")
            return None
        provenance.note_all(about["inputs"])
        self._count(key, about["seconds"], about["uses"], time.perf_counter() - started)
        self.reused += 1
        return (result,)

    def _write(self, path: Path, result: Any, about: dict[str, Any], state: Path) -> Any:
        """Store the result and hand out what a later run will read, so that both runs see the same."""
        try:
            stored.write(path, result, about)
        except TypeError:  # it has no form on disk
            return result
        except OSError as error:
            self._say(f"a result could not be kept ({error}); the run goes on, a rerun computes it again")
            return result
        with contextlib.suppress(OSError):
            state.unlink(missing_ok=True)
        try:
            return stored.read(path)[0]
        except (stored.Unreadable, OSError):
            return result

    def _count(self, key: str, own: float, uses: dict[str, float], elapsed: float) -> None:
        found = {**uses, key: own}
        self.seconds |= found
        if self._inside:
            self._inside[-1].uses |= found
            self._inside[-1].elsewhere += elapsed
        else:
            self.elsewhere += elapsed

    @contextlib.contextmanager
    def _alone(self, path: Path) -> Iterator[bool]:
        """One process at a time computes an entry; the others wait for it, or raise Busy where they have other work.

        False where no lock can be had.
        """
        lock = FileLock(path.with_suffix(".lock"))
        leave = passing_over() and not self._inside  # inside another entry, whose lock is held here, it waits
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0 if leave else -1)
        except Timeout:
            raise Busy from None
        except (OSError, NotImplementedError) as error:
            self._say(f"nothing can be kept in the cache ({error}); the run goes on without it")
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            warnings.warn(sentence, stacklevel=2)


@dataclass
class _Frame:
    """What a computation under way has used: entries with their own seconds, and the time spent on them now."""

    uses: dict[str, float] = field(default_factory=dict)
    elsewhere: float = 0.0


_memo: ContextVar[Memo | None] = ContextVar("uapkit_memo", default=None)


def keep(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """``function(*args, **kwargs)``, computed once for the same code and the same values while a memo is active.

    function: defined at the top of a module; its answer depends on nothing but its arguments. One that takes
    ``checkpoint`` gets a file for it and resumes after an interruption. The answer is made of tensors, arrays, plain
    values and dataclasses of this package; any other, and that of a function or argument that cannot be identified (a
    lambda, a class typed into a notebook), is computed anew each time.
    """
    memo = _memo.get()
    return function(*args, **kwargs) if memo is None else memo.call(function, args, kwargs)


@contextlib.contextmanager
def keeping(folder: Path) -> Iterator[Memo]:
    """Keep and reuse answers in ``folder`` while the block runs."""
    memo = Memo(Path(folder))
    token = _memo.set(memo)
    try:
        yield memo
    finally:
        _memo.reset(token)


def _key(function: Callable, given: dict[str, Any]) -> str:
    """What the answer depends on, as one checksum. Raises Unidentified."""
    if not hasattr(function, "__qualname__") or not stands_in_its_module(function):
        raise Unidentified("not a function of a module")
    about = {
        "format": stored.FORMAT,
        "function": f"{function.__module__}:{function.__qualname__}",
        "code": sources.code(function),
        "versions": _versions(),
        "dtype": str(torch.get_default_dtype()),
        "arguments": {name: identity(value) for name, value in given.items()},
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _probes(given: dict[str, Any]) -> list[Any]:
    """What each network among the arguments answers on two of the images among them; None where it takes none of them."""
    pictures = [x.x if isinstance(x, Images) else x for x in given.values() if isinstance(x, (Images, Tensor))]
    images = next((x[:2] for x in pictures if x.ndim == 4 and len(x) and x.is_floating_point()), None)
    return [None if images is None else _answer(net, images) for net in _networks(given)]


def _networks(value: Any) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _networks(part)


@torch.no_grad()
def _answer(net: nn.Module, images: Tensor) -> list[Any] | None:
    if net.training:
        return None
    with torch.random.fork_rng(devices=[]):
        try:
            found = net(images)
        except Exception:  # whatever a network makes of images that are not its own
            return None
    return found.double().flatten().tolist() if isinstance(found, Tensor) else None


def _same(before: list[Any], now: list[Any]) -> bool:
    if len(before) != len(now):
        return False
    for one, other in zip(before, now, strict=True):
        if one is None or other is None:
            if one is not other:
                return False
            continue
        a, b = torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
        finite = a[a.isfinite()].abs()  # an answer that is no number has no size
        scale = float(finite.max()) if len(finite) else 0.0
        if a.shape != b.shape or not torch.allclose(a, b, rtol=0, atol=PROBE_TOLERANCE * scale, equal_nan=True):
            return False
    return True
