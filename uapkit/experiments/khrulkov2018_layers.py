"""Paper K's layers: Tables 1 to 3, the singular value of every layer, and how fast the power method gets there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from uapkit import evaluate
from uapkit.checks import NotHere
from uapkit.experiments.common import Bench, paired, rank_correlation, rate
from uapkit.experiments.khrulkov2018_shared import Study, best_sign, depth, joined, layer_points
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import sweep
from uapkit.seeds import child_seed

FEW = 5  # iterations that are called few


def tab1_layers(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    n_random: int = 5,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Tables 1 to 3 of [khrulkov2018]: singular value and fooling rate per layer.

    One row a (model, layer, kind): kind "singular vector" is the attack; "random signs" its null at equal norm (one
    row a draw); "untrained network" the same attack computed on an untrained copy at the layer that is best on the
    held-in images, scored on the trained network. fooling_rate, low, high in [0, 1] on ``n`` images that were neither
    fitted nor chosen on; held_in_rate on the held-in ones; depth from 0 (input) to 1 (logits).
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed)

    def attack(model: str, layer: str) -> tuple[list[dict], dict]:
        pair = study.vector(model, layer)
        v, held_in = best_sign(bench, model, study.scaled(model, pair.v))
        fooled = bench.fooled(model, v)
        row = {"kind": "singular vector", "singular_value": pair.value, "depth": depth(bench.model(model), layer)}
        row |= {"data": data, "n_fit": n_fit, "held_in_rate": held_in, **rate(fooled)}
        name = f"{model}/{layer}"
        return [row], {f"v/{name}": v.cpu().numpy(), f"fooled/{name}": fooled.cpu().numpy()}

    def random_signs(model: str) -> list[dict]:
        net = bench.model(model)
        shape = bench.images(net)[2].x.shape[1:]
        draws = [
            evaluate.random_perturbation(shape, eps=eps, norm=p, seed=child_seed(seed, f"random signs {k}")).to(device)
            for k in range(n_random)
        ]
        return [
            {"kind": "random signs", "data": data, "draw": k, **rate(bench.fooled(model, v))}
            for k, v in enumerate(draws)
        ]

    def untrained(model: str, layer: str) -> list[dict]:
        pair = study.vector(model, layer, untrained=True)
        v, held_in = best_sign(bench, model, study.scaled(model, pair.v))
        row = {"kind": "untrained network", "singular_value": pair.value, "data": data, "n_fit": n_fit}
        return [row | {"held_in_rate": held_in, **rate(bench.fooled(model, v))}]

    over = ("models", "layers", "n_random")
    parts = []
    for spec in bench.specs(models):
        points = study.together(layer_points(bench, spec, layers, count=5))
        parts.append(sweep(points, attack, over=over, desc=f"{spec}: layers"))
        if (parts[-1]["status"] == "run").any():
            best = parts[-1].loc[parts[-1]["held_in_rate"].idxmax(), "layer"]
            parts.append(
                sweep([{"model": spec}], random_signs, over=("models", "layers"), desc=f"{spec}: random signs")
            )
            parts.append(sweep([{"model": spec, "layer": best}], untrained, over=over, desc=f"{spec}: untrained copy"))
    table = pd.concat(parts, ignore_index=True)
    table.insert(1, "weights", [bench.weights(m) for m in table["model"]])
    table.attrs["arrays"] = {k: v for part in parts for k, v in part.attrs["arrays"].items()}
    return table


def tab1_layers_evidence(table: pd.DataFrame) -> pd.DataFrame:
    """Evidence for the claims of Tables 1 to 3; the layer called best is the best on the held-in images."""
    arrays, found, summary = table.attrs["arrays"], [], []
    for model, rows in table[table["status"] == "run"].groupby("model", sort=False):
        layers, null = rows[rows["kind"] == "singular vector"], rows[rows["kind"] == "random signs"]
        fooled = {layer: arrays[f"fooled/{model}/{layer}"] for layer in layers["layer"]}
        best = layers.loc[layers["held_in_rate"].idxmax()]
        found.append(
            {
                "claim": "64_images_fool_40_percent",
                "network": model,
                "estimate": best["fooling_rate"],
                "low": best["low"],
            }
            | {"high": best["high"], "sense": ">", "bound": 0.40, "null": null["fooling_rate"].mean()}
            | {"null_low": null["low"].min(), "null_high": null["high"].max(), "n": best["n"]}
        )
        early, late = (
            layers[layers["depth"] <= layers["depth"].median()],
            layers[layers["depth"] > layers["depth"].median()],
        )
        if len(early) and len(late):
            pick = [part.loc[part["held_in_rate"].idxmax(), "layer"] for part in (early, late)]
            difference = paired(fooled[pick[0]], fooled[pick[1]])
            found.append({"claim": "early_layers_best", "network": model, **difference, "sense": ">", "bound": 0.0})
        largest = layers.loc[layers["singular_value"].idxmax(), "layer"]
        difference = paired(fooled[best["layer"]], fooled[largest])
        found.append(
            {"claim": "value_does_not_order_layers", "network": model, **difference, "sense": ">", "bound": 0.0}
        )
        summary.append((layers["singular_value"].max(), best["fooling_rate"]))
    if summary:
        rho = rank_correlation(*zip(*summary, strict=True))
        found.append(
            {"claim": "value_orders_networks", "network": f"{len(summary)} networks", **rho, "sense": ">", "bound": 0.0}
        )
    return pd.DataFrame(found)


def fig_singular_values(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    data: str = "digits",
    n_fit: int = 16,
    p: float = math.inf,
    q: float = 10.0,
    max_iter: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The figure of singular values of [khrulkov2018]: one for every convolution, activation and pooling output.

    One row a (model, layer): place (from 0), depth from 0 to 1, layer_kind, singular_value of the stacked Jacobian in
    pixels of [0, 1], per_grey_level the same for pixels from 0 to 255 as in the paper (1/255 of it). Nulls: the value
    of the random signs that the iteration starts from (random_value), and untrained_value, that of a copy with fresh
    weights. layers: a list, a mapping by network, or None for all.
    """
    bench = Bench(data, n_fit, 0, 1, seed, device)
    study = Study(bench, p, q, max_iter=max_iter, seed=seed)

    def value(model: str, layer: str) -> list[dict]:
        net = bench.model(model)
        kinds = {name: kind for kind in ("conv", "activation", "pool") for name in net.layers(kind=kind)}
        pair = study.vector(model, layer)
        null = study.vector(model, layer, untrained=True)
        trace = (pair.start_value, *pair.history)
        row = {"place": net.layers().index(layer), "depth": depth(net, layer), "layer_kind": kinds.get(layer, "other")}
        row |= {"singular_value": pair.value, "per_grey_level": pair.value / 255, "random_value": pair.start_value}
        return [row | {"untrained_value": null.value, "growth": trace[-1] / trace[-2] - 1, "n": n_fit}]

    parts = []
    for spec in bench.specs(models):
        points = study.together(layer_points(bench, spec, layers or _all_outputs(bench, spec), count=1))
        parts.append(sweep(points, value, over=("models", "layers"), desc=f"{spec}: layers"))
    return joined(bench, parts)


