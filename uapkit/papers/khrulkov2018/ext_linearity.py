"""The premise of [khrulkov2018], f(x + e) - f(x) = J e, measured up to its norm and beyond; ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import evaluate, lab
from uapkit.figures.panels import legend_beside, models_of, of_a_run, panels
from uapkit.figures.style import in_order, look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.models import Model
from uapkit.norms import lp_norm
from uapkit.operators import JacobianOperator
from uapkit.papers.khrulkov2018.setting import DIRECTIONS, Setting, depth


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    scales: Sequence[float] = (0.03, 0.1, 0.3, 1.0, 3.0),
    data: str = "digits",
    n_fit: int = 16,
    n_eval: int = 64,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The premise of [khrulkov2018], f(x + e) - f(x) = J e, measured up to its norm and beyond; ours.

    Rows: (model, layer, direction, scale), e = scale * eps * v with v the singular vector of ``n_fit`` images, "random
    signs", or the "untrained network"'s vector. Over ``n_eval`` other images: ratio, the mean of ||f(x + e) - f(x)||_q /
    ||J e||_q (1 if linear); error (low, high), the mean of ||f(x + e) - f(x) - J e||_2 / ||J e||_2; cosine, the mean
    cosine of the two changes. Images for which J e = 0 are left out of n.
    """
    bench = lab.Bench(data, n_fit, 0, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed)

    def changes(model: str, layer: str) -> list[dict]:
        net, scored = bench.network(model), bench.split(model).scored.x
        own, fresh = (setting.vector(model, layer, untrained=untrained).v for untrained in (False, True))
        tried = torch.stack([own, setting.random(model), fresh])
        found = lab.keep(compared, net, scored, tried, layer=layer, scales=tuple(scales), q=q)
        rows = []
        for direction, by_scale in zip(DIRECTIONS, found, strict=True):
            for scale, numbers in zip(scales, by_scale, strict=True):
                numbers = numbers[torch.isfinite(numbers).all(1)]
                row = {
                    "direction": direction,
                    "scale": scale,
                    "eps": scale * eps,
                    "n": len(numbers),
                    "depth": depth(net, layer),
                }
                rows.append(row | _means(numbers))
        return rows

    parts = []
    for network in bench.names(models):
        points = setting.layers(network, layers, count=4)
        parts.append(lab.sweep(points, changes, desc=f"{network}: layers"))
    return bench.told(lab.joined(parts))


def _means(numbers: Tensor) -> dict[str, float]:
    """ratio, error (low, high) and cosine over images, from (images, 3); nothing where no image is left."""
    if not len(numbers):
        return {}
    error = evaluate.mean_interval(numbers[:, 1])
    return {
        "ratio": float(numbers[:, 0].mean()),
        "error": error.value,
        "low": error.low,
        "high": error.high,
        "cosine": float(numbers[:, 2].mean()),
    }


@torch.no_grad()
def compared(model: Model, x: Tensor, vs: Tensor, *, layer: str, scales: Sequence[float], q: float) -> Tensor:
    """(directions, scales, images, 3): the layer's true change under scale * v against scale * J v, for each v of ``vs``.

    The three: ratio of the q-norms, relative error in norm 2, cosine. vs: (directions, c, h, w).
    """
    respond = model.until(layer)
    operator = JacobianOperator(respond, x)
    return torch.stack([_compared(respond, x, v, operator.matvec(v).view(len(x), -1), scales, q) for v in vs])


def _compared(respond: Any, x: Tensor, v: Tensor, linear: Tensor, scales: Sequence[float], q: float) -> Tensor:
    """(scales, images, 3) for one v, a few images at a time; linear: (images, outputs), J v."""
    found = []
    for part, line in zip(x.split(16), linear.split(16), strict=True):
        before, length, size = respond(part).flatten(1), _length(line), lp_norm(line, q, dim=1)
        for scale in scales:
            true = respond(part + scale * v).flatten(1) - before
            ratio = lp_norm(true, q, dim=1) / (scale * size)
            error = _length(true - scale * line) / (scale * length)
            cosine = (true * line).sum(1, dtype=torch.float64) / (_length(true) * length)
            found.append(torch.stack([ratio, error, cosine], 1).cpu())
    return torch.stack([torch.cat(found[k :: len(scales)]) for k in range(len(scales))])


def _length(rows: Tensor) -> Tensor:
    """2-norms of the rows, added up in float64."""
    return torch.linalg.vector_norm(rows, 2, dim=1, dtype=torch.float64)


def claims(run: Run) -> Iterator[Claim]:
    """At eps: the part of the change that the Jacobian misses is below half of what it predicts; one row a layer."""
    for network, rows in run.by_network():
        for row in lab.rows_of(rows, scale=1, direction="singular vector").to_dict("records"):
            yield claim("jacobian_predicts_change", f"{network} {row['layer']}", lab.from_row(row, "error"), "<", 0.5)


@of_a_run
def figure(run: Run) -> Figure:
    """What the Jacobian misses against the norm, a line a layer from input (dark) to output, a panel a network.

    Logarithmic; 0.5 as a thin line; random signs dotted.
    """
    with style():
        drawn, axes = panels(models_of(run.rows), columns=1, height=2.5, width=7.4)
        for ax, (network, rows) in zip(axes, run.by_network(), strict=False):
            layers = list(lab.rows_of(rows, direction="singular vector").groupby("layer", sort=False))
            for (layer, part), shown in zip(layers, in_order(len(layers)), strict=True):
                ax.loglog(part["eps"], part["error"], marker=shown.marker, color=shown.colour, label=layer)
                null = lab.rows_of(rows, direction=nulls.RANDOM_SIGNS, layer=layer)
                line = look(nulls.RANDOM_SIGNS).line
                ax.loglog(null["eps"], null["error"], linestyle=line, color=shown.colour)
            ax.axhline(0.5, color="black", linewidth=0.8)
            ax.set(title=short(network), xlabel="norm", ylabel="error (dotted: random signs)")
            legend_beside(ax)
    return drawn
