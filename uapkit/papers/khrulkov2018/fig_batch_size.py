"""Fooling rate against the number of images, the figure of [khrulkov2018], with the batch redrawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.attacks import Perturbation
from uapkit.lab import Claim, Run, beside, claim
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.models import Model
from uapkit.operators import JacobianOperator
from uapkit.papers.khrulkov2018.drawing import curves
from uapkit.papers.khrulkov2018.setting import Layer, Setting, batch, value_of
from uapkit.seeds import child_seed
from uapkit.singular import pq_singular


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    batch_sizes: Sequence[int] = (4, 16, 32),
    n_draws: int = 2,
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 64,
    n_select: PerNetwork = 64,
    n_eval: PerNetwork = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 8,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Fooling rate against the number of images b, the figure of [khrulkov2018], with the batch redrawn.

    All batches are drawn from ``n_fit`` images that are never scored. One row a (model, batch_size, kind, draw): kind
    "fixed batch", one batch for all iterations, several such draws; kind "redrawn each iteration", whose images are
    drawn anew before every iteration, once a size. singular_value is NaN for the latter, for which no batch stands.
    Nulls: "random signs", one row a draw, and "untrained network" (all n_fit).
    data, n_fit, n_select, n_eval: for all networks or by network; sizes above n_fit are left out.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, layer, n_random=n_random)

    def fixed(model: str, layer: str, batch_size: int, draw: int) -> tuple[list[dict], dict]:
        images = batch(bench.split(model).fit.x, batch_size, seed, f"batch {draw}")
        made = setting.vector(model, layer, images=images)
        score, _, flags = setting.scored(model, made.v)
        row = {"kind": "fixed batch", "singular_value": value_of(made), **score}
        return [row], {f"fooled/{model}/{batch_size}/fixed/{draw}": flags.cpu().numpy()}

    def redrawn(model: str, layer: str, batch_size: int, draw: int) -> tuple[list[dict], dict]:
        net, fit = bench.network(model), bench.split(model).fit.x
        given: dict[str, Any] = {"layer": layer, "batch_size": batch_size, "draw": draw}
        v = lab.keep(redrawn_vector, net, fit, **given, p=p, q=q, max_iter=max_iter, seed=seed)
        score, _, flags = setting.scored(model, Perturbation(v, 1.0).scaled(eps).v)
        row = {"kind": "redrawn each iteration", **score}
        return [row], {f"fooled/{model}/{batch_size}/redrawn/{draw}": flags.cpu().numpy()}

    parts = []
    for network in bench.names(models):
        most = bench.setting(network, "n_fit")
        sizes = [b for b in batch_sizes if b <= most]
        if not sizes:
            raise ValueError(
                f"batch_sizes must hold a size in [1, {most}], the images to fit on, got {list(batch_sizes)}"
            )
        at = {"model": network, "layer": setting.choose(network)}
        points = [at | {"batch_size": b, "draw": k} for b in sizes for k in range(n_draws)]
        parts.append(lab.sweep(points, fixed, desc=f"{network}: batches"))
        points = [point for point in points if point["draw"] == 0]
        parts.append(lab.sweep(points, redrawn, desc=f"{network}: batches redrawn"))
        parts.append(setting.nulls(network, at["layer"]))
    return bench.told(lab.joined(parts))


def redrawn_vector(
    model: Model,
    x: Tensor,
    *,
    layer: str,
    batch_size: int,
    draw: int,
    p: float,
    q: float,
    max_iter: int,
    seed: int,
) -> Tensor:
    """(c, h, w) of unit p-norm: the power method, its images drawn anew from x before every iteration."""
    v: Tensor | None = None
    for k in range(max_iter):
        images = batch(x, batch_size, seed, f"batch {draw} at iteration {k}")
        operator = JacobianOperator(model.until(layer), images)
        v = pq_singular(operator, p=p, q=q, v0=v, seed=child_seed(seed, f"start {draw}"), max_iter=1).v
    assert v is not None
    return v.view(x.shape[1:])


def claims(run: Run) -> Iterator[Claim]:
    """The largest batch gains less than 5 points over b = 16; redrawing moves the rate by less than 5 points at either.

    A batch of all images that batches are drawn from is one and the same in every draw, and redrawn it is that again: the
    largest batch that counts is a smaller one. Intervals are over the images and over the draws.
    """
    for network, rows in run.by_network():
        rows = lab.rows_of(rows, kind="fixed batch")
        pool = for_network(run.provenance.get("params", {}).get("n_fit", math.inf), network)
        draws, sizes = (sorted(set(rows[column].astype(int))) for column in ("draw", "batch_size"))
        sizes = [b for b in sizes if b < pool]
        if not sizes:
            continue
        largest, small = sizes[-1], next((b for b in sizes if b >= 16), sizes[0])
        fixed = {b: [run.flags("fooled", network, b, "fixed", k) for k in draws] for b in (small, largest)}
        if small < largest:
            gain = lab.paired(fixed[largest], fixed[small])
            yield claim("flat_in_batch_size", f"{network} ({largest} against {small})", gain, "<", 0.05)
        for b in fixed:
            change = lab.paired(run.flags("fooled", network, b, "redrawn", 0), fixed[b])
            yield claim("redrawing_hardly_matters", f"{network} (b = {b})", change, "<", 0.05)
            yield claim("redrawing_hardly_matters", f"{network} (b = {b})", change, ">", -0.05)


def against_patterns(run: Run, patterns: Run | None) -> pd.DataFrame:
    """The mean of each kind and size of batch beside the strongest pattern, see :func:`uapkit.lab.beside.compared`."""
    rated = []
    for (network, kind, size), _ in run.measured.groupby(["model", "kind", "batch_size"], sort=False):
        draws = run.all_flags("fooled", network, int(size), str(kind).split()[0])
        rated.append(({"model": network, "kind": kind, "batch_size": int(size)}, np.stack(draws)))
    return beside.against_patterns(run, patterns, rated)


def figure(run: Run, patterns: Run | None = None) -> Figure:
    """Fooling rate against the number of images, batches fixed and redrawn, a panel a network, beside both nulls.

    patterns: a run of ``ext_patterns``, whose strongest pattern stands beside those of the same networks and images.
    """
    return curves(run, "batch_size", beside=beside.strongest_patterns(run, patterns))
