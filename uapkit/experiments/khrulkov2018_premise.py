"""Paper K's premises: the Jacobian predicts the change, the batch stands for the set, the cost is linear."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import linregress
from scipy.stats import t as student
from torch import Tensor

from uapkit import evaluate
from uapkit.experiments.common import Bench
from uapkit.experiments.khrulkov2018_shared import Layer, Study, depth, joined, layer_points
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import sweep
from uapkit.norms import dual_exponent, lp_norm, psi
from uapkit.operators import JacobianOperator
from uapkit.seeds import child_seed, generator


def ext_linearity(
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
    bench = Bench(data, n_fit, 0, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed)

    def changes(model: str, layer: str) -> list[dict]:
        net = bench.model(model)
        x, respond = bench.images(net)[2].x, net.until(layer)
        own, fresh = (study.vector(model, layer, untrained=k).v for k in (False, True))
        named = {"singular vector": study.scaled(model, own), "random signs": study.random(model)}
        named["untrained network"] = study.scaled(model, fresh)
        rows = []
        op = JacobianOperator(respond, x)
        for direction, v in named.items():
            compared = _compared(respond, x, v, op.matvec(v).view(len(x), -1), scales, q)
            for scale, numbers in zip(scales, compared, strict=True):
                numbers = numbers[torch.isfinite(numbers).all(1)]
                row = {"direction": direction, "scale": scale, "eps": scale * eps, "n": len(numbers)}
                row |= {"depth": depth(net, layer)}
                if len(numbers):
                    mean = evaluate.mean_interval(numbers[:, 1])
                    row |= {"ratio": float(numbers[:, 0].mean()), "error": mean.value, "low": mean.low}
                    row |= {"high": mean.high, "cosine": float(numbers[:, 2].mean())}
                rows.append(row)
        return rows

    parts = []
    for spec in bench.specs(models):
        points = study.together(layer_points(bench, spec, layers, count=4))
        parts.append(sweep(points, changes, over=("models", "layers"), desc=f"{spec}: layers"))
    return joined(bench, parts)


@torch.no_grad()
def _compared(respond: Any, x: Tensor, v: Tensor, linear: Tensor, scales: Sequence[float], q: float) -> Tensor:
    """(scales, images, 3) of the layer's true change under scale * v against scale * linear, a few images at a time.

    The three: ratio of the q-norms, relative error in norm 2, cosine. linear: (images, outputs), J v.
    """
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


@evidence
def ext_linearity_evidence(table: pd.DataFrame) -> list[dict]:
    """At eps: the part of the change that the Jacobian misses is below half of what it predicts; one row a layer."""
    return [
        claim("jacobian_predicts_change", f"{model} {r['layer']}", {"estimate": r["error"], **r}, "<", 0.5)
        for model, rows in by_network(table)
        for r in rows[(rows["scale"] == 1) & (rows["direction"] == "singular vector")].to_dict("records")
    ]


def ext_batch_against_all(
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
    see :func:`top_image`, of a batch on the batch itself, of all other vectors on the images outside. kind
    "batch", or the nulls "random signs" and "untrained network"; kind "another start": the cosine and share of a second
    local maximum of the outside images themselves, the yardstick for the cosine. A batch is drawn from ``n_fit`` images.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed, layer)
    over = ("models", "layer", "batch_sizes")
    outside: dict[tuple[str, str], tuple[JacobianOperator, list[Tensor], float]] = {}

    def whole(model: str, layer: str) -> tuple[JacobianOperator, list[Tensor], float]:
        """Operator of the outside images, their singular vectors from several starts, best first, and the best value."""
        if (model, layer) not in outside:
            outside.clear()
            net = bench.model(model)
            op = JacobianOperator(net.until(layer), bench.images(net)[2].x)
            pairs = [study.pair(op, seed=child_seed(seed, f"start {k}")) for k in range(max(2, n_draws))]
            pairs.sort(key=lambda pair: -pair.value)
            outside[model, layer] = op, [pair.v for pair in pairs], pairs[0].value
        return outside[model, layer]

    def about(model: str, layer: str, kind: str, draw: int, v: Tensor) -> dict[str, Any]:
        op, vectors, value = whole(model, layer)
        cosine = float((v @ vectors[0]) / (v.norm() * vectors[0].norm()))
        change = op.matvec(v / lp_norm(v, p))
        found = {"share": float(lp_norm(change, q)) / value, "cosine": abs(cosine)}
        return {"kind": kind, "draw": draw, **found, "n": n_eval, "top_image": top_image(change, n_eval, q)}

    def batches(model: str, layer: str, batch_size: int) -> list[dict]:
        net, rows = bench.model(model), []
        fit = bench.images(net)[0].x
        for k in range(n_draws):
            chosen = torch.randperm(n_fit, generator=generator(seed, f"batch {k}"))[:batch_size]
            op = JacobianOperator(net.until(layer), fit[chosen])
            pair = study.pair(op, seed=child_seed(seed, f"start {k}"))
            per_image = (n_eval / batch_size) ** (1 / q) * pair.value / whole(model, layer)[2]
            own = {"own_share": per_image, "top_image": top_image(op.matvec(pair.v), batch_size, q)}
            rows.append(about(model, layer, "batch", k, pair.v) | own)
        return rows

    def nulls(model: str, layer: str) -> list[dict]:
        rows = [about(model, layer, "another start", k, v) for k, v in enumerate(whole(model, layer)[1][1:])]
        rows += [
            about(model, layer, "random signs", k, study.random(model, k).flatten()) for k in range(max(2, n_draws))
        ]
        fresh = study.vector(model, layer, untrained=True).v
        return [*rows, about(model, layer, "untrained network", 0, fresh)]

    parts = []
    for spec in bench.specs(models):
        at = {"model": spec, "layer": study.choose(spec, over)}
        points = [at | {"batch_size": b} for b in batch_sizes if b <= n_fit]
        parts.append(sweep(points, batches, over=over, desc=f"{spec}: batches"))
        parts.append(sweep([at], nulls, over=over, desc=f"{spec}: nulls"))
    return joined(bench, parts)


def top_image(change: Tensor, n: int, q: float) -> float:
    """Share of ||J v||_q^q, ``change`` being J v (n*m,), that the one image with the most of it holds; 1/n if all are alike.

    A large q counts the largest entries only, so one image with a steep Jacobian can hold the value of a whole batch.
    """
    images = (change.double().abs() / change.abs().max()).view(n, -1).pow(q).sum(1)
    return float(images.max() / images.sum())


@evidence
def ext_batch_against_all_evidence(table: pd.DataFrame) -> list[dict]:
    """The largest batch's vector has more than 0.9 of the value that images outside the batch can have at all."""
    found = []
    for model, rows in by_network(table):
        batch = rows[rows["kind"] == "batch"]
        b = int(batch["batch_size"].max())
        mean = evaluate.mean_interval(list(batch.loc[batch["batch_size"] == b, "share"]))
        null = evaluate.mean_interval(list(rows.loc[rows["kind"] == "random signs", "share"]))
        cells = {"estimate": mean.value, "low": mean.low, "high": mean.high, "n": mean.n}
        nulls = {"null": null.value, "null_low": null.low, "null_high": null.high}
        found.append(claim("batch_stands_for_the_set", f"{model} (b = {b})", cells, ">", 0.9, **nulls))
    return found


