"""The experiments of [khrulkov2018], "Art of singular vectors and universal adversarial perturbations".

Departures, for all items: images are pixels in [0, 1] (a norm of 10 on the 0-255 scale is 10/255); the images that a
vector is fitted on are never scored; what is chosen (a layer, a sign) is chosen on held-in images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from uapkit import attacks, evaluate
from uapkit import data as sets
from uapkit.checks import NotHere
from uapkit.experiments.common import Bench, layers_of, paired, rank_correlation, rate, split_name
from uapkit.fourier import mean_wavelength
from uapkit.seeds import child_seed
from uapkit.sweep import sweep

__all__ = ["fig1_gallery", "tab1_layers"]

KERAS_VGG = ("block2_pool", "block3_conv1", "block3_conv2", "block3_conv3")
PAPER_LAYERS = {  # the layers of Tables 1 to 3
    "vgg16": KERAS_VGG,
    "vgg19": KERAS_VGG,
    "resnet50": ("conv1", "res3c_branch2a", "bn5a_branch2c", "activation_8"),
}


def _points(bench: Bench, spec: str, layers: Mapping | Sequence | None, count: int) -> list[dict[str, Any]]:
    """(model, layer) pairs; a network that is not here keeps its layers if they are known, else one nameless row."""
    wanted = layers if layers else {k: v for k, v in PAPER_LAYERS.items() if k == split_name(spec)[0]}
    try:
        names = layers_of(bench.model(spec), wanted or None, spec, count)
    except NotHere:
        names = list((wanted.get(spec) or [""]) if isinstance(wanted, Mapping) else wanted)
    return [{"model": spec, "layer": layer} for layer in names]


def _depth(model: Any, layer: str) -> float:
    """Place of a layer in the network's order, from 0 (input) to 1 (logits)."""
    order = model.layers()
    return order.index(layer) / (len(order) - 1)


def _best_sign(bench: Bench, spec: str, v: torch.Tensor) -> tuple[torch.Tensor, float]:
    """(v or -v, rate): a singular vector's sign is free, so the better one on the held-in images is taken."""
    rates = {sign: float(bench.fooled(spec, sign * v, "held-in").float().mean()) for sign in (1.0, -1.0)}
    sign = max(rates, key=lambda s: rates[s])
    return sign * v, rates[sign]


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
    fixed = {"p": p, "q": q, "eps": eps, "max_iter": max_iter, "seed": seed}

    def attack(model: str, layer: str) -> tuple[list[dict], dict]:
        net = bench.model(model)
        made = attacks.singular_uap(net, bench.images(net)[0].x, layer=layer, **fixed)
        v, held_in = _best_sign(bench, model, made.v)
        fooled = bench.fooled(model, v)
        row = {"kind": "singular vector", "singular_value": made.made_by["singular_value"], "depth": _depth(net, layer)}
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
        fit = bench.images(bench.model(model))[0].x
        made = attacks.singular_uap(bench.untrained(model), fit, layer=layer, **fixed)
        v, held_in = _best_sign(bench, model, made.v)
        row = {
            "kind": "untrained network",
            "singular_value": made.made_by["singular_value"],
            "data": data,
            "n_fit": n_fit,
        }
        return [row | {"held_in_rate": held_in, **rate(bench.fooled(model, v))}]

    over = ("models", "layers", "n_random")
    parts = []
    for spec in bench.specs(models):
        parts.append(sweep(_points(bench, spec, layers, count=5), attack, over=over, desc=f"{spec}: layers"))
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


def _tab1_layers_evidence(table: pd.DataFrame) -> pd.DataFrame:
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


def fig1_gallery(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    data: str = "digits",
    pictures: str = "digits",
    n_pictures: int = 4,
    n_fit: int = 16,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 1 of [khrulkov2018]: the (p, q)-singular vectors of several layers, and what they do to pictures.

    Rows of kind "vector", one a (model, layer): singular_value, wavelength (mean, in pixels) and the fooling rate on
    the images fitted on, which only serves to choose the example's layer. Rows of kind "random signs": the null. Rows
    of kind "picture", one a (model, picture), for that layer: labels and confidences before and after. The vectors are
    in ``attrs["arrays"]`` as ``v/<model>/<layer>``.
    """
    bench = Bench(data, n_fit, 0, 1, seed, device)

    def vector(model: str, layer: str) -> tuple[list[dict], dict]:
        net = bench.model(model)
        fit = bench.images(net)[0].x
        made = attacks.singular_uap(net, fit, layer=layer, p=p, q=q, eps=eps, max_iter=max_iter, seed=seed)
        v, fit_rate = _best_sign(bench, model, made.v)
        row = {"kind": "vector", "data": data, "singular_value": made.made_by["singular_value"], "n_fit": n_fit}
        return [row | {"wavelength": mean_wavelength(v.cpu()), "rate_on_fit": fit_rate}], {
            f"v/{model}/{layer}": v.cpu().numpy()
        }

    def null(model: str) -> list[dict]:
        shape = bench.images(bench.model(model))[0].x.shape[1:]
        v = evaluate.random_perturbation(shape, eps=eps, norm=p, seed=child_seed(seed, "random signs"))
        return [{"kind": "random signs", "wavelength": mean_wavelength(v)}]

    parts = []
    for spec in bench.specs(models):
        points = _points(bench, spec, layers, count=4)
        parts.append(
            sweep(points, vector, over=("models", "layers", "pictures", "n_pictures"), desc=f"{spec}: vectors")
        )
        if not (parts[-1]["status"] == "run").any():
            continue
        parts.append(sweep([{"model": spec}], null, over=("models", "layers", "pictures", "n_pictures")))
        best = parts[-2].loc[parts[-2]["rate_on_fit"].idxmax(), "layer"]
        v = torch.from_numpy(parts[-2].attrs["arrays"][f"v/{spec}/{best}"]).to(device)
        parts.append(_picture_rows(bench.model(spec), spec, best, v, pictures, n_pictures, seed, device))
    table = pd.concat(parts, ignore_index=True)
    table.insert(1, "weights", [bench.weights(m) for m in table["model"]])
    table.attrs["arrays"] = {k: v for part in parts for k, v in part.attrs.get("arrays", {}).items()}
    return table


def example_pictures(name: str, n: int, seed: int, size: int | None) -> sets.Images:
    """The pictures that examples are shown on: the free natural ones, or the first of a set's test images."""
    if name == "pictures":
        return sets.load("pictures", size=size, resize="crop")[:n]
    return sets.load(name, n=n, seed=child_seed(seed, "pictures"))


def _picture_rows(
    net: Any, spec: str, layer: str, v: torch.Tensor, pictures: str, n: int, seed: int, device: str
) -> pd.DataFrame:
    """Labels and confidences of some pictures, clean and perturbed (unclipped, as the paper scores)."""
    shown = example_pictures(pictures, n, seed, net.input_size[-1] if net.input_size else None).to(device)
    names = net.classes or tuple(str(k) for k in range(10**4))
    with torch.no_grad():
        before, after = (net(shown.x + shift).softmax(1).max(1) for shift in (0, v))
    rows = [
        {"model": spec, "layer": layer, "status": "run", "kind": "picture", "picture": k}
        | {"label": names[int(before.indices[k])], "confidence": float(before.values[k])}
        | {"perturbed_label": names[int(after.indices[k])], "perturbed_confidence": float(after.values[k])}
        for k in range(len(shown))
    ]
    return pd.DataFrame(rows)


EVIDENCE = {"tab1_layers": _tab1_layers_evidence}