def _all_outputs(bench: Bench, spec: str) -> list[str] | None:
    try:
        return bench.model(spec).layers(kind=("conv", "activation", "pool"))
    except NotHere:
        return None


@evidence
def fig_singular_values_evidence(table: pd.DataFrame) -> list[dict]:
    """ResNets against VGGs, and VGG-19 against VGG-16, by the typical (median) layer; bootstrap over the layers."""
    values = {model: np.log(rows["singular_value"].to_numpy(float)) for model, rows in by_network(table)}

    def ratio(over: str, under: str) -> dict:
        draws = np.random.default_rng(0)
        boot = [
            np.median(draws.choice(values[over], len(values[over])))
            - np.median(draws.choice(values[under], len(values[under])))
            for _ in range(2000)
        ]
        low, high = np.exp(np.percentile(boot, [2.5, 97.5]))
        estimate = float(np.exp(np.median(values[over]) - np.median(values[under])))
        return {"estimate": estimate, "low": float(low), "high": float(high)}

    found = []
    for model in values:
        for other in values:
            if model.startswith("resnet") and other.startswith("vgg") and "digits" not in other:
                found.append(claim("resnet_far_smaller", f"{model} / {other}", ratio(model, other), "<", 0.5))
            if model.startswith("vgg19") and other.startswith("vgg16"):
                found.append(claim("vgg19_above_vgg16", f"{model} / {other}", ratio(model, other), ">", 1.0))
    return found


