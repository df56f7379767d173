"""What a value is, as one checksum: two values with the same identity give every function the same answer.

A network's identity is all that it computes with: the code of its class, its parameters, all buffers, persistent or
not, its mode, and every attribute that ``forward`` may read, in it and in whatever wraps it.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uapkit import sources
from uapkit.sources import Unidentified

_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.layout, slice, range)
_HOOKS = {name for name in vars(nn.Module()) if name.endswith("_hooks")}
_BASE = set(vars(nn.Module()))  # parameters, buffers and submodules are looked at one by one
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class written in Python, whose state is in its attributes


def identity(value: Any) -> str:
    """sha256 of everything that ``value`` is. Raises Unidentified for what cannot be told for certain."""
    digest = hashlib.sha256()
    _Feed(digest.update).any(value)
    return digest.hexdigest()


class _Feed:
    """Feeds a value's parts to a checksum, each object once."""

    def __init__(self, update: Callable[[Any], None]) -> None:
        self.update = update
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # so that no id is used twice

    def text(self, *words: object) -> None:
        self.update("\0".join(map(str, words)).encode() + b"\1")

    def any(self, value: Any) -> None:
        if isinstance(value, _PLAIN):
            return self.text(type(value).__name__, repr(value))
        if id(value) in self.seen:
            return self.text("again", self.seen[id(value)])
        self.seen[id(value)] = len(self.seen)
        self.alive.append(value)
        for kind, feed in _KINDS:
            if isinstance(value, kind):
                return feed(self, value)
        return self.object(value)

    def tensor(self, x: Tensor) -> None:
        if x.is_meta or x.layout != torch.strided:
            raise Unidentified("a tensor without numbers")
        x = x.detach()
        self.text("tensor", x.dtype, tuple(x.shape), x.device)
        if x.numel():
            self.update(x.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)

    def array(self, x: np.ndarray | np.generic) -> None:
        if x.dtype.hasobject:
            raise Unidentified("an array of objects")
        self.text("array", x.dtype.str, x.shape)
        self.update(np.ascontiguousarray(x).tobytes())

    def sequence(self, value: Iterable[Any]) -> None:
        items = list(value)
        self.text(type(value).__name__, len(items))
        for item in items:
            self.any(item)

    def unordered(self, value: Iterable[Any]) -> None:
        self.text(type(value).__name__, *sorted(identity(item) for item in value))

    def mapping(self, value: Mapping[Any, Any]) -> None:
        self.text(type(value).__name__, len(value))
        for key, item in value.items():
            self.any(key)
            self.any(item)

    def module(self, net: nn.Module) -> None:
        for name in _HOOKS:
            if vars(net).get(name):
                raise Unidentified(f"{type(net).__name__} has a hook")
        self.any(type(net))
        self.text("training", net.training)
        for kind in ("_parameters", "_buffers", "_modules"):
            for name, part in vars(net)[kind].items():
                self.text(kind, name)
                self.any(part)
        self.attributes({k: v for k, v in vars(net).items() if k not in _BASE}, type(net))

    def attributes(self, found: Mapping[str, Any], cls: type) -> None:
        # what follows from the other attributes, or changes no answer: only a class of ours may say so
        derived = {n for c in cls.__mro__ if c.__module__.startswith("uapkit.") for n in vars(c).get("derived", ())}
        for name in sorted(found):
            if name not in derived:
                self.text("attribute", name)
                self.any(found[name])

    def dataclass(self, value: Any) -> None:
        self.any(type(value))
        self.attributes({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, type(value))

    def code(self, thing: Any) -> None:
        """A class or a function: its name, and its code where it is not an installed library's."""
        module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
        self.text("code", module, name)
        if module is None or module in sys.builtin_module_names:
            return
        library = _of_a_library(module)
        if not stands_in_its_module(thing) and (not library or getattr(thing, "__closure__", None)):
            raise Unidentified(f"{name} is not defined at the top of a module")
        if not library:
            self.text(sources.code(thing))

    def method(self, value: Any) -> None:
        self.any(value.__self__)
        self.any(value.__func__)

    def partial(self, value: functools.partial) -> None:
        self.text("partial")
        self.any((value.func, value.args, value.keywords))

    def member(self, value: enum.Enum) -> None:
        self.any(type(value))
        self.text(value.name)

    def object(self, value: Any) -> None:
        if dataclasses.is_dataclass(value):
            return self.dataclass(value)
        cls = type(value)
        if not hasattr(value, "__dict__") or any(not c.__flags__ & _HEAP_TYPE for c in cls.__mro__[:-1]):
            raise Unidentified(f"{cls.__name__} keeps its state where it cannot be read")
        self.any(cls)
        return self.attributes(vars(value), cls)


_KINDS: tuple[tuple[Any, Callable[[_Feed, Any], None]], ...] = (
    (Tensor, _Feed.tensor),
    ((np.ndarray, np.generic), _Feed.array),
    (nn.Module, _Feed.module),
    (enum.Enum, _Feed.member),
    ((tuple, list, torch.Size), _Feed.sequence),
    ((set, frozenset), _Feed.unordered),
    (Mapping, _Feed.mapping),
    (functools.partial, _Feed.partial),
    (types.MethodType, _Feed.method),
    ((type, types.FunctionType, types.BuiltinFunctionType), _Feed.code),
)


def stands_in_its_module(thing: Any) -> bool:
    """Is it what its module has under its name? Then the module's text says what it does."""
    found: Any = sys.modules.get(thing.__module__)
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing


@functools.cache
def _of_a_library(module: str) -> bool:
    """Does an installed library or Python define this module? Their versions are part of every key."""
    if sources.is_ours(module):
        return False
    top = sys.modules.get(module.partition(".")[0])
    if top is None or (getattr(top, "__file__", None) is None and top.__name__ not in sys.builtin_module_names):
        raise Unidentified(f"{module} has no file")
    return True
