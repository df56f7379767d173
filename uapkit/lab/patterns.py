"""Perturbations that need no gradient: noise with a given spectrum, stripes, checks, Perlin and Gabor noise.

Edge detectors in a network's first layers answer to smooth patterns of any origin, so a vector that looks like stripes
must beat stripes, not white noise. All patterns are (c, h, w) float32 of norm exactly ``eps``: two-valued in the
infinity norm, as they are in the 2-norm. Randomness comes from ``seed`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor

from uapkit import checks
from uapkit.seeds import generator

Shape = Sequence[int]


def random_phase(v: Tensor, *, eps: float, norm: float = math.inf, seed: int, radial: bool = False) -> Tensor:
    """Noise with the spectrum of ``v`` (c, h, w) and random phases: as smooth as ``v``, its lines in the same directions.

    Every channel keeps the modulus of each of its Fourier coefficients; all channels get the same random phases, so that
    they rise and fall together, also where those of ``v`` are opposite. radial: keep only the mean power of each ring of
    frequencies, no direction. ValueError for a ``v`` that is constant in every channel.
    """
    checks.perturbation(v, v.shape)
    x = v.double().cpu()
    h, w = x.shape[1:]
    white = torch.randn(h, w, generator=generator(seed, "random phase"), dtype=torch.float64)
    phases = torch.fft.fft2(white)
    phases = phases / phases.abs().clamp_min(1e-300)  # those of a real picture, so that the result is real
    size = torch.fft.fft2(x).abs()
    if not bool((size.flatten(1)[:, 1:] > 0).any()):
        raise ValueError("v is constant in every channel, so it has no spectrum to keep")
    if radial:
        size = _ring_means(size)
    return _of_size(torch.fft.ifft2(size * phases).real, eps, norm)


def _ring_means(size: Tensor) -> Tensor:
    """Each coefficient's modulus replaced by the root mean square over its ring of frequencies, by channel."""
    h, w = size.shape[-2:]
    fy, fx = torch.fft.fftfreq(h, dtype=torch.float64), torch.fft.fftfreq(w, dtype=torch.float64)
    ring = torch.round(torch.sqrt(fy[:, None] ** 2 + fx[None] ** 2) * min(h, w)).long().flatten()
    power = torch.zeros(len(size), int(ring.max()) + 1, dtype=torch.float64)
    power.index_add_(1, ring, size.flatten(1).square())
    return (power / torch.bincount(ring))[:, ring].sqrt().view_as(size)


def stripes(
    shape: Shape, *, period: float, degrees: float = 0.0, phase: float = 0.0, eps: float, norm: float = math.inf
) -> Tensor:
    """Square grey stripes, ``period`` pixels from one bright stripe to the next.

    degrees: where the stripes' normal points, 0 for stripes that run down, 90 for stripes that run across; phase: shift
    along the normal, as a share of the period.
    """
    checks.in_range(period, 2, math.inf, "period")
    h, w = shape[-2:]
    y, x = np.mgrid[:h, :w]
    angle = math.radians(degrees)
    along = (x * math.cos(angle) + y * math.sin(angle)) / period + phase
    bright = (along + 1e-9) % 1 < 0.5  # a hair's width, so that rounding moves no edge
    return _grey(np.where(bright, 1.0, -1.0), shape, eps, norm)


def checkers(shape: Shape, *, period: float, phase: float = 0.0, eps: float, norm: float = math.inf) -> Tensor:
    """A grey checkerboard whose squares are half a ``period`` wide; phase: shift in both directions, as a share of it."""
    across, down = (stripes(shape, period=period, degrees=d, phase=phase, eps=1.0) for d in (0.0, 90.0))
    return _of_size((across * down).double(), eps, norm)


