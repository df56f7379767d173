"""Argument checks: one clear sentence that names the value, the allowed range and the fix."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


PERTURBATION = "a tensor (c, h, w) or a Perturbation"


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
        if isinstance(value, str | bytes):  # float() reads some of them, what comes behind does not
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    except OverflowError:  # an integer that no float holds
        number = math.nan
    if math.isnan(number) or number > high or number < low or (open_low and number == low):
        left = "(" if open_low else "["
        raise ValueError(f"{name} must lie in {left}{low:g}, {high:g}], got {value!r}")
    return number


def exponent(value: float, name: str) -> float:
    """A norm's exponent: a number in [1, inf]."""
    return in_range(value, 1.0, math.inf, name)


def radius(value: float, name: str = "eps") -> float:
    """The size of a perturbation: a number in [0, 1e30], from which no pixel of float32 overflows."""
    return in_range(value, 0.0, 1e30, name)


def bounds(value: tuple[float, float], name: str = "bounds") -> tuple[float, float]:
    """(low, high) with low < high; ValueError otherwise."""
    try:
        low, high = (float(end) for end in value)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise ValueError(f"{name} must be (low, high) with low < high, got {value!r}")
    return low, high


def count(value: int, name: str, low: int = 1, high: float = math.inf) -> int:
    """An integer of at least ``low`` and at most ``high``."""
    try:
        fits = not isinstance(value, bool) and int(value) == value and low <= value <= high
    except (TypeError, ValueError, OverflowError, RuntimeError):
        fits = False
    if not fits:
        most = f" and at most {high}" if high < math.inf else ""
        raise ValueError(f"{name} must be an integer of at least {low}{most}, got {value!r}")
    return int(value)


def seed(value: int) -> int:
    """A whole number as an integer; ValueError otherwise."""
    try:
        whole = not isinstance(value, str | bytes) and int(value) == value
    except (TypeError, ValueError, OverflowError, RuntimeError):
        whole = False
    if not whole:
        raise ValueError(f"seed must be a whole number, got {value!r}")
    return int(value)


def some(values: Iterable[Any], name: str) -> list[Any]:
    """The values as a list of at least one; ValueError otherwise."""
    found = list(values) if isinstance(values, Iterable) else []
    if not found:
        raise ValueError(f"{name} must hold at least one value, got {values!r}; give a list")
    return found


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


def tensor(value: Any, name: str, what: str) -> torch.Tensor:
    """The value if it is a dense tensor of real numbers; else TypeError, which says that it must be ``what``."""
    import torch  # here: names and parameters are checked without it

    if not isinstance(value, torch.Tensor):
        mend = "torch.from_numpy makes one of an array"
        raise TypeError(f"{name} must be {what}, got {type(value).__name__}; {mend}")
    if value.is_nested or value.layout != torch.strided:
        raise TypeError(f"{name} must be {what}, dense, got the layout {value.layout}; call its to_dense()")
    if value.is_meta:
        raise TypeError(f"{name} must be {what}, got one on the device 'meta', which holds no numbers; give those")
    if value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} must be {what}, of real numbers, got {value.dtype}; take its real part, or .float()")
    return value


def images(x: torch.Tensor, name: str = "x") -> torch.Tensor:
    """A non-empty batch of images (n, c, h, w), floating point, finite, in [0, 1]; TypeError or ValueError otherwise."""
    what = "a floating-point tensor of pixels in [0, 1]"
    if not tensor(x, name, what).is_floating_point():
        raise TypeError(f"{name} must be {what}, got {x.dtype}; divide bytes by 255")
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


def logits(found: torch.Tensor) -> torch.Tensor:
    """A network's answers if all are finite; ValueError otherwise."""
    if not bool(found.isfinite().all()):
        raise ValueError("the model's logits are not finite (NaN or infinity), so no label can be predicted")
    return found


def perturbation(v: torch.Tensor, shape: Iterable[int], name: str = "v") -> torch.Tensor:
    """An image-shaped (c, h, w), finite perturbation, with an axis of length 1 in front dropped.

    TypeError for what is no dense tensor of real numbers, ValueError otherwise.
    """
    import torch  # here: names and parameters are checked without it

    expected = tuple(shape)
    tensor(v, name, PERTURBATION)
    if v.ndim == len(expected) + 1 and len(v) == 1:
        v = v[0]
    if tuple(v.shape) != expected:
        raise ValueError(f"{name} must have the images' shape {expected}, got {tuple(v.shape)}")
    if not bool(torch.isfinite(v).all()):
        raise ValueError(f"{name} holds values that are not finite (NaN or infinity)")
    return v
