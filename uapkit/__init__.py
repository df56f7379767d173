"""A reproducible companion to four papers on universal adversarial perturbations.

Submodules load on first use: ``import uapkit; uapkit.attacks.deepfool(...)``.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("uapkit")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_SUBMODULES = (
    "attacks",
    "book",
    "curvature",
    "data",
    "evaluate",
    "figures",
    "lab",
    "models",
    "norms",
    "operators",
    "papers",
    "runner",
    "singular",
    "spectra",
    "subspace",
)
__all__ = ["__version__", *_SUBMODULES]


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"uapkit.{name}")
    raise AttributeError(f"module 'uapkit' has no attribute {name!r}")