def perlin(shape: Shape, *, period: float, octaves: int = 2, eps: float, norm: float = math.inf, seed: int) -> Tensor:
    """Perlin's gradient noise, grey; ``period``: pixels between the points of its coarsest lattice.

    Each octave halves the period and the weight. Source: Perlin (1985, 2002); as a universal attack Co et al. (2019).
    """
    checks.in_range(period, 2, math.inf, "period")
    h, w = shape[-2:]
    rng = generator(seed, "perlin")
    total = np.zeros((h, w))
    for octave in range(checks.count(octaves, "octaves")):
        step = period / 2**octave
        rows, columns = int(h / step) + 2, int(w / step) + 2
        turn = (torch.rand(rows, columns, generator=rng, dtype=torch.float64) * 2 * math.pi).numpy()
        y, x = np.mgrid[:h, :w] / step
        i, j = y.astype(int), x.astype(int)
        dy, dx = y - i, x - j

        def corner(a: int, b: int, i: Any = i, j: Any = j, dy: Any = dy, dx: Any = dx, turn: Any = turn) -> np.ndarray:
            angle = turn[i + a, j + b]
            return np.sin(angle) * (dy - a) + np.cos(angle) * (dx - b)

        sy, sx = (d**3 * (d * (6 * d - 15) + 10) for d in (dy, dx))
        upper = corner(0, 0) * (1 - sx) + corner(0, 1) * sx
        lower = corner(1, 0) * (1 - sx) + corner(1, 1) * sx
        total += (upper * (1 - sy) + lower * sy) / 2**octave
    return _grey(total, shape, eps, norm)


def gabor(
    shape: Shape, *, period: float, degrees: float | None = None, width: float = 1.0, density: float = 0.02,
    eps: float, norm: float = math.inf, seed: int,
) -> Tensor:  # fmt: skip
    """Sparse Gabor noise, grey: Gabor kernels of wavelength ``period`` at random places with random signs.

    degrees: where all kernels' normals point, None for a direction of its own for each of twelve groups of kernels.
    width: standard deviation of a kernel's window in wavelengths; density: kernels a pixel. Source: Lagae et al.
    (2009); as a universal attack Co et al. (2019).
    """
    checks.in_range(period, 2, math.inf, "period")
    checks.in_range(density, 0, 1, "density", open_low=True)
    h, w = shape[-2:]
    rng = generator(seed, "gabor")
    sigma = width * period
    reach = math.ceil(2.5 * sigma)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    angles = [degrees] if degrees is not None else [15.0 * k for k in range(12)]
    total = np.zeros((h, w))
    for angle in map(math.radians, angles):
        wave = np.cos(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / period)
        kernel = np.exp(-(x**2 + y**2) / (2 * sigma**2)) * wave
        field = torch.rand(2, h + 2 * reach, w + 2 * reach, generator=rng, dtype=torch.float64).numpy()
        impulses = np.where(field[0] < density / len(angles), np.where(field[1] < 0.5, -1.0, 1.0), 0.0)
        total += fftconvolve(impulses, kernel, mode="valid")
    if not total.any():
        raise ValueError(f"density {density} drew no kernel for {h} x {w} pixels; raise it")
    return _grey(total, shape, eps, norm)


@dataclass(frozen=True)
class Pattern:
    """A network-free perturbation and what it is called: family ("stripes", ...) and setting ("period 4, 45 degrees")."""

    family: str
    setting: str
    v: Tensor


def grid(
    shape: Shape, *, eps: float, norm: float = math.inf, seed: int,
    periods: Sequence[float] = (4, 6, 8, 12, 16), angles: Sequence[float] = (0, 45, 90), draws: int = 1,
) -> Iterator[Pattern]:  # fmt: skip
    """The patterns among which the strongest is chosen on images that are not scored: a small grid, random ones ``draws`` times."""
    for period in periods:
        for degrees in angles:
            v = stripes(shape, period=period, degrees=degrees, eps=eps, norm=norm)
            yield Pattern("stripes", f"period {period:g}, {degrees:g} degrees", v)
        yield Pattern("checks", f"period {period:g}", checkers(shape, period=period, eps=eps, norm=norm))
        for k in range(draws):
            one = seed + k
            yield Pattern(
                "Perlin noise", f"period {period:g}", perlin(shape, period=period, eps=eps, norm=norm, seed=one)
            )
            yield Pattern(
                "Gabor noise", f"period {period:g}", gabor(shape, period=period, eps=eps, norm=norm, seed=one)
            )


def _grey(picture: np.ndarray, shape: Shape, eps: float, norm: float) -> Tensor:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape must be (c, h, w), got {tuple(shape)}")
    return _of_size(torch.from_numpy(picture)[None].expand(tuple(shape)), eps, norm)


def _of_size(x: Tensor, eps: float, norm: float) -> Tensor:
    """Norm exactly ``eps``; in the infinity norm only the signs stay, a zero counts as +."""
    eps = checks.radius(eps)
    norm = checks.exponent(norm, "norm")
    if norm == math.inf:
        return torch.where(x < 0, -eps, eps).float()
    return (x * (eps / float(torch.linalg.vector_norm(x, norm)))).float()
