"""Paper K's examples: pictures with labels and edges, labels' confidence, top-5 probabilities against the norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from uapkit import evaluate
from uapkit.experiments.common import Bench, class_names, paired, rate
from uapkit.experiments.khrulkov2018_gallery import example_pictures
from uapkit.experiments.khrulkov2018_shared import Layer, Study, joined
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import sweep

DIRECTIONS = ("singular vector", "random signs", "untrained network")


def directions(study: Study, spec: str, layer: str) -> dict[str, Tensor]:
    """The perturbation and its two nulls, each (c, h, w) in its better sign on held-in images."""
    own, fresh = (study.vector(spec, layer, untrained=null).v for null in (False, True))
    signed = [study.scored(spec, study.scaled(spec, v))[1] for v in (own, fresh)]
    return dict(zip(DIRECTIONS, (signed[0], study.random(spec), signed[1]), strict=True))


def edge_density(x: Tensor, threshold: float) -> Tensor:
    """(n,) share of the pixels where the grey picture, smoothed by a Gaussian of 1 pixel, rises by more than ``threshold``.

    The rise is the length of the gradient in units of pixel value a pixel (central differences), as Canny's detector
    has it before it thins lines. x: (n, c, h, w). The 4 outermost pixels are left out, where smoothing sees the border.
    """
    at = torch.arange(-3.0, 4.0, device=x.device)
    smooth = torch.exp(-(at**2) / 2)
    smooth = smooth / smooth.sum()
    slope = torch.tensor([-0.5, 0.0, 0.5], device=x.device)
    grey = x.mean(1, keepdim=True)
    grey = conv2d(conv2d(grey, smooth.view(1, 1, 7, 1)), smooth.view(1, 1, 1, 7))
    across, down = conv2d(grey, slope.view(1, 1, 1, 3)), conv2d(grey, slope.view(1, 1, 3, 1))
    length = torch.sqrt(across[:, :, 1:-1] ** 2 + down[:, :, :, 1:-1] ** 2)
    return (length > threshold).float().mean((1, 2, 3)).cpu()


def fig_examples(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    data: str = "digits",
    pictures: str = "digits",
    n_pictures: int = 4,
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The figure of adversarial examples of [khrulkov2018], and whether the perturbation introduces edges.

    Rows of kind "picture", one a (model, direction, picture): label, confidence before, perturbed_label,
    perturbed_confidence. Rows of kind "scored images", one a (model, direction): fooling_rate with low and high,
    edges_before, edges_after (mean edge density, threshold eps / 2), edges_more with edges_low and edges_high (paired,
    over the images). direction: "singular vector" (of ``layer``, or of the best on held-in images), "random signs",
    "untrained network". Perturbations as ``v/<model>/<direction>`` in ``attrs["arrays"]``.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed, layer)
    over = ("models", "layer")

    def shown(model: str, layer: str) -> tuple[list[dict], dict]:
        net = bench.model(model)
        scored = bench.images(net)[2].x
        examples = example_pictures(pictures, n_pictures, seed, net.input_size[-1] if net.input_size else None)
        examples, names = examples.to(device), class_names(net)
        before = evaluate.probabilities(net, examples.x).max(1)
        edges = edge_density(scored, eps / 2)
        rows, arrays = [], {}
        for direction, v in directions(study, model, layer).items():
            after = evaluate.probabilities(net, examples.x, v).max(1)
            rows += [
                {"kind": "picture", "direction": direction, "picture": k}
                | {"label": names[int(before.indices[k])], "confidence": float(before.values[k])}
                | {"perturbed_label": names[int(after.indices[k])], "perturbed_confidence": float(after.values[k])}
                for k in range(len(examples))
            ]
            now = edge_density(scored + v, eps / 2)
            more = paired(now, edges)
            row = {"kind": "scored images", "direction": direction, **rate(bench.fooled(model, v))}
            row |= {"edges_before": float(edges.mean()), "edges_after": float(now.mean())}
            rows.append(row | {"edges_more": more["estimate"], "edges_low": more["low"], "edges_high": more["high"]})
            arrays[f"v/{model}/{direction}"] = v.cpu().numpy()
        return rows, arrays

    parts = []
    for spec in bench.specs(models):
        points = [{"model": spec, "layer": study.choose(spec, over)}]
        parts.append(sweep(points, shown, over=over, desc=f"{spec}: examples"))
    return joined(bench, parts)


@evidence
def fig_examples_evidence(table: pd.DataFrame) -> list[dict]:
    """Edge density after minus before; the null is random signs of the same size."""
    found = []
    for model, rows in by_network(table):
        rows = rows[rows["kind"] == "scored images"].set_index("direction")
        own, null = (
            rows.loc[d, ["edges_more", "edges_low", "edges_high"]].tolist() for d in ("singular vector", "random signs")
        )
        cells = {"estimate": own[0], "low": own[1], "high": own[2], "n": rows.loc["singular vector", "n"]}
        nulls = {"null": null[0], "null_low": null[1], "null_high": null[2]}
        found.append(claim("introduces_many_new_edges", model, cells, ">", 0.05, **nulls))
    return found


def tab_predictions(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    data: str = "digits",
    pictures: str = "digits",
    n_pictures: int = 4,
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The table of predicted labels of [khrulkov2018], and how sure the network is of the new label.

    Rows of kind "picture", one a (model, direction, picture), as in :func:`fig_examples`. Rows of kind "scored images",
    one a (model, direction): fooling_rate (low, high, n), and over the n_fooled images whose label changes the median
    confidence before and after, and unsure_share, the share whose new label has a confidence below 0.5 (unsure_low,
    unsure_high: Wilson). Direction "none" is the null: the same share for the labels of all clean images.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed, layer)
    over = ("models", "layer")

    def predicted(model: str, layer: str) -> list[dict]:
        net = bench.model(model)
        scored, names = bench.images(net)[2].x, class_names(net)
        examples = example_pictures(pictures, n_pictures, seed, net.input_size[-1] if net.input_size else None)
        examples = examples.to(device)
        clean, first = evaluate.probabilities(net, scored).max(1), evaluate.probabilities(net, examples.x).max(1)
        rows = [{"kind": "scored images", "direction": "none", "confidence": float(clean.values.median())}]
        rows[0] |= _unsure(clean.values) | {"n": len(scored)}
        for direction, v in directions(study, model, layer).items():
            after, second = (
                evaluate.probabilities(net, scored, v).max(1),
                evaluate.probabilities(net, examples.x, v).max(1),
            )
            changed = after.indices != clean.indices
            row = {"kind": "scored images", "direction": direction, **rate(changed), "n_fooled": int(changed.sum())}
            if changed.any():
                row |= {"confidence": float(clean.values[changed].median())}
                row |= {"perturbed_confidence": float(after.values[changed].median()), **_unsure(after.values[changed])}
            rows.append(row)
            rows += [
                {"kind": "picture", "direction": direction, "picture": k}
                | {"label": names[int(first.indices[k])], "confidence": float(first.values[k])}
                | {"perturbed_label": names[int(second.indices[k])], "perturbed_confidence": float(second.values[k])}
                for k in range(len(examples))
            ]
        return rows

    parts = []
    for spec in bench.specs(models):
        points = [{"model": spec, "layer": study.choose(spec, over)}]
        parts.append(sweep(points, predicted, over=over, desc=f"{spec}: labels"))
    return joined(bench, parts)


def _unsure(confidence: Tensor) -> dict[str, float]:
    share = evaluate.Rate.mean(confidence < 0.5)
    return {"unsure_share": share.value, "unsure_low": share.low, "unsure_high": share.high}


@evidence
def tab_predictions_evidence(table: pd.DataFrame) -> list[dict]:
    """Share of the changed labels with a confidence below 0.5; the null is the same share for clean images."""
    found = []
    for model, rows in by_network(table):
        rows = rows[rows["kind"] == "scored images"].set_index("direction")
        own, null = (
            rows.loc[d, ["unsure_share", "unsure_low", "unsure_high"]].tolist() for d in ("singular vector", "none")
        )
        cells = {"estimate": own[0], "low": own[1], "high": own[2], "n": rows.loc["singular vector", "n_fooled"]}
        nulls = {"null": null[0], "null_low": null[1], "null_high": null[2]}
        found.append(claim("new_label_has_low_confidence", model, cells, ">", 0.5, **nulls))
    return found


def fig_top5(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    data: str = "digits",
    scales: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
    n_pictures: int = 2,
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Top-5 probabilities against the norm, the figure of [khrulkov2018], for flips and non-flips.

    Norms are ``scales`` times ``eps`` (column scale; the claim is judged at 1). Rows of kind "curve", one a (model,
    picture, flips, eps, rank): the probability of the clean picture's rank-th class; ``n_pictures`` scored images that
    flip at ``eps`` and as many that do not. Rows of kind "mean", one a (model, direction, eps, flipped): over the n
    scored images whose label has (not) changed at this norm, the mean of the largest and the second largest probability
    (top1, top2) and of their quotient (closeness, with low and high). direction as in :func:`fig_examples`.
    """
    bench = Bench(data, n_fit, n_select, n_eval, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed, layer)
    over = ("models", "layer")

    def curves(model: str, layer: str) -> list[dict]:
        net = bench.model(model)
        x = bench.images(net)[2].x
        clean = evaluate.probabilities(net, x).topk(min(5, evaluate.probabilities(net, x[:1]).shape[1]), 1)
        rows: list[dict] = []
        for direction, v in directions(study, model, layer).items():
            flips = bench.fooled(model, v)
            chosen = [(int(i), bool(f)) for f in (True, False) for i in (flips == f).nonzero()[:n_pictures, 0]]
            for scale in scales:
                now = evaluate.probabilities(net, x, scale * v)
                if direction == "singular vector":
                    rows += [
                        {"kind": "curve", "direction": direction, "picture": i, "flips": f, "eps": scale * eps}
                        | {"rank": r + 1, "probability": float(now[i, int(k)])}
                        for i, f in chosen
                        for r, k in enumerate(clean.indices[i])
                    ]
                rows += _means(now, clean.indices[:, 0], {"direction": direction, "scale": scale, "eps": scale * eps})
        return rows

    parts = []
    for spec in bench.specs(models):
        points = [{"model": spec, "layer": study.choose(spec, over)}]
        parts.append(sweep(points, curves, over=over, desc=f"{spec}: norms"))
    return joined(bench, parts)


