"""Paper K across networks and methods: Table 4, UAP for equal numbers of images, and plain gradient ascent."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import attacks
from uapkit.experiments.common import Bench, paired, rate
from uapkit.experiments.khrulkov2018_shared import Layer, Study, joined
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import sweep
from uapkit.norms import lp_norm, psi
from uapkit.operators import JacobianOperator
from uapkit.seeds import generator


def tab4_transfer(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits", "mlp_digits"),
    layer: Layer = None,
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 4 of [khrulkov2018]: each network attacked by the perturbations built on all of them.

    One row a (model, built_on): ``model`` is the network attacked (a row of the paper's table), ``built_on`` the one that
    the perturbation was built on (a column), at the layer built_at: ``layer``, or the best there on held-in images. The
    sign, too, is chosen there. fooling_rate (low, high, n) on scored images, held_in_rate on held-in ones. Nulls:
    built_on "random signs", one row a draw, and "untrained <network>". Raises ValueError for networks that take images
    of different sizes.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed, layer, n_random=n_random)
    over = ("models", "layer")

    def build(model: str, layer: str) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        for name, fresh in ((model, False), (f"untrained {model}", True)):
            pair = study.vector(model, layer, untrained=fresh)
            score, v, _ = study.scored(model, study.scaled(model, pair.v))
            rows.append({"built_on": name, "singular_value": pair.value, **score})
            arrays[f"v/{name}"] = v.cpu().numpy()
        return rows, arrays

    specs = bench.specs(models)
    built = [
        sweep([{"model": s, "layer": study.choose(s, over)}], build, over=over, desc=f"{s}: vector") for s in specs
    ]
    vectors = {k[2:]: torch.from_numpy(v) for part in built for k, v in part.attrs["arrays"].items()}
    layers = {s: part["layer"].iloc[0] for s, part in zip(specs, built, strict=True)}
    if len({tuple(v.shape) for v in vectors.values()}) > 1:
        shapes = {name: tuple(v.shape) for name, v in vectors.items()}
        raise ValueError(f"a perturbation only fits networks of its own size, got {shapes}; run them apart")

    def attacked(model: str, sources: str) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        for name, v in vectors.items():
            v, kind = v.to(device), "untrained network" if name.startswith("untrained ") else "singular vector"
            held_in, flags = bench.fooled(model, v, "held-in").float().mean(), bench.fooled(model, v)
            row = {"built_on": name, "kind": kind, "built_at": layers[name.removeprefix("untrained ")]}
            rows.append(row | {"held_in_rate": float(held_in), **rate(flags)})
            arrays[f"fooled/{model}/{name}"] = flags.cpu().numpy()
        for k in range(n_random):
            flags = bench.fooled(model, study.random(model, k))
            rows.append({"built_on": "random signs", "kind": "random signs", "draw": k, **rate(flags)})
            arrays[f"fooled/{model}/random signs/{k}"] = flags.cpu().numpy()
        return rows, arrays

    points = [{"model": s, "sources": ", ".join(f"{k} at {v}" for k, v in layers.items())} for s in specs]
    table = joined(bench, [sweep([point], attacked, over=over, desc=f"{point['model']} attacked") for point in points])
    table.attrs["arrays"] |= {f"v/{name}": v.numpy() for name, v in vectors.items()}
    return table.drop(columns="sources")


@evidence
def tab4_transfer_evidence(table: pd.DataFrame) -> list[dict]:
    """Foreign vectors against random signs on each network; the most promising foreign one against the network's own."""
    found, arrays, best = [], table.attrs["arrays"], None
    for model, rows in by_network(table):
        foreign = rows[(rows["kind"] == "singular vector") & (rows["built_on"] != model)].set_index("built_on")
        own = rows[rows["built_on"] == model]
        if not len(foreign):
            continue
        random = np.mean([v for k, v in arrays.items() if k.startswith(f"fooled/{model}/random signs/")], axis=0)
        mean = np.mean([arrays[f"fooled/{model}/{s}"] for s in foreign.index], axis=0)
        fresh = np.mean([v for k, v in arrays.items() if k.startswith(f"fooled/{model}/untrained ")], axis=0)
        null = paired(fresh, random)
        nulls = {"null": null["estimate"], "null_low": null["low"], "null_high": null["high"]}
        found.append(claim("transfers", f"{model}, over random signs", paired(mean, random), ">", 0.0, **nulls))
        source = foreign["held_in_rate"].idxmax()
        lead = float(foreign.loc[source, "held_in_rate"]) - float(own["held_in_rate"].iloc[0])
        if best is None or lead > best[0]:
            best = (
                lead,
                f"{source} on {model}",
                paired(arrays[f"fooled/{model}/{source}"], arrays[f"fooled/{model}/{model}"]),
            )
    if best:
        found.append(claim("foreign_can_beat_own", best[1], best[2], ">", 0.0))
    return found


