"""Argument checks: one clear sentence that names the value, the allowed range and the fix."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class NotHere(FileNotFoundError):
    """Data or weights are not on this machine; the message says how to get them. Experiments keep a row for them."""


def suggest(name: str, allowed: Iterable[str], count: int = 3) -> list[str]:
    """The names in ``allowed`` nearest to ``name``, at most ``count`` of them."""
    allowed = list(allowed)
    lower = {a.lower(): a for a in allowed}
    close = difflib.get_close_matches(str(name).lower(), lower, n=count, cutoff=0.4)
    return [lower[c] for c in close] or sorted(allowed)[:count]


def one_of(name: str, allowed: Iterable[str], what: str, see: str = "") -> str:
    """Return ``name`` if it is in ``allowed``; otherwise ValueError with the nearest names."""
    allowed = list(allowed)
    if name in allowed:
        return name
    near = ", ".join(repr(a) for a in suggest(name, allowed))
    raise ValueError(f"unknown {what} {name!r}; the nearest names are {near}" + (f" ({see})" if see else ""))


def in_range(value: float, low: float, high: float, name: str, *, open_low: bool = False) -> float:
    """Return ``float(value)`` if low <= value <= high (low < value with ``open_low``); else ValueError."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if math.isnan(number) or number > high or number < low or (open_low and number == low):
        left = "(" if open_low else "["
        raise ValueError(f"{name} must lie in {left}{low:g}, {high:g}], got {value!r}")
    return number


def exponent(value: float, name: str) -> float:
    """A norm's exponent: a number in [1, inf]."""
    return in_range(value, 1.0, math.inf, name)


def count(value: int, name: str, low: int = 1) -> int:
    """An integer of at least ``low``."""
    if isinstance(value, bool) or int(value) != value or value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}")
    return int(value)


def device(where: torch.device | str) -> torch.device:
    """The device if this machine has it; ValueError otherwise."""
    import torch  # here: names and parameters are checked without it

    try:
        found = torch.device(where)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        kinds = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"device must be one that is here ({', '.join(kinds)}), got {str(where)!r}: {reason}"
        ) from None
    return found


def images(x: torch.Tensor, name: str = "x") -> torch.Tensor:
    """A non-empty batch of images (n, c, h, w), floating point, finite, in [0, 1]; TypeError or ValueError otherwise."""
    import torch  # here: names and parameters are checked without it

    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        mend = "divide bytes by 255" if isinstance(x, torch.Tensor) else "torch.from_numpy makes one of an array"
        raise TypeError(f"{name} must be a floating-point tensor of pixels in [0, 1], got {kind}; {mend}")
    if x.ndim != 4:
        raise ValueError(f"{name} must have the shape (n, c, h, w), got {tuple(x.shape)}")
    if x.numel() == 0:
        raise ValueError(f"{name} is empty, shape {tuple(x.shape)}; at least one image is needed")
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} holds values that are not finite (NaN or infinity); pixels must lie in [0, 1]")
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} has pixels in [{low:.4g}, {high:.4g}], allowed is [0, 1]; "
            "divide by 255 and leave normalisation to the model"
        )
    return x


def perturbation(v: torch.Tensor, shape: Iterable[int], name: str = "v") -> torch.Tensor:
    """An image-shaped (c, h, w), finite perturbation, with an axis of length 1 in front dropped; ValueError otherwise."""
    import torch  # here: names and parameters are checked without it

    expected = tuple(shape)
    if v.ndim == len(expected) + 1 and len(v) == 1:
        v = v[0]
    if tuple(v.shape) != expected:
        raise ValueError(f"{name} must have the images' shape {expected}, got {tuple(v.shape)}")
    if not bool(torch.isfinite(v).all()):
        raise ValueError(f"{name} holds values that are not finite (NaN or infinity)")
    return v
