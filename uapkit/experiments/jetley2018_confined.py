"""Paper J: attacks confined to spans of attack directions, and the energy of universal perturbations in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import attacks as methods
from uapkit import evaluate
from uapkit.experiments.common import rate
from uapkit.experiments.jetley2018_first_order import (
    FEW,
    SPANS,
    Count,
    Data,
    Pairs,
    at,
    bootstrap_median,
    curved,
    deepfool,
)
from uapkit.experiments.tidy import as_null, by_network, claim, evidence, mean_of
from uapkit.intervals import Rate
from uapkit.lab.sweep import for_network, sweep
from uapkit.seeds import child_seed


def fig5_confined(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = (0.02, 0.1, 0.5),
    n_fit: Count = 100,
    n_eval: Count | None = 30,
    max_iter: int = 30,
    n_random: int = 2,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 5 of [jetley2018]: norm of DeepFool confined to a span, and of the images projected on it, against d.

    One row a (model, kind, share, draw); kinds as in ``fig4_deepfool_svd``, and "unconfined". norm: median 2-norm over
    the images with its bootstrap interval (norm_low, norm_high), where an image that no step within ``max_iter`` fooled
    counts as infinite; mean_norm: over the fooled ones. fooling_rate, low, high, n: share fooled. image_norm: mean norm of
    the projected images, their mean subtracted. ``attrs["arrays"]``: image by image 1 / norm as ``reciprocal/...``, norms as
    ``image/...``; one confined perturbation a kind, as ``v/...``. The paper has overshoot 0.02, at most 100 steps and all
    classes as candidates (here the ten best-scoring), and shows means.
    """
    pairs = Pairs(data, n_fit, n_eval, seed, device)

    def confined(model: str) -> tuple[list[dict], dict]:
        net, (_, images) = pairs.model(model), pairs.images(model)
        rows: list[dict] = []
        arrays: dict[str, np.ndarray] = {}
        centred = (images.x - pairs.mean(model)).flatten(1).cpu()
        whole = np.linalg.norm(centred.numpy(), axis=1)
        picture = min(shares, key=lambda share: abs(share - FEW))

        def row(kind: str, share: float, k: int, draw: int, found: dict[str, Tensor], image: np.ndarray) -> dict:
            length = found["r"].flatten(1).norm(dim=1)
            norm = torch.where(found["success"], length, math.inf)
            arrays[f"reciprocal/{model}/{kind}/{share:g}/{draw}"] = (1 / norm).numpy()  # 0 where nobody is fooled
            arrays[f"image/{model}/{kind}/{share:g}/{draw}"] = image
            median, low, high = bootstrap_median(norm)
            mean = float(length[found["success"]].mean()) if found["success"].any() else math.nan
            about = {
                "kind": kind,
                "share": share,
                "d": k,
                "draw": draw,
                "norm": median,
                "norm_low": low,
                "norm_high": high,
            }
            return about | {"mean_norm": mean, "image_norm": float(image.mean()), **rate(found["success"])}

        rows.append(row("unconfined", 1.0, centred.shape[1], 0, deepfool(net, images, max_iter=max_iter), whole))
        for share, k in zip(shares, pairs.dimensions(model, shares), strict=True):
            for kind in SPANS:
                for draw in range(n_random if kind == "random" else 1):
                    span = pairs.span(model, kind, k, draw=draw)
                    found = deepfool(net, images, max_iter=max_iter, basis=span)
                    rows.append(row(kind, share, k, draw, found, (centred @ span).norm(dim=1).numpy()))
                    if share == picture and draw == 0:
                        arrays[f"v/{model}/{kind}, d = {k}"] = found["r"][0].numpy()
        return rows, arrays

    points = [{"model": spec} for spec in pairs.specs(models)]
    return pairs.table(sweep(points, confined, over=("models",), desc="confined DeepFool"))


@evidence
def fig5_confined_evidence(table: pd.DataFrame) -> list[dict]:
    """Of two spans of a tenth of all directions, the one with more of the image needs the smaller attack, image by image.

    The null: two random spans of the same dimension.
    """
    found, arrays = [], table.attrs["arrays"]

    def inverse(model: str, share: float, first: tuple[str, int], second: tuple[str, int]) -> Rate:
        attack, image = ([arrays[f"{what}/{model}/{kind}/{share:g}/{draw}"] for kind, draw in (first, second)]
                         for what in ("reciprocal", "image"))  # fmt: skip
        return Rate.mean(torch.as_tensor((attack[0] > attack[1]) == (image[0] > image[1])))

    for model, rows in by_network(table):
        share = float(at(rows, "S_hi")["share"])
        null = inverse(model, share, ("random", 0), ("random", 1)) if (rows["draw"] > 0).any() else None
        for other in SPANS[1:]:
            one = inverse(model, share, ("S_hi", 0), (other, 0))
            ours = {"estimate": one.value, "low": one.low, "high": one.high, "n": one.n}
            beside = {"null": null.value, "null_low": null.low, "null_high": null.high} if null else {}
            name = "inverse_to_principal_components" if other == "principal components" else "inverse_relation"
            found.append(claim(name, f"{model}, S_hi against {other}", ours, ">", 0.5, **beside))
    return found