def fig_convergence(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 5.0,
    eps: float = 0.2,
    max_iter: int = 15,
    n_seeds: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Convergence of the power method of [khrulkov2018]: the singular value over the iterations, from several starts.

    One row a (model, layer, kind, start, iteration): singular_value, share of that start's last value; iteration 0 is
    the random start itself. kind "trained", or "untrained network" for a copy with fresh weights. For the trained
    network's iterations 5 and last: fooling_rate, low, high of the vector as it is then. cosine: with the first start's
    last vector, at the last iteration. q = 5 and 15 iterations are those of the paper's released example.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed)
    few = min(FEW, max_iter)

    def starts(model: str, layer: str) -> tuple[list[dict], dict]:
        rows, arrays, first = [], {}, None
        for k in range(n_seeds):
            early: dict[int, Tensor] = {}
            op = study.operator(model, layer)
            pair = study.pair(
                op, seed=child_seed(seed, f"start {k}"), callback=lambda i, v, _, at=early: at.update({i: v})
            )
            first = pair.v if first is None else first
            trace = (pair.start_value, *pair.history)
            lines = [
                {"kind": "trained", "start": k, "iteration": i, "singular_value": s, "share": s / trace[-1]}
                for i, s in enumerate(trace)
            ]
            for i in sorted({min(few, pair.n_iter), pair.n_iter}):
                score, _, flags = study.scored(model, study.scaled(model, early[i]))
                lines[i] |= score
                arrays[f"fooled/{model}/{layer}/{k}/{'few' if i < pair.n_iter else 'last'}"] = flags.cpu().numpy()
            lines[-1]["cosine"] = float((pair.v @ first) / (pair.v.norm() * first.norm()))
            rows += lines
        null = study.vector(model, layer, untrained=True)
        trace = (null.start_value, *null.history)
        rows += [
            {"kind": "untrained network", "start": 0, "iteration": i, "singular_value": s, "share": s / trace[-1]}
            for i, s in enumerate(trace)
        ]
        return rows, arrays

    parts = []
    for spec in bench.specs(models):
        points = study.together(layer_points(bench, spec, layers, count=2))
        parts.append(sweep(points, starts, over=("models", "layers"), desc=f"{spec}: starts"))
    return joined(bench, parts)


@evidence
def fig_convergence_evidence(table: pd.DataFrame) -> list[dict]:
    """After 5 iterations: the share of the last value (mean over layers and starts), against that of the random start."""
    found = []
    for model, rows in by_network(table):
        rows = rows[rows["kind"] == "trained"]
        few, start = (rows[rows["iteration"] <= i].groupby(["layer", "start"])["share"].last() for i in (FEW, 0))
        if len(few):
            mean, null = evaluate.mean_interval(list(few)), evaluate.mean_interval(list(start))
            cells = {"estimate": mean.value, "low": mean.low, "high": mean.high, "n": mean.n}
            nulls = {"null": null.value, "null_low": null.low, "null_high": null.high}
            found.append(claim("few_iterations_suffice", model, cells, ">", 0.9, **nulls))
    return found
