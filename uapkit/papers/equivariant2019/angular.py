"""How a direction looks, in numbers: its wavelength, and how much of it turns at one angular frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from uapkit.fourier import mean_wavelength


def _angular_power(v: Tensor, n_angles: int) -> Tensor:
    """Energy of ``v`` (c, h, w) at each angular frequency, read on circles about its centre (bilinear)."""
    radii = torch.arange(1, (min(v.shape[-2:]) - 1) // 2 + 1, dtype=torch.float64)
    t = torch.arange(n_angles, dtype=torch.float64) * (2 * torch.pi / n_angles)
    grid = torch.stack([radii[:, None] * t.cos(), radii[:, None] * t.sin()], -1)
    grid = grid * 2 / torch.tensor([v.shape[-1], v.shape[-2]])  # grid_sample's coordinates run over [-1, 1]
    read = grid_sample(v[None].double(), grid[None], mode="bilinear", align_corners=False)[0]
    power = (torch.fft.rfft(read, dim=-1).abs() ** 2 * radii[:, None]).sum((0, 1))
    power[1 : (n_angles + 1) // 2] *= 2  # a real picture has these twice, at m and at -m
    return power


def angular_share(v: Tensor, n_angles: int = 64) -> tuple[float, int]:
    """(share, m): how much of the energy of ``v`` (c, h, w) beyond its mean over angles is at one angular frequency m.

    A filter f(r) cos(m t + s), which is steerable by two copies of itself, has share 1 at m.
    """
    power = _angular_power(v, n_angles)[1:]
    return float(power.max() / power.sum()), int(power.argmax()) + 1


def round_share(v: Tensor, n_angles: int = 64) -> float:
    """Share of the energy of ``v`` (c, h, w) that no rotation changes: its mean over angles. 1 for a picture f(r)."""
    power = _angular_power(v, n_angles)
    return float(power[0] / power.sum())


def pictured(v: np.ndarray, shape: Sequence[int]) -> dict[str, float]:
    """Wavelength in pixels, angular_frequency and angular_share of a direction (d,) as a picture of ``shape``."""
    picture = torch.from_numpy(v.copy()).view(*shape)
    share, frequency = angular_share(picture)
    return {"wavelength": mean_wavelength(picture), "angular_frequency": frequency, "angular_share": share}
