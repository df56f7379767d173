"""Paper J's first-order items: accuracy on spans of attack directions, attacks confined to them, energy of universal ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import stdtrit
from torch import Tensor

from uapkit import subspace
from uapkit.experiments.common import paired
from uapkit.experiments.jetley2018_first_order import (
    ATTACKS,
    FEW,
    SPANS,
    UNTRAINED,
    Count,
    Data,
    Pairs,
    Projected,
    accuracy,
    at,
    correct,
    full_basis,
)
from uapkit.experiments.tidy import as_null, by_network, claim, evidence
from uapkit.lab.sweep import sweep

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)


def fig4_deepfool_svd(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = SHARES,
    n_fit: Count = 200,
    n_eval: Count | None = 200,
    max_iter: int = 50,
    n_random: int = 2,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 4 of [jetley2018]: accuracy on images projected on S_hi or S_lo against the number d of directions.

    The directions are DeepFool's at ``n_fit`` images. One row a (model, kind, share, draw): kind "S_hi", "S_lo", or what
    they are compared with: "random" subspaces and the images' own "principal components"; kind "images" are the images
    themselves. share: of all dimensions, d / D. image_norm: mean norm of the projected images, their mean subtracted, as
    a share of the whole. Singular values as ``s/<model>``, flags of the correctly classified as ``right/...``, in
    ``attrs["arrays"]``. Departure: d is the same share of D on every network, not a number.
    """
    pairs = Pairs(data, n_fit, n_eval, seed, device, max_iter)

    def spans(model: str) -> tuple[list[dict], dict]:
        images = pairs.images(model)[1]
        right = correct(pairs.model(model), images)
        d = images.x[0].numel()
        rows: list[dict] = [{"kind": "images", "share": 1.0, "d": d, "image_norm": 1.0, **accuracy(right)}]
        arrays = {f"right/{model}/images": right.numpy(), f"s/{model}": pairs.basis(model, "deepfool")[1].numpy()}
        for kind in SPANS:
            for draw in range(n_random if kind == "random" else 1):
                found, flags = _projected_rows(pairs, model, kind, shares, draw=draw)
                rows += [row | {"draw": draw} for row in found]
                arrays |= flags if draw == 0 else {}
        return rows, arrays

    points = [{"model": spec} for spec in pairs.specs(models)]
    return pairs.table(sweep(points, spans, over=("models",), desc="accuracy on spans"))