def sec_cost(
    *,
    models: Sequence[Any] = ("vgg_digits",),
    layer: Layer = None,
    batch_sizes: Sequence[int] = (16, 32, 64, 128),
    iterations: Sequence[int] = (2, 4, 8, 16),
    n_repeat: int = 3,
    data: str = "digits",
    n_fit: int = 128,
    n_select: int = 64,
    p: float = math.inf,
    q: float = 10.0,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Running time of the power method of [khrulkov2018]: seconds against batch size and number of iterations.

    One row a (model, varied, batch_size, iterations): varied "batch_size" (at the most iterations) or "iterations" (at
    the largest batch); record_seconds for the linearisation, made once; seconds for the iterations, the fastest of
    ``n_repeat``; per_iteration_and_image. forward_seconds: one pass of the same images through the same layers, the
    yardstick that makes machines comparable. layer: None takes the best on held-in images.
    """
    bench = Bench(data, n_fit, n_select, 1, seed, device)
    study = Study(bench, p, q, 0.2, max(iterations), seed, layer)
    over = ("models", "layer", "batch_sizes", "iterations")

    def clock(work: Any) -> float:
        wait = torch.cuda.synchronize if str(device).startswith("cuda") else lambda: None
        times = []
        for _ in range(n_repeat):
            wait()
            started = time.perf_counter()
            work()
            wait()
            times.append(time.perf_counter() - started)
        return min(times)

    def timed(model: str, layer: str, varied: str, batch_size: int, iterations: int) -> list[dict]:
        net = bench.model(model)
        x, respond = bench.images(net)[0].x[:batch_size], net.until(layer)
        started = time.perf_counter()
        op = JacobianOperator(respond, x)
        row = {"record_seconds": time.perf_counter() - started}
        starts = (torch.rand(op.shape[1], generator=generator(seed, "start_vector")) - 0.5).to(x)

        def iterate() -> None:
            v = starts
            for _ in range(iterations):  # by hand: no stopping rule, exactly this many iterations are on the clock
                g = op.rmatvec(psi(op.matvec(v), q, scaled=True))
                v = psi(g, dual_exponent(p), scaled=True)

        row["seconds"] = clock(iterate)
        with torch.no_grad():
            row["forward_seconds"] = clock(lambda: respond(x))
        return [row | {"per_iteration_and_image": row["seconds"] / (iterations * batch_size), "n": n_repeat}]

    parts = []
    for spec in bench.specs(models):
        at = {"model": spec, "layer": study.choose(spec, over)}
        sizes = [b for b in batch_sizes if b <= n_fit]
        points = [at | {"varied": "batch_size", "batch_size": b, "iterations": max(iterations)} for b in sizes]
        points += [at | {"varied": "iterations", "batch_size": max(sizes), "iterations": k} for k in iterations]
        parts.append(sweep(points, timed, over=over, desc=f"{spec}: seconds"))
    return joined(bench, parts)


@evidence
def sec_cost_evidence(table: pd.DataFrame) -> list[dict]:
    """Slope of log seconds over log size, 1 if linear, with its 95 % interval: it lies between 0.75 and 1.25."""
    found = []
    for model, rows in by_network(table):
        for varied in ("batch_size", "iterations"):
            part = rows[rows["varied"] == varied]
            if len(part) < 3:
                continue
            fit = linregress(np.log(part[varied].astype(float)), np.log(part["seconds"]))
            half = float(student.ppf(0.975, len(part) - 2) * fit.stderr)
            cells = {"estimate": float(fit.slope), "low": fit.slope - half, "high": fit.slope + half, "n": len(part)}
            for sense, bound in ((">", 0.75), ("<", 1.25)):
                found.append(claim("linear_in_batch_and_iterations", f"{model}: {varied}", cells, sense, bound))
    return found
