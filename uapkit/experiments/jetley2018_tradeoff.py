"""Paper J's consequence: what robustness the suppression of directions gains, and what accuracy it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from uapkit import evaluate, models
from uapkit.experiments.common import paired
from uapkit.experiments.jetley2018_downsampling import Resampled
from uapkit.experiments.jetley2018_first_order import (
    LARGEST,
    Count,
    Data,
    Pairs,
    Projected,
    accuracy,
    at,
    bootstrap_median,
    correct,
    curved,
    deepfool,
)
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import sweep
from uapkit.models import Model

SPANS = {"S_hi": "attack directions", "principal components": "principal components", "random": "random directions"}
LEAST = 1.1  # the gain from which on a defence counts as one


def ext_tradeoff(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = (0.02, 0.1),
    sides: Sequence[float] = (0.5, 0.3),
    robust: Mapping[str, str] | None = None,
    n_curvature: int | Mapping[str, int] = {"mlp_digits": 5, "other": 0},
    n_train: int = 500,
    k: int | Mapping[str, int | None] | None = None,
    max_products: int = 300,
    n_fit: Count = 100,
    n_eval: Count | None = 150,
    n_attack: int = 12,
    max_iter: int = 25,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Accuracy lost against robustness gained when directions are suppressed, a consequence that [jetley2018] draws; ours.

    One row a (model, defence, level). Defences put before the network: "without attack directions" (the images' part in
    S_hi is replaced by that of the mean image), "only attack directions" (the rest is), the same two for "principal
    components" and "random directions" (level: share of all dimensions, from ``shares``), with ``n_curvature`` boundary
    points a class also for "curvature directions" (both ends; ``n_train``, ``k`` and ``max_products`` as in
    ``sec_uap_energy``), and "down-sampling" (level: share of the side, from ``sides``). Defence "adversarial training" is
    the network that ``robust`` names. accuracy, low, high, n: on the scored images; loss: accuracy lost, with its paired
    interval (loss_low, loss_high). gain: norm of DeepFool on the defended network, through the defence, over that on the
    network as it is, median over ``n_attack`` images with bootstrap interval (gain_low, gain_high); where it fools nobody
    the norm is infinite. transferred: share fooled by twice the DeepFool of the network as it is.
    """
    pairs = Pairs(data, n_fit, n_eval, seed, device, max_iter)
    robust = dict(robust or {})

    def defences(spec: str, net: Model) -> Iterator[tuple[str, float, nn.Module]]:
        fit = pairs.images(spec)[0].x
        d, side, mean = fit[0].numel(), fit.shape[-1], fit.mean(0)
        spans = {} if d * d > LARGEST else SPANS
        for kind, name in spans.items():
            for share, m in zip(shares, pairs.dimensions(spec, shares), strict=True):
                span = pairs.span(spec, kind, m)
                yield f"without {name}", share, Projected(net, span, mean, remove=True)
                yield f"only {name}", share, Projected(net, span, mean)
        spaces = curved(pairs, spec, n_curvature, n_train, k, max_products)
        for share in shares:
            if spaces is None:
                break
            each = max(1, round(share * d / len(spaces.classes) / 2))
            span = spaces.basis("both", min(each, spaces.most("both")))
            yield "without curvature directions", share, Projected(net, span, mean, remove=True)
            yield "only curvature directions", share, Projected(net, span, mean)
        for share in sides:
            yield "down-sampling", share, Resampled(net, max(1, round(share * side)))
        if spec in robust:
            yield "adversarial training", 1.0, pairs.bench(spec).model(robust[spec])

    def compared(model: str) -> tuple[list[dict], dict]:
        net, (_, images) = pairs.model(model), pairs.images(model)
        some, right = images[:n_attack], correct(net, images)
        found = deepfool(net, some, max_iter=max_iter)
        length = _lengths(found)
        row: dict[str, Any] = {"defence": "none", "level": 1.0, "loss": 0.0, "loss_low": 0.0, "loss_high": 0.0}
        rows, arrays = [row | {"gain": 1.0, "gain_low": 1.0, "gain_high": 1.0, **accuracy(right)}], {}
        arrays[f"right/{model}/none/1"] = right.numpy()
        for name, level, module in defences(model, net):
            arrays[f"right/{model}/{name}/{level:g}"], row = _scored(
                module, images, some, right, found, length, max_iter
            )
            rows.append({"defence": name, "level": level, **row})
        return rows, arrays

    points = [{"model": spec} for spec in pairs.specs(models)]
    return pairs.table(sweep(points, compared, over=("models",), desc="trade-off"))


def _lengths(found: dict[str, Tensor]) -> Tensor:
    """(n,) 2-norms of DeepFool's r, infinite where it fooled nobody."""
    return torch.where(found["success"], found["r"].flatten(1).norm(dim=1), math.inf)


def _scored(
    module: nn.Module, images: Any, some: Any, right: Tensor, found: dict[str, Tensor], length: Tensor, max_iter: int
) -> tuple[np.ndarray, dict[str, float]]:
    """Flags of the images that the defended network gets right, and its row."""
    defended = module if isinstance(module, Model) else models.wrap(module, name="defended")
    ours = correct(defended, images)
    ratio = (_lengths(deepfool(defended, some, max_iter=max_iter)) / length).nan_to_num(1.0)  # both infinite: no gain
    gain, low, high = bootstrap_median(ratio)
    loss = paired(right, ours)
    row = {"gain": gain, "gain_low": low, "gain_high": high, "loss": loss["estimate"]}
    row |= {"loss_low": loss["low"], "loss_high": loss["high"], "n_attack": len(some)}
    row |= {"transferred": float(evaluate.fooled(defended, some, 2 * found["r"]).float().mean())}
    return ours.numpy(), row | accuracy(ours)


@evidence
def ext_tradeoff_evidence(table: pd.DataFrame) -> list[dict]:
    """Of each defence the level that gains robustness at the least loss: is there a loss? And which directions cost most?

    A defence gains if the interval of its gain lies above 1.1; one without such a level says nothing.
    """
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        gaining = rows[(rows["gain_low"] > LEAST) & (rows["defence"] != "none")]
        for defence, some in gaining.groupby("defence", sort=False):
            row = some.loc[some["loss"].idxmin()]
            loss = {"estimate": row["loss"], "low": row["loss_low"], "high": row["loss_high"], "n": row["n"]}
            name = f"{model}, {defence} at {row['level']:g} (gain {row['gain']:.2g})"
            found.append(claim("gain_costs_accuracy", name, loss, ">", 0.0))
        mine = rows[rows["defence"] == "without attack directions"]
        if len(mine):
            level = at(mine.rename(columns={"level": "share", "defence": "kind"}), "without attack directions")["share"]
            for other in ("random directions", "principal components"):
                flags = [arrays[f"right/{model}/without {kind}/{level:g}"] for kind in (other, "attack directions")]
                cost = paired(*flags)
                name = f"{model}, against {other}, {level:g} of all dimensions"
                found.append(claim("attack_directions_cost_most", name, cost, ">", 0.0))
    return found
