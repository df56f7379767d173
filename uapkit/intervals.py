"""95 % intervals: Wilson for a rate, paired bootstrap for a difference on the same images, Student for seeds and draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor

from uapkit import checks
from uapkit.seeds import generator

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval, from ``n`` observations."""

    value: float
    n: int
    low: float
    high: float

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] (n = {self.n})"

    def columns(self, name: str) -> dict[str, float]:
        """Cells of a tidy table: ``name``, low, high, n."""
        return {name: self.value, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True, repr=False)
class Rate(Interval):
    """A share in [0, 1]: ``hits`` of ``n`` images, with Wilson's 95 % interval."""

    hits: int

    @classmethod
    def of(cls, hits: int, n: int) -> Rate:
        """The rate of ``hits`` among ``n`` >= 1. ValueError unless 0 <= hits <= n."""
        checks.count(n, "n")
        if checks.count(hits, "hits", 0) > n:
            raise ValueError(f"hits must lie in [0, {n}], got {hits}")
        p, z2 = hits / n, float(special.ndtri((1 + CONFIDENCE) / 2)) ** 2
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = math.sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n) / (1 + z2 / n)
        # no image hit makes the lower end exactly 0, all hit the upper exactly 1; rounding must not move them
        return cls(p, n, max(0.0, centre - half) if hits else 0.0, min(1.0, centre + half) if hits < n else 1.0, hits)

    @classmethod
    def mean(cls, flags: Tensor) -> Rate:
        """The share of true among ``flags`` (n,), one a image."""
        return cls.of(int(flags.sum()), flags.numel())


def paired_difference(a: Tensor, b: Tensor, *, seed: int = 0, n_boot: int = 2000) -> Interval:
    """mean(a) - mean(b) where a[..., i] and b[..., i] were measured on the same image i; 95 % interval.

    a, b: (n,) booleans or numbers, for example two results of :func:`fooled`, or (draws, n), a row a draw of something random.
    The interval is over images, by percentile bootstrap (``n_boot`` resamples) of the means over the draws, and over draws, too:
    :func:`between_draws` of either side widens it, by squares (Zou and Donner 2008). One draw cannot tell how draws vary: its
    interval is over images alone. Where all differences are equal the interval has no width, so small n deserve suspicion.
    """
    checks.count(n_boot, "n_boot")
    if a.shape[-1:] != b.shape[-1:] or not {a.ndim, b.ndim} <= {1, 2} or not (a.numel() and b.numel()):
        raise ValueError(
            "a and b must have one entry for each of the same images, (n,), or one row of them for each draw, (draws, n); "
            f"got {tuple(a.shape)}, {tuple(b.shape)}"
        )
    drawn = [x.double().cpu().reshape(-1, x.shape[-1]) for x in (a, b)]
    if not all(bool(torch.isfinite(x).all()) for x in drawn):
        raise ValueError("a and b must be finite, got NaN or infinity")
    d = drawn[0].mean(0) - drawn[1].mean(0)
    rng = generator(seed, "paired_difference")
    chunk = max(1, 2**22 // len(d))
    counts = [min(chunk, n_boot - done) for done in range(0, n_boot, chunk)]
    means = torch.cat([d[torch.randint(len(d), (k, len(d)), generator=rng, device="cpu")].mean(1) for k in counts])
    tail = (1 - CONFIDENCE) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=torch.float64, device="cpu")).tolist()
    value, wider = float(d.mean()), math.hypot(*(between_draws(x) for x in drawn))
    if wider:
        low, high = value - math.hypot(value - low, wider), value + math.hypot(high - value, wider)
    return Interval(value, len(d), low, high)


def between_draws(x: Tensor) -> float:
    """Half the 95 % interval that the choice of the draws alone gives the mean of x (draws, n); 0 for one draw.

    The draws' means differ for two reasons: draws differ, and each meets the images in its own way. A two-way analysis of variance
    takes the second away, which the interval over images has already; what remains, never below 0, has Student's interval.
    """
    draws, n = x.shape
    if draws < 2 or n < 2:
        return 0.0
    of_draw = x.mean(1)
    rest = x - of_draw[:, None] - x.mean(0) + x.mean()
    variance = float(of_draw.var()) - float(rest.square().sum()) / ((draws - 1) * (n - 1) * n)
    return float(special.stdtrit(draws - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(max(0.0, variance) / draws)


def mean_interval(values: Sequence[float] | Tensor) -> Interval:
    """Mean over independent runs (seeds) with Student's 95 % interval; one value alone has an infinite interval."""
    x = torch.as_tensor(values, dtype=torch.float64, device="cpu").flatten()
    if not len(x) or not bool(torch.isfinite(x).all()):
        raise ValueError(f"values must be one finite number a run, at least one, got {values!r}")
    mean = float(x.mean())
    half = math.inf
    if len(x) > 1:
        half = float(special.stdtrit(len(x) - 1, (1 + CONFIDENCE) / 2) * x.std() / math.sqrt(len(x)))
    return Interval(mean, len(x), mean - half, mean + half)
