"""Paper K's sweeps at one layer: fooling rate against q, against p, and against the number of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit.experiments.common import Bench, paired
from uapkit.experiments.khrulkov2018_shared import Layer, Study, joined
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import PerNetwork, for_network, sweep
from uapkit.operators import JacobianOperator
from uapkit.seeds import child_seed, generator


def fig_q_sweep(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    qs: Sequence[float] = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, math.inf),
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    eps: float = 0.2,
    max_iter: int = 15,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Fooling rate against q, the figure of [khrulkov2018], at one layer of each network.

    One row a (model, q) of kind "singular vector": layer, singular_value, held_in_rate, fooling_rate (low, high, n).
    Nulls: kind "random signs", one row a draw, and kind "untrained network" (at q = 10). layer: None takes the best at
    q = 10 on held-in images. All q of a network share one linearisation; a finished q is not computed again.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, 10.0, eps, max_iter, seed, layer, n_random=n_random)
    over = ("models", "layer", "qs")

    def attack(model: str, layer: str, q: float) -> tuple[list[dict], dict]:
        pair = study.vector(model, layer, q=q)
        score, _, flags = study.scored(model, study.scaled(model, pair.v))
        row = {"kind": "singular vector", "singular_value": pair.value, "converged": pair.converged, **score}
        return [row], {f"fooled/{model}/{q:g}": flags.cpu().numpy()}

    parts = []
    for spec in bench.specs(models):
        chosen = study.choose(spec, over)
        points = [{"model": spec, "layer": chosen, "q": q} for q in qs]
        parts += [sweep(points, attack, over=over, desc=f"{spec}: q"), study.nulls(spec, chosen, over)]
    return joined(bench, parts)


@evidence
def fig_q_sweep_evidence(table: pd.DataFrame) -> list[dict]:
    """The q chosen on held-in images against q = 1, and the best inner q against the largest; paired, scored images."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        rows = rows[rows["kind"] == "singular vector"].sort_values("q")
        rates = dict(zip(rows["q"], rows["held_in_rate"], strict=True))
        flags = {q: arrays[f"fooled/{model}/{q:g}"] for q in rates}
        larger, inner = [q for q in rates if q > 1], [q for q in rates if 1 < q < max(rates)]
        if 1 in rates and larger:
            best = max(larger, key=lambda q: rates[q])
            found.append(claim("rises_with_q", f"{model} (q = {best:g})", paired(flags[best], flags[1]), ">", 0.0))
        if inner:
            best = max(inner, key=lambda q: rates[q])
            difference = paired(flags[best], flags[max(rates)])
            found.append(claim("maximum_at_inner_q", f"{model} (q = {best:g})", difference, ">", 0.0))
    return found


def ext_p_sweep(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    ps: Sequence[float] = (1.5, 2.0, 3.0, 5.0, 10.0, math.inf),
    norms: Sequence[float] = (math.inf, 2.0),
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Fooling rate against p, which [khrulkov2018] fixes at infinity; ours.

    One row a (model, p, norm) of kind "singular vector": the (p, q)-singular vector at one layer, scaled to the same
    ``norm``: the largest pixel is eps (norm inf), or the length is that of signs times eps, eps sqrt(d) (norm 2).
    peak: the largest pixel. Nulls of the same two sizes: "random signs" (equal in both norms), "untrained network"
    (p = inf, likewise). Vectors of norm 2 as ``v/<model>/p = <p>`` in ``attrs["arrays"]``.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, math.inf, q, eps, max_iter, seed, layer, n_random=n_random)
    over = ("models", "layer", "ps")

    def attack(model: str, layer: str, p: float) -> tuple[list[dict], dict]:
        pair = study.vector(model, layer, p=p)
        rows: list[dict] = []
        arrays: dict[str, np.ndarray] = {}
        for norm in norms:
            size = eps if norm == math.inf else eps * pair.v.numel() ** (1 / norm)
            score, v, flags = study.scored(model, study.scaled(model, pair.v, eps=size, norm=norm))
            row = {"kind": "singular vector", "norm": norm, "singular_value": pair.value, "converged": pair.converged}
            rows.append(row | {"peak": float(v.abs().max()), **score})
            arrays |= {f"fooled/{model}/{p:g}/{norm:g}": flags.cpu().numpy()}
            arrays |= {f"v/{model}/p = {p:g}": v.cpu().numpy()} if norm == 2 else {}
        return rows, arrays

    parts = []
    for spec in bench.specs(models):
        chosen = study.choose(spec, over)
        points = [{"model": spec, "layer": chosen, "p": p} for p in ps]
        parts += [sweep(points, attack, over=over, desc=f"{spec}: p"), study.nulls(spec, chosen, over)]
    return joined(bench, parts)


