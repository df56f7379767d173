"""Arrays written by other people's programs, read without executing anything that they contain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from uapkit import checks
from uapkit.attacks import matlab
from uapkit.files import LARGEST, refuse_bomb

SUFFIXES = (".npy", ".npz", ".mat", ".pt", ".pth", ".safetensors")


def _open(path: Path) -> Any:
    """What the file holds: an array, or a mapping of names to arrays."""
    refuse_bomb(path)
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    if path.suffix == ".mat":
        return matlab.read(path)
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def read_array(path: Path, key: str | None = None) -> np.ndarray | Tensor:
    """The array in a .npy, .npz, .mat, .pt, .pth or .safetensors file; ``key`` names it where there are several.

    Raises FileNotFoundError, or ValueError for another suffix, a damaged file, one that wants code to be run, or an
    open choice between arrays.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.name} in {path.parent}")
    checks.one_of(path.suffix, SUFFIXES, "kind of file")
    try:
        content = _open(path)
    except NotImplementedError:
        raise ValueError(f"{path.name} is a MATLAB 7.3 file, which is HDF5; save it with -v7") from None
    except Exception as error:  # each format has its own exceptions; all of them mean the same to the caller
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path.name} does not hold plain arrays, or is damaged ({reason})") from None
    if not isinstance(content, Mapping):
        return content
    if key is not None:
        return content[checks.one_of(key, [str(name) for name in content], f"array in {path.name}")]
    shaped = [name for name, a in content.items() if isinstance(a, (np.ndarray, Tensor)) and a.ndim >= 2]
    if len(shaped) != 1:
        raise ValueError(f"{path.name} holds {len(shaped)} arrays that could be meant, {shaped}; choose with key=...")
    return content[shaped[0]]


def to_chw(array: Any, layout: str | None, channels: str, scale: float | None) -> tuple[Tensor, dict[str, Any]]:
    """(c, h, w) float32 RGB on the scale of [0, 1], and how the array was read. ValueError where that is ambiguous."""
    checks.one_of(channels, ("rgb", "bgr"), "channel order")
    if not isinstance(array, (np.ndarray, Tensor)):
        raise TypeError(f"a tensor or a NumPy array is needed, got {type(array).__name__}")
    if isinstance(array, Tensor):
        checks.tensor(array, "a perturbation's array", "a tensor or a NumPy array")
        if array.is_floating_point() and array.dtype not in (torch.float16, torch.float64):
            array = array.float()  # NumPy has no bfloat16
    a = array.detach().cpu().numpy() if isinstance(array, Tensor) else array
    if a.size * 8 > LARGEST:  # a view of few numbers may claim any shape
        raise ValueError(f"an array in the shape of an image is needed, got {a.shape}")
    if a.dtype.kind not in "iuf":
        raise TypeError(f"an array of real numbers is needed, got {a.dtype}")
    shape = a.shape
    while a.ndim > 3 and len(a) == 1:
        a = a[0]
    if a.ndim == 2:
        a, layout = a[None], "chw"
    if a.ndim != 3:
        raise ValueError(f"an array with three axes (channels, height, width in some order) is needed, got {shape}")
    if layout is None:
        first, last = a.shape[0] in (1, 3), a.shape[2] in (1, 3)
        if first == last:
            raise ValueError(f'where the channels of {shape} are is not clear; say layout="chw" or layout="hwc"')
        layout = "chw" if first else "hwc"
    if checks.one_of(layout, ("chw", "hwc"), "layout") == "hwc":
        a = a.transpose(2, 0, 1)
    if channels == "bgr":
        if len(a) != 3:
            raise ValueError(f'channels="bgr" needs three channels, the array has {len(a)}')
        a = a[::-1]
    largest = float(np.abs(a.astype(np.float64)).max(initial=0.0))
    if scale is None:
        if a.dtype.kind == "f" and 0.5 < largest <= 1:
            raise ValueError(
                f"whether pixels run to 1 or to 255 is not clear (largest entry {largest:g}); say scale=..."
            )
        scale = 255 if a.dtype.kind in "iu" or largest > 1 else 1
    if scale not in (1, 255):
        raise ValueError(f"scale must be 1 or 255, got {scale!r}")
    v = torch.from_numpy(np.ascontiguousarray(a.astype(np.float64) / scale)).float()
    return v, {"layout": layout, "channels": channels, "scale": int(scale)}
