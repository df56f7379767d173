"""How fine a perturbation's pattern is: its radially averaged power spectrum."""

from __future__ import annotations

import torch
from torch import Tensor


def radial_spectrum(v: Tensor) -> tuple[Tensor, Tensor]:
    """(frequency, power): power of ``v`` (c, h, w) averaged over directions and channels, mean removed.

    Frequencies are in cycles a pixel, one bin of width 1/min(h, w) each, from 1/min(h, w) to at most 0.5; a wavelength
    is their inverse, in pixels. White noise has a flat spectrum.
    """
    h, w = v.shape[-2:]
    power = torch.fft.fft2(v.double() - v.double().mean((1, 2), keepdim=True)).abs().square().mean(0) / (h * w)
    fy, fx = (
        torch.fft.fftfreq(h, dtype=torch.float64, device=v.device),
        torch.fft.fftfreq(w, dtype=torch.float64, device=v.device),
    )
    radius = torch.sqrt(fy[:, None] ** 2 + fx[None] ** 2)
    size = min(h, w)
    bins = torch.round(radius * size).long()
    keep = (bins >= 1) & (bins <= size // 2)
    total = torch.zeros(size // 2 + 1, dtype=torch.float64, device=v.device).index_add_(0, bins[keep], power[keep])
    number = torch.bincount(bins[keep], minlength=size // 2 + 1)
    return torch.arange(1, size // 2 + 1, device=v.device) / size, total[1:] / number[1:]


def mean_wavelength(v: Tensor) -> float:
    """Wavelength in pixels at the mean frequency of :func:`radial_spectrum`, each ring weighted by its whole power.

    White noise gives about 3 pixels; stripes of a period of 8 pixels give 8.
    """
    frequency, power = radial_spectrum(v)
    weight = power * frequency  # a ring's length grows with its radius
    return float(weight.sum() / (weight * frequency).sum())