def fig_against_uap(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    layer: Layer = None,
    n_images: Sequence[int] = (8, 16, 32),
    data: str = "digits",
    n_fit: int = 32,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    target_rate: float = 0.8,
    max_passes: int = 3,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The comparison of [khrulkov2018] with UAP ([moosavi2017], Algorithm 1) for equal numbers of images.

    One row a (model, n_images, kind), kind "singular vector" or "UAP", both fitted on the first n_images of ``n_fit``:
    fooling_rate (low, high, n) on scored images, rate_on_fit, seconds of the method itself, on one clock. For UAP:
    end says why it stopped, passes how many were made. UAP has no free sign, so none is chosen. Nulls: "random signs",
    one row a draw, and "untrained network" (the singular vector of all n_fit).
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed, layer, n_random=n_random)
    over = ("models", "layer", "n_images")

    def singular(model: str, layer: str, n_images: int) -> tuple[list[dict], dict]:
        net = bench.model(model)
        fit = bench.images(net)[0].x[:n_images]
        started = time.perf_counter()
        pair = study.pair(JacobianOperator(net.until(layer), fit))
        seconds = time.perf_counter() - started
        score, v, flags = study.scored(model, study.scaled(model, pair.v))
        row = {"kind": "singular vector", "seconds": seconds, "rate_on_fit": _fit_rate(bench, model, v, n_images)}
        return [row | score], {f"fooled/{model}/{n_images}/singular vector": flags.cpu().numpy()}

    def moosavi(model: str, layer: str, n_images: int) -> tuple[list[dict], dict]:
        net = bench.model(model)
        fit = bench.images(net)[0].x[:n_images]
        started = time.perf_counter()
        made = attacks.uap(net, fit, eps=eps, target_rate=target_rate, max_passes=max_passes, seed=seed)
        seconds = time.perf_counter() - started
        flags = bench.fooled(model, made.v)
        row = {"kind": "UAP", "seconds": seconds, "rate_on_fit": _fit_rate(bench, model, made.v, n_images)}
        row |= {"end": made.made_by["end"], "passes": made.made_by["n_passes"], **rate(flags)}
        return [row], {f"fooled/{model}/{n_images}/UAP": flags.cpu().numpy()}

    parts = []
    for spec in bench.specs(models):
        chosen = study.choose(spec, over)
        points = [{"model": spec, "layer": chosen, "n_images": n} for n in n_images if n <= n_fit]
        parts.append(sweep(points, singular, over=over, desc=f"{spec}: singular vectors"))
        parts.append(sweep(points, moosavi, over=over, desc=f"{spec}: UAP"))
        parts.append(study.nulls(spec, chosen, over))
    return joined(bench, parts)


def _fit_rate(bench: Bench, spec: str, v: Tensor, n: int) -> float:
    return float(bench.fooled(spec, v, "fit")[:n].float().mean())