def sec_uap_energy(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = (0.02, 0.1, 0.3, 0.5),
    norm: float = math.inf,
    eps: float | Mapping[str, float] = 0.2,
    n_curvature: int | Mapping[str, int] = {"mlp_digits": 5, "other": 0},
    n_train: int = 500,
    k: int | Mapping[str, int | None] | None = None,
    max_products: int = 300,
    n_fit: Count = 100,
    n_uap: int = 50,
    n_eval: int | None = 150,
    n_draws: int = 3,
    max_passes: int = 2,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Section 4 of [jetley2018]: the share of a universal perturbation's 2-norm in the spans, beside chance sqrt(d / D).

    The perturbations are those of Algorithm 1 of [moosavi2017] from ``n_uap`` images that neither give the spans nor are
    scored, one for each of ``n_draws`` orders. One row a (model, attack, draw, kind, share): attack "uap", or the null
    "random signs" (in another norm than inf: random directions) of the same size; norm_share in [0, 1]; chance:
    sqrt(d / D); fooling_rate, low, high, n: of the perturbation on the scored images. Spans are those of
    ``fig4_deepfool_svd`` and, with ``n_curvature`` boundary points a class (0: none) drawn from ``n_train`` training
    images, the curvature subspaces of ``fig3_accuracy``: "positive", "negative", "flat", with ``k`` known directions at
    each end of a class (None: all) and at most ``max_products`` of Lanczos; share is then that of all classes together.
    """
    pairs = Pairs(data, n_fit, None if n_eval is None else n_eval + n_uap, seed, device)

    def spans(model: str) -> Iterator[tuple[str, float, Tensor]]:
        for kind in SPANS:
            for share, m in zip(shares, pairs.dimensions(model, shares), strict=True):
                yield kind, share, pairs.span(model, kind, m)
        spaces = curved(pairs, model, n_curvature, n_train, k, max_products)
        if spaces is not None:
            for kind in ("positive", "negative", "flat"):
                for share in shares:
                    each = max(1, round(share * spaces.d / len(spaces.classes)))
                    yield kind, share, spaces.basis(kind, min(each, spaces.most(kind))).cpu()

    def energy(model: str) -> tuple[list[dict], dict]:
        net, (_, images) = pairs.model(model), pairs.images(model)
        if len(images) <= n_uap:
            raise ValueError(f"n_uap must be below the {len(images)} images that are not fitted on, got {n_uap}")
        scored, own = images[: len(images) - n_uap], images[len(images) - n_uap :]
        clean, size = evaluate.labels(net, scored), for_network(eps, model, "eps")
        rows: list[dict] = []
        arrays: dict[str, np.ndarray] = {}
        found = list(spans(model))
        for attack in ("uap", "random signs"):
            for draw in range(n_draws):
                child = child_seed(seed, f"{attack} {draw}")
                if attack == "uap":
                    made = methods.uap(net, own, norm=norm, eps=size, max_passes=max_passes, seed=child, block=10)
                    v = made.v.cpu()
                else:
                    v = evaluate.random_perturbation(own.shape, eps=size, norm=norm, seed=child)
                arrays[f"v/{model}/{attack} {draw}"] = v.numpy()
                fooled = rate(evaluate.fooled(net, scored, v, clean))
                for kind, share, span in found:
                    m, part = span.shape[1], float((v.flatten() @ span.float()).norm() / v.norm())
                    about = {"attack": attack, "draw": draw, "kind": kind, "share": share, "d": m}
                    rows.append(about | {"norm_share": part, "chance": math.sqrt(m / v.numel()), **fooled})
        return rows, arrays

    points = [{"model": spec} for spec in pairs.specs(models)]
    return pairs.table(sweep(points, energy, over=("models",), desc="energy of universal perturbations"))


@evidence
def sec_uap_energy_evidence(table: pd.DataFrame) -> list[dict]:
    """More than half of the norm in a tenth of all directions, Student's interval over the draws; random signs as null."""
    found = []
    for model, rows in by_network(table):
        for kind in ("S_hi", "positive", "negative"):
            some = rows[rows["kind"] == kind]
            if len(some):
                some = some[some["share"] == float(at(some, kind)["share"])]
                ours, null = (
                    torch.tensor(list(some.loc[some["attack"] == a, "norm_share"])) for a in ("uap", "random signs")
                )
                name = f"{model}, {kind}, d = {some['d'].iloc[0]:g}"
                found.append(claim("uap_in_high_curvature", name, mean_of(ours), ">", 0.5, **as_null(mean_of(null))))
    return found