def _projected_rows(
    pairs: Pairs,
    spec: str,
    kind: str,
    shares: Sequence[float],
    *,
    attack: str = "deepfool",
    draw: int = 0,
    name: str = "",
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Accuracy on the images projected on spans of growing dimension, and the flags of the correctly classified."""
    model, images, mean = pairs.model(spec), pairs.images(spec)[1], pairs.mean(spec)
    centred = (images.x - mean).flatten(1).cpu()
    rows, arrays = [], {}
    for share, k in zip(shares, pairs.dimensions(spec, shares), strict=True):
        span = pairs.span(spec, kind, k, attack=attack, draw=draw)
        right = correct(Projected(model, span, mean), images)
        norm = float(((centred @ span).norm(dim=1) / centred.norm(dim=1)).mean())
        rows.append({"kind": name or kind, "share": share, "d": k, "image_norm": norm, **accuracy(right)})
        arrays[f"right/{spec}/{name or kind}/{share:g}"] = right.numpy()
    return rows, arrays


def ext_gradient_svd(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = (0.01, 0.05, 0.1),
    n_fit: Count = 160,
    n_eval: Count | None = 100,
    max_iter: int = 50,
    n_random: int = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """S_hi from plain class-score gradients beside DeepFool's, which [jetley2018] suggests should do; ours.

    One row a (model, kind, share, draw). kind: "deepfool", "gradient" (of the predicted class's score), "gradients of all
    classes", and the nulls "gradient, untrained network", "random" and "principal components". accuracy, low, high, n: on
    images projected on the span. overlap: mean squared cosine of the principal angles with DeepFool's span of the same
    dimension, in [0, 1], with a jackknife interval over groups of images (none for the last two nulls); its chance value is
    d / D. For "deepfool" itself it is the overlap of two halves of its images, what could be reached at most.
    median_angle: of the principal angles, in degrees.
    """
    pairs = Pairs(data, n_fit, n_eval, seed, device, max_iter)

    def compared(model: str) -> tuple[list[dict], dict]:
        ks = pairs.dimensions(model, shares)
        arrays: dict[str, np.ndarray] = {}
        directions = pairs.directions(model, "deepfool")
        ours, rows = _left_out(directions), []
        halves = [full_basis(half)[0] for half in directions.tensor_split(2)]  # their overlap is the most to be reached
        for name in ATTACKS:
            found, flags = _projected_rows(pairs, model, "S_hi", shares, attack=name, name=name)
            if name == "deepfool":
                columns = [_overlap(halves[:1], halves[1:], k) if 2 * k <= len(directions) else {} for k in ks]
            else:
                theirs = _left_out(pairs.directions(model, name))
                columns = [_overlap(theirs, ours, k) for k in ks]
            rows += [row | column for row, column in zip(found, columns, strict=True)]
            arrays |= flags
        for kind in ("random", "principal components"):
            for draw in range(n_random if kind == "random" else 1):
                found, flags = _projected_rows(pairs, model, kind, shares, draw=draw)
                spans = [pairs.span(model, kind, k, draw=draw) for k in ks]
                columns = [_overlap([span], ours[:1], k) | {"draw": draw} for span, k in zip(spans, ks, strict=True)]
                rows += [row | column for row, column in zip(found, columns, strict=True)]
                arrays |= flags if draw == 0 else {}
        return [row | {"chance": row["d"] / len(ours[0])} for row in rows], arrays

    points = [{"model": spec} for spec in pairs.specs(models)]
    return pairs.table(sweep(points, compared, over=("models",), desc="gradients against DeepFool"))


def _left_out(rows: Tensor, groups: int = 5) -> list[Tensor]:
    """Bases (d, d) of all rows, and of those without each of the groups; float32, for their angles only."""
    parts = [part.T @ part for part in rows.tensor_split(groups)]
    whole = torch.stack(parts).sum(0)
    return [torch.linalg.eigh(m)[1].flip(1) for m in (whole, *(whole - part for part in parts))]


def _overlap(a: list[Tensor], b: list[Tensor], k: int) -> dict[str, float]:
    """Mean squared cosine between the first k columns of a[0] and b[0], with the jackknife interval of the others."""
    values = [float((u[:, :k].T.float() @ w[:, :k].float()).square().sum() / k) for u, w in zip(a, b, strict=True)]
    g = len(values) - 1
    half = 0.0
    if g:
        left_out = np.array(values[1:])
        half = float(stdtrit(g - 1, 0.975) * math.sqrt((g - 1) / g * ((left_out - left_out.mean()) ** 2).sum()))
    angle = float(np.median(subspace.principal_angles(a[0][:, :k], b[0][:, :k])))
    return {
        "overlap": values[0],
        "overlap_low": max(0.0, values[0] - half),
        "overlap_high": min(1.0, values[0] + half),
        "median_angle": angle,
    }


@evidence
def fig4_deepfool_svd_evidence(table: pd.DataFrame) -> list[dict]:
    """More than half of the accuracy on a tenth of all directions, S_hi; less on half of them, S_lo; null: random spans.

    And, ours: more accuracy on S_hi than on as many principal components of the images, paired.
    """
    found = []
    for model, rows in by_network(table):
        half = float(rows.loc[rows["kind"] == "images", "accuracy"].iloc[0]) / 2
        for kind, sense, share in (("S_hi", ">", FEW), ("S_lo", "<", 0.5)):  # few suffice; many of the others do not
            mine, null = at(rows, kind, share), at(rows, "random", share)
            name = f"{model}, {kind}, d = {mine['d']:g}"
            ours = {"estimate": mine["accuracy"], **{k: mine[k] for k in ("low", "high", "n")}}
            beside = {"null": null["accuracy"], "null_low": null["low"], "null_high": null["high"]}
            found.append(claim("replicates_with_first_order", name, ours, sense, half, **beside))
        share, arrays = at(rows, "S_hi")["share"], table.attrs["arrays"]
        hi, data = (arrays[f"right/{model}/{kind}/{share:g}"] for kind in ("S_hi", "principal components"))
        found.append(
            claim("beyond_principal_components", f"{model}, d = {at(rows, 'S_hi')['d']:g}", paired(hi, data), ">", 0.0)
        )
    return found


@evidence
def ext_gradient_svd_evidence(table: pd.DataFrame) -> list[dict]:
    """At a tenth of all directions: accuracy at most 5 points below DeepFool's (null: random span); overlap above the nulls'."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        nulls = rows[rows["kind"].isin([UNTRAINED, "random", "principal components"])]
        for kind in ("gradient", "gradients of all classes"):
            mine = at(rows, kind)
            name = f"{model}, {kind}, d = {mine['d']:g}"
            right = {k: arrays[f"right/{model}/{k}/{mine['share']:g}"] for k in (kind, "deepfool", "random")}
            beside = as_null(paired(right["random"], right["deepfool"]))
            gain = paired(right[kind], right["deepfool"])
            found.append(claim("gradients_carry_the_accuracy", name, gain, ">", -0.05, **beside))
            bound = float(nulls.loc[nulls["share"] == mine["share"], "overlap_high"].max())
            overlap = {"estimate": mine["overlap"], "low": mine["overlap_low"], "high": mine["overlap_high"]}
            found.append(claim("gradients_span_the_same", name, overlap, ">", bound))
    return found
