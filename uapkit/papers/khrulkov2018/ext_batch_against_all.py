"""Is the batch's singular vector that of the whole set, as [khrulkov2018] takes it to be? Ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.attacks import Perturbation
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.khrulkov2018.drawing import curves
from uapkit.papers.khrulkov2018.setting import Layer, Setting, batch, response, value_of
from uapkit.seeds import child_seed


def run(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits"),
    layer: Layer = None,
    batch_sizes: Sequence[int] = (4, 16, 64),
    n_draws: int = 3,
    data: str = "digits",
    n_fit: int = 128,
    n_select: int = 64,
    n_eval: int = 64,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Is the batch's singular vector that of the whole set, as [khrulkov2018] takes it to be? Ours.

    One row a (model, batch_size, kind, draw). share: ||J v||_q on ``n_eval`` images outside the batch, over the value
    of their own singular vector (the best of ``n_draws`` starts; 1: the batch's vector is as good for them); cosine:
    modulus of the cosine of the two vectors; own_share: ||J v||_q on the batch per image, over the same outside; top_image:
    share of ||J v||_q^q that one image holds, of a batch on the batch itself, of all other vectors on the images outside.
    kind "batch", or the nulls "random signs" and "untrained network"; kind "another start": the cosine and share of a
    second local maximum of the outside images themselves, the yardstick for the cosine. A batch is drawn from ``n_fit``
    images.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, layer)

    def outside(model: str, layer: str) -> list[Perturbation]:
        """The singular vectors of the images outside the batches, from several starts, the best first."""
        starts = [child_seed(seed, f"start {k}") for k in range(max(2, n_draws))]
        found = [setting.vector(model, layer, images="scored", seed=start) for start in starts]
        return sorted(found, key=lambda made: -value_of(made))

    def compared(model: str, layer: str, kind: str, draw: int, v: Tensor, best: Perturbation) -> dict[str, Any]:
        net, scored = bench.network(model), bench.split(model).scored.x
        recorded = setting.jacobians(model, layer, part="scored")
        value, top = lab.keep(response, net, scored, v, layer=layer, p=p, q=q, recorded=recorded)
        return {
            "kind": kind,
            "draw": draw,
            "share": value / value_of(best),
            "cosine": _cosine(v, best.v),
            "n": n_eval,
            "top_image": top,
        }

    def batches(model: str, layer: str, batch_size: int) -> list[dict]:
        net, best, rows = bench.network(model), outside(model, layer)[0], []
        for k in range(n_draws):
            images = batch(bench.split(model).fit.x, batch_size, seed, f"batch {k}")
            made = setting.vector(model, layer, images=images, seed=child_seed(seed, f"start {k}"))
            row = compared(model, layer, "batch", k, made.v, best)
            row["own_share"] = (n_eval / batch_size) ** (1 / q) * value_of(made) / value_of(best)
            row["top_image"] = lab.keep(response, net, images, made.v, layer=layer, p=p, q=q)[1]
            rows.append(row)
        return rows

    def others(model: str, layer: str) -> list[dict]:
        best, *more = outside(model, layer)
        fresh = setting.vector(model, layer, untrained=True).v
        tried = [("another start", k, made.v) for k, made in enumerate(more)]
        tried += [(nulls.RANDOM_SIGNS, k, setting.random(model, k)) for k in range(max(2, n_draws))]
        tried += [(nulls.UNTRAINED, 0, fresh)]
        return [compared(model, layer, kind, draw, v, best) for kind, draw, v in tried]

    parts = []
    for network in bench.names(models):
        at = {"model": network, "layer": setting.choose(network)}
        points = [at | {"batch_size": b} for b in batch_sizes if b <= n_fit]
        parts.append(lab.sweep(points, batches, desc=f"{network}: batches"))
        parts.append(lab.sweep([at], others, desc=f"{network}: other vectors"))
    return bench.told(lab.joined(parts))


def _cosine(a: Tensor, b: Tensor) -> float:
    """Modulus of the cosine of two vectors."""
    a, b = a.double().flatten(), b.double().flatten()
    return abs(float(a @ b / (a.norm() * b.norm())))


def claims(run: Run) -> Iterator[Claim]:
    """The largest batch's vector has more than 0.9 of the value that images outside the batch can have at all."""
    for network, rows in run.by_network():
        batches = lab.rows_of(rows, kind="batch")
        b = int(batches["batch_size"].max())
        share = lab.mean_of(lab.rows_of(batches, batch_size=b)["share"])
        null = lab.mean_of(lab.rows_of(rows, kind=nulls.RANDOM_SIGNS)["share"])
        yield claim("batch_stands_for_the_set", f"{network} (b = {b})", share, ">", 0.9, null=null)


def figure(run: Run) -> Figure:
    """Share of the attainable value on images outside the batch against its size, a panel a network."""
    return curves(run, "batch_size", value="share", label="share of the value outside", limits=(0, 1.05))