def _means(now: Tensor, label: Tensor, about: dict[str, Any]) -> list[dict]:
    top, flipped = now.topk(2, 1), now.argmax(1) != label
    rows = []
    for kind in (True, False):
        two = top.values[flipped == kind]
        if len(two) < 2:
            continue
        close = evaluate.mean_interval(two[:, 1] / two[:, 0])
        row = {"kind": "mean", **about, "flipped": kind, "n": len(two), "top1": float(two[:, 0].mean())}
        row |= {"top2": float(two[:, 1].mean()), "closeness": close.value, "low": close.low, "high": close.high}
        rows.append(row)
    return rows


@evidence
def fig_top5_evidence(table: pd.DataFrame) -> list[dict]:
    """At eps, where the label does not change: second largest over largest probability; null: random signs."""
    found = []
    for model, rows in by_network(table):
        rows = rows[(rows["kind"] == "mean") & (rows["flipped"].astype(str) == "False")]
        rows = rows[rows["scale"] == 1].set_index("direction")
        if "singular vector" not in rows.index:
            continue
        own = rows.loc["singular vector"]
        nulls = {}
        if "random signs" in rows.index:
            null = rows.loc["random signs"]
            nulls = {"null": null["closeness"], "null_low": null["low"], "null_high": null["high"]}
        cells = {"estimate": own["closeness"], "low": own["low"], "high": own["high"], "n": own["n"]}
        found.append(claim("top1_falls_to_top2", model, cells, ">", 0.5, **nulls))
    return found