@evidence
def fig_against_uap_evidence(table: pd.DataFrame) -> list[dict]:
    """Singular vector minus UAP on the same scored images, at the smallest number of images."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        n = int(rows["n_images"].min())
        flags = [arrays[f"fooled/{model}/{n}/{kind}"] for kind in ("singular vector", "UAP")]
        found.append(claim("beats_uap_at_few_images", f"{model} ({n} images)", paired(*flags), ">", 0.0))
    return found


def ext_gradient_ascent(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    steps: Sequence[float] = (0.03, 0.1, 0.3, 1.0, 3.0),
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
    """The baseline that [khrulkov2018] lacks: plain projected gradient ascent on the same objective at equal cost; ours.

    One row a (model, kind, step): kind "power method" (p = inf; step NaN); "gradient ascent" on ||J v||_q over the cube
    |v| <= 1, one product with J and one with its transpose an iteration like the power method, steps of ``step`` times
    the gradient over its mean modulus; "gradient ascent, no linearisation" on ||f(x + eps v) - f(x)||_q itself, one
    forward and one backward pass an iteration (q above 20 counts as 20, which float32 can hold). value: ||J v||_q of
    the result (unit largest entry); fooling_rate (low, high, n); held_in_rate, which the claim's step is chosen by. All
    start at random signs. Nulls as elsewhere.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, math.inf, q, eps, max_iter, seed, layer, n_random=n_random)
    over = ("models", "layer", "steps")

    def row(model: str, layer: str, kind: str, v: Tensor, step: float) -> tuple[list[dict], dict]:
        value = float(lp_norm(study.operator(model, layer).matvec(v / v.abs().max()), q))
        score, _, flags = study.scored(model, study.scaled(model, v))
        return [{"kind": kind, "value": value, **score}], {f"fooled/{model}/{kind}/{step:g}": flags.cpu().numpy()}

    def power(model: str, layer: str) -> tuple[list[dict], dict]:
        return row(model, layer, "power method", study.vector(model, layer).v, math.nan)

    def start(d: int) -> Tensor:
        return torch.where(
            torch.rand(d, generator=generator(seed, "start_vector"), dtype=torch.float64) < 0.5, -1.0, 1.0
        )

    def ascent(model: str, layer: str, step: float) -> tuple[list[dict], dict]:
        op = study.operator(model, layer)
        v = start(op.shape[1]).to(op.device, op.torch_dtype)
        for _ in range(max_iter):
            g = op.rmatvec(psi(op.matvec(v), q, scaled=True))
            v = (v + step * g / g.abs().mean()).clamp(-1, 1)
        return row(model, layer, "gradient ascent", v, step)

    def true_change(model: str, layer: str, step: float) -> tuple[list[dict], dict]:
        net = bench.model(model)
        x, respond = bench.images(net)[0].x, net.until(layer)
        v = start(x[0].numel()).to(x)
        with torch.no_grad():
            clean = [respond(part) for part in x.split(16)]
            now = (respond(part + eps * v.view(x.shape[1:])) for part in x.split(16))
            scale = max(float((a - b).abs().max()) for a, b in zip(now, clean, strict=True))
        for _ in range(max_iter):
            w, g = v.clone().requires_grad_(), torch.zeros_like(v)
            for part, before in zip(x.split(16), clean, strict=True):
                with torch.enable_grad():
                    change = (respond(part + eps * w.view(x.shape[1:])) - before) / scale
                    g += torch.autograd.grad(change.abs().pow(min(q, 20)).sum(), w)[0]
            v = (v + step * g / g.abs().mean()).clamp(-1, 1)
        return row(model, layer, "gradient ascent, no linearisation", v, step)

    parts = []
    for spec in bench.specs(models):
        at = {"model": spec, "layer": study.choose(spec, over)}
        points = [at | {"step": step} for step in steps]
        parts.append(sweep([at], power, over=over, desc=f"{spec}: power method"))
        parts.append(sweep(points, ascent, over=over, desc=f"{spec}: gradient ascent"))
        parts.append(sweep(points, true_change, over=over, desc=f"{spec}: without linearisation"))
        parts.append(study.nulls(spec, at["layer"], over))
    return joined(bench, parts)


@evidence
def ext_gradient_ascent_evidence(table: pd.DataFrame) -> list[dict]:
    """Power method minus gradient ascent (its step chosen on held-in images), on the same scored images."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        own = arrays[f"fooled/{model}/power method/nan"]
        for kind in ("gradient ascent", "gradient ascent, no linearisation"):
            part = rows[rows["kind"] == kind]
            if len(part):
                step = part.loc[part["held_in_rate"].idxmax(), "step"]
                difference = paired(own, arrays[f"fooled/{model}/{kind}/{step:g}"])
                found.append(claim("power_method_beats_ascent", f"{model}: {kind}", difference, ">", 0.0))
    return found
