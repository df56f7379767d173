"""The figure of [khrulkov2018] with the singular vectors of one layer for several q: do edges become clearer with q?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.figures.pictures import gallery
from uapkit.fourier import mean_wavelength
from uapkit.lab import Claim, Run, claim, nulls, patterns
from uapkit.papers.khrulkov2018.setting import Layer, Setting, value_of
from uapkit.papers.khrulkov2018.trend import trend


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    qs: Sequence[float] = (1.0, 2.0, 3.0, 5.0, 10.0, math.inf),
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    p: float = math.inf,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The figure of [khrulkov2018] with the singular vectors of one layer for several q.

    One row a (model, q): layer, singular_value, wavelength (mean, in pixels), neighbours (correlation of neighbouring
    pixels: 1 for smooth, 0 for noise), converged. Nulls with the same columns: kind "random signs" and, for each q, kind
    "untrained network". Vectors as ``v/<model>/q = <q>`` in ``attrs["arrays"]``. layer: None takes the best at q = 10
    on held-in images.
    """
    bench = lab.Bench(data, n_fit, n_select, 1, seed, device)
    setting = Setting(bench, p, 10.0, eps, max_iter, seed, layer)

    def vector(model: str, layer: str, q: float) -> tuple[list[dict], dict]:
        fresh, made = (setting.vector(model, layer, untrained=untrained, q=q) for untrained in (True, False))
        v, _ = setting.better_sign(model, made.v)
        row = {
            **_smoothness("vector", v),
            "singular_value": value_of(made),
            "converged": made.made_by["converged"],
            "n_fit": n_fit,
        }
        null = {**_smoothness(nulls.UNTRAINED, fresh.v), "singular_value": value_of(fresh)}
        return [row, null], {f"v/{model}/q = {q:g}": v.cpu().numpy()}

    def noise(model: str, layer: str) -> list[dict]:
        return [_smoothness(nulls.RANDOM_SIGNS, setting.random(model))]

    parts = []
    for network in bench.names(models):
        at = {"model": network, "layer": setting.choose(network)}
        parts.append(lab.sweep([at | {"q": q} for q in qs], vector, desc=f"{network}: q"))
        parts.append(lab.sweep([at], noise, desc=f"{network}: random signs"))
    return bench.told(lab.joined(parts))


def _smoothness(kind: str, v: Tensor) -> dict[str, Any]:
    return {"kind": kind, "wavelength": mean_wavelength(v.cpu()), "neighbours": neighbours(v.cpu())}


def neighbours(v: Tensor) -> float:
    """Mean correlation of neighbouring pixels of ``v`` (c, h, w), down and right: 0 for independent random signs."""
    w = v.double() - v.double().mean((1, 2), keepdim=True)
    size = w.square().mean()
    down, right = (w[:, 1:] * w[:, :-1]).mean(), (w[:, :, 1:] * w[:, :, :-1]).mean()
    return float((down + right) / (2 * size)) if size > 0 else math.nan


def claims(run: Run) -> Iterator[Claim]:
    """Clearer edges for larger q: the trend of :func:`edge_clearness` over q, above that of noise with the same spectrum.

    Smoothness alone makes no edge: what noise of the vector's own spectrum has is taken off, place by place.
    """
    for network, rows in run.by_network():
        qs = sorted(lab.rows_of(rows, kind="vector")["q"])
        clear = {q: above_noise(torch.as_tensor(run.flags("v", network, f"q = {q:g}"))) for q in qs}
        if len(clear) > 1:
            yield claim("edges_clearer_with_q", network, trend(clear), ">", 0.0)


def edge_clearness(v: Tensor, tile: int) -> Tensor:
    """(tiles,) how far the lines in each ``tile`` x ``tile`` square of ``v`` (c, h, w) run one way, from 0 to 1 for parallel ones.

    The coherence of the structure tensor: the difference of its two eigenvalues over their sum, 0 where nothing varies. Squares
    that do not fit whole are left out. Source: Bigun and Granlund (1987).
    """
    grey = v.double().mean(0)
    down, across = grey[2:, 1:-1] - grey[:-2, 1:-1], grey[1:-1, 2:] - grey[1:-1, :-2]
    yy, xx, xy = (torch.nn.functional.avg_pool2d(p[None], tile)[0] for p in (down**2, across**2, down * across))
    total = xx + yy
    return (
        (((xx - yy) ** 2 + 4 * xy**2).sqrt() / total.clamp_min(1e-300))
        .where(total > 0, torch.zeros_like(total))
        .flatten()
    )


def above_noise(v: Tensor) -> np.ndarray:
    """:func:`edge_clearness` of v minus that of noise with its spectrum, in squares of a 14th of the side, 8 pixels at least."""
    tile = max(8, v.shape[-1] // 14)
    noise = patterns.random_phase(v, eps=float(v.abs().max()), seed=0)
    return (edge_clearness(v, tile) - edge_clearness(noise, tile)).numpy()


def figure(run: Run) -> Figure:
    """The vectors for several q as pictures, contrast stretched, a line a network."""
    return gallery(run.arrays)
