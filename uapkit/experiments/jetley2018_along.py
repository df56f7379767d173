"""Along one direction: which one, how far, and what part of the scores' curves is a shift or even."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uapkit import checks, curvature
from uapkit.experiments.jetley2018_shared import RANDOM, Curved, logits
from uapkit.seeds import child_seed, generator


def direction(study: Curved, spec: str, target: int, kind: str, rank: int = 1) -> tuple[Tensor, float]:
    """(unit direction (c, h, w), its curvature). kind: "positive", "negative", "flat" or "random"; rank from 1, the foremost.

    Where only the ends of the spectrum are known, a flat direction is a random one orthogonal to them (curvature NaN).
    """
    checks.one_of(kind, ("positive", "negative", "flat", RANDOM), "kind of direction")
    shape = study.part("test", spec).x.shape[1:]
    found = study.curvatures(spec, target)
    v = found.vectors
    if kind == "positive":
        v, value = v[:, rank - 1], float(found.values[rank - 1])
    elif kind == "negative":
        v, value = v[:, -rank], float(found.values[-rank])
    elif kind == "flat" and found.whole:
        place = int(found.values.abs().argsort()[rank - 1])
        v, value = v[:, place], float(found.values[place])
    else:
        draw = torch.randn(v.shape[0], generator=generator(study.seed, f"{kind} {target} {rank}")).to(v)
        v, value = draw - (v @ (v.T @ draw) if kind == "flat" else 0), math.nan
    return (v / v.norm()).view(shape), value


def walk(study: Curved, spec: str, x: Tensor, v: Tensor, positions: Sequence[float] | np.ndarray) -> Tensor:
    """(n, s, classes) logits of x + s v on the CPU; nothing is clipped."""
    model = study.model(spec)
    return torch.stack([logits(model, x + float(s) * v) for s in positions], 1)


def places(study: Curved, spec: str, reach: float, n_positions: int) -> np.ndarray:
    """(n,) positions from -reach to reach, in the unit of the pixels, 2-norm; ``reach`` counts the paper's finite steps."""
    checks.in_range(reach, 0, math.inf, "reach", open_low=True)
    n = checks.count(n_positions, "n_positions", 5)
    step = curvature.paper_step(tuple(study.part("test", spec).x.shape[1:]))
    return np.linspace(-reach * step, reach * step, n + 1 - n % 2)


def shift_share(curves: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Share of the variance of curves (n, s), each about its own mean, that their mean curve explains; in [0, 1].

    1 where all curves are vertical shifts of one another; about 1/n for unrelated ones. counts: how often each counts.
    """
    own = curves - curves.mean(1, keepdims=True)
    w = np.ones(len(own)) if counts is None else counts
    mean = (w @ own) / w.sum()
    total = float(w @ (own**2).sum(1))
    return float(w.sum() * (mean**2).sum() / total) if total else math.nan


def even_share(curves: np.ndarray, centre: int, counts: np.ndarray | None = None) -> float:
    """Energy of the even parts of curves (n, s) about position ``centre``, as a share of even and odd; in [0, 1].

    Each curve is taken relative to its value there, over the widest window that is symmetric about it.
    """
    half = min(centre, curves.shape[1] - 1 - centre)
    g = curves[:, centre - half : centre + half + 1] - curves[:, centre : centre + 1]
    even, odd = (g + g[:, ::-1]) / 2, (g - g[:, ::-1]) / 2
    w = np.ones(len(g)) if counts is None else counts
    e, o = float(w @ (even**2).sum(1)), float(w @ (odd**2).sum(1))
    return e / (e + o) if e + o else math.nan


def best_centre(curves: np.ndarray) -> int:
    """The place s_0, in the middle half of the positions, about which the mean curve is most nearly even."""
    n = curves.shape[1]
    mean = curves.mean(0, keepdims=True)
    return max(range(n // 4, n - n // 4), key=lambda c: even_share(mean, c))


def bootstrap(measure: Any, n: int, seed: int, n_boot: int = 500) -> tuple[float, float]:
    """95 % percentile interval of ``measure(counts)`` over n images drawn with replacement."""
    rng = np.random.default_rng(child_seed(seed, "bootstrap"))
    draws = [measure(np.bincount(rng.integers(0, n, n), minlength=n).astype(float)) for _ in range(n_boot)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)