@evidence
def ext_p_sweep_evidence(table: pd.DataFrame) -> list[dict]:
    """P = inf against the best other p on held-in images, at an equal largest pixel."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        rows = rows[(rows["kind"] == "singular vector") & (rows["norm"] == math.inf)]
        rates = dict(zip(rows["p"], rows["held_in_rate"], strict=True))
        others = [p for p in rates if p < math.inf]
        if math.inf in rates and others:
            best = max(others, key=lambda p: rates[p])
            flags = [arrays[f"fooled/{model}/{p:g}/inf"] for p in (math.inf, best)]
            found.append(claim("p_inf_is_best", f"{model} (p = {best:g})", paired(*flags), ">", 0.0))
    return found


def fig_batch_size(
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
    over = ("models", "layer", "batch_sizes", "n_draws")
    tables = []
    for wanted in models:
        named = getattr(wanted, "name", wanted)
        source, fit, select, score = (for_network(value, named) for value in (data, n_fit, n_select, n_eval))
        bench = Bench(source, fit, select, score, seed, device)
        study = Study(bench, p, q, eps, max_iter, seed, layer, n_random=n_random)
        tables.append(_batches(study, bench.specs([wanted])[0], batch_sizes, n_draws, over))
    table = pd.concat(tables, ignore_index=True)
    table.attrs["arrays"] = {k: v for part in tables for k, v in part.attrs["arrays"].items()}
    return table


def _batches(study: Study, spec: str, batch_sizes: Sequence[int], n_draws: int, over: Sequence[str]) -> pd.DataFrame:
    """The rows of one network of :func:`fig_batch_size`."""
    bench, n_fit = study.bench, study.bench.n_fit
    sizes = [b for b in batch_sizes if b <= n_fit]
    if not sizes:
        raise ValueError(f"batch_sizes must hold a size in [1, {n_fit}], the images to fit on, got {list(batch_sizes)}")

    def operator(model: str, layer: str, b: int, name: str) -> JacobianOperator:
        net = bench.model(model)
        chosen = torch.randperm(n_fit, generator=generator(study.seed, name))[:b]
        return JacobianOperator(net.until(layer), bench.images(net)[0].x[chosen])

    def fixed(model: str, layer: str, batch_size: int, draw: int) -> tuple[list[dict], dict]:
        pair = study.pair(operator(model, layer, batch_size, f"batch {draw}"))
        score, _, flags = study.scored(model, study.scaled(model, pair.v))
        row = {"kind": "fixed batch", "singular_value": pair.value, **score}
        return [row], {f"fooled/{model}/{batch_size}/fixed/{draw}": flags.cpu().numpy()}

    def redrawn(model: str, layer: str, batch_size: int, draw: int) -> tuple[list[dict], dict]:
        v: Tensor | None = None
        for k in range(study.max_iter):
            op = operator(model, layer, batch_size, f"batch {draw} at iteration {k}")
            v = study.pair(op, v0=v, seed=child_seed(study.seed, f"start {draw}"), max_iter=1).v
        assert v is not None
        score, _, flags = study.scored(model, study.scaled(model, v))
        row = {"kind": "redrawn each iteration", **score}
        return [row], {f"fooled/{model}/{batch_size}/redrawn/{draw}": flags.cpu().numpy()}

    at = {"model": spec, "layer": study.choose(spec, over)}
    points = [at | {"batch_size": b, "draw": k} for b in sizes for k in range(n_draws)]
    parts = [sweep(points, fixed, over=over, per_network=True, desc=f"{spec}: batches")]
    points = [point for point in points if point["draw"] == 0]
    parts.append(sweep(points, redrawn, over=over, per_network=True, desc=f"{spec}: batches redrawn"))
    parts.append(study.nulls(spec, at["layer"], over))
    return joined(bench, parts)


@evidence
def fig_batch_size_evidence(table: pd.DataFrame) -> list[dict]:
    """The largest batch gains less than 5 points over b = 16; redrawing moves the rate by less than 5 points."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        rows = rows[rows["kind"] == "fixed batch"]
        draws, largest = sorted(set(rows["draw"].astype(int))), int(rows["batch_size"].max())
        sizes = sorted(set(rows["batch_size"].astype(int)))
        small = next((b for b in sizes if b >= 16), sizes[0])

        def mean(b: int, model: str = model, draws: Sequence[int] = draws) -> Tensor:
            flags = [torch.as_tensor(arrays[f"fooled/{model}/{b}/fixed/{k}"]).double() for k in draws]
            return torch.stack(flags).mean(0)

        if small < largest:
            gain = paired(mean(largest), mean(small))
            found.append(claim("flat_in_batch_size", f"{model} ({largest} against {small})", gain, "<", 0.05))
        change = paired(arrays[f"fooled/{model}/{largest}/redrawn/0"], mean(largest))
        for sense, bound in (("<", 0.05), (">", -0.05)):
            found.append(claim("redrawing_hardly_matters", f"{model} (b = {largest})", change, sense, bound))
    return found
