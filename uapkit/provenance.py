"""What a run was fed with: data.load and models.load note the sha256 of everything they hand out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_inputs: ContextVar[dict[str, str] | None] = ContextVar("uapkit_inputs", default=None)


def note_input(name: str, sha256: str) -> None:
    """Record that ``name`` (e.g. ``"mnist/test"``) with this ``sha256`` was used; no effect outside :func:`recording`."""
    inputs = _inputs.get()
    if inputs is not None:
        inputs[name] = sha256


def note_all(inputs: Mapping[str, str]) -> None:
    """:func:`note_input` for each of ``{name: sha256}``."""
    for name, sha256 in inputs.items():
        note_input(name, sha256)


@contextmanager
def recording() -> Iterator[dict[str, str]]:
    """Collect the inputs noted inside the block, ``{name: sha256}``."""
    inputs: dict[str, str] = {}
    token = _inputs.set(inputs)
    try:
        yield inputs
    finally:
        _inputs.reset(token)
