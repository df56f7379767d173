"""Paper J's curves: class scores and labels along directions of positive, negative and no curvature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import checks
from uapkit.evaluate import Rate
from uapkit.experiments.jetley2018_along import (
    best_centre,
    bootstrap,
    direction,
    even_share,
    places,
    shift_share,
    walk,
)
from uapkit.experiments.jetley2018_shared import RANDOM, Curved, curved, logits, table_of
from uapkit.experiments.tidy import by_network, claim, evidence

N_SHOWN = 40  # curves and pictures kept for the page
BAND = (0.3, 0.7)  # quantiles around the median in Figure 2


def fig1_scores(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    targets: Sequence[int] = (3, 8),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 500,
    n_fit: int | Mapping[str, int] = 30,
    n_eval: int | None = 150,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    reach: float = 10.0,
    n_positions: int = 41,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 1 of [jetley2018]: the score of a class against the way s along one direction, a curve for each test image.

    One row a (model, target, kind), kind "positive" and "negative" (the ends of the class's curvature spectrum) and the
    null "random": curvature; shift_share, the share of the curves' variance that their mean explains, with its
    bootstrap interval over the images (low, high) and n; even_share about the best centre s_0 (even_low, even_high,
    centre), even_share_at_0, odd_even_ratio = sqrt(odd/even) about s_0. Arrays: positions ``s/<model>``, curves of the
    target score ``curves/<model>/<target>/<kind>``, directions ``v/...``, and for a walk through pictures
    ``x/<model>`` and all scores ``scores/<model>/<target>/<kind>`` (images, positions, classes).
    """
    settings = {"n_train": n_train, "k": k, "step_factor": step_factor, "max_products": max_products}
    study = curved(data, n_fit, n_eval, seed, device, **settings)

    def curves(model: str, target: int, kind: str) -> tuple[list[dict], dict]:
        images, s = study.part("test", model), places(study, model, reach, n_positions)
        v, value = direction(study, model, target, kind)
        scores = walk(study, model, images.x, v, s)
        f = scores[:, :, target].double().numpy()
        centre = best_centre(f)
        low, high = bootstrap(lambda w: shift_share(f, w), len(f), seed)
        even = even_share(f, centre)
        even_low, even_high = bootstrap(lambda w: even_share(f, centre, w), len(f), seed)
        row = {
            "curvature": value,
            "shift_share": shift_share(f),
            "low": low,
            "high": high,
            "even_share": even,
            "even_low": even_low,
            "even_high": even_high,
            "centre": float(s[centre]),
            "even_share_at_0": even_share(f, len(s) // 2),
            "odd_even_ratio": math.sqrt((1 - even) / even) if even else math.inf,
            "n": len(f),
        }
        at = f"{model}/{target}/{kind}"
        arrays = {f"s/{model}": s, f"curves/{at}": f[:N_SHOWN].astype(np.float32), f"v/{at}": v.cpu().numpy()}
        few = slice(0, 6)
        arrays |= {f"x/{model}": images.x[few].cpu().numpy(), f"scores/{at}": scores[few].numpy()}
        return [row], arrays

    kinds = ("positive", "negative", RANDOM)
    points = [{"model": m, "target": t, "kind": kind} for m in study.specs(models) for t in targets for kind in kinds]
    return table_of(study, points, curves, ("models", "targets"), "scores along directions")


@evidence
def fig1_scores_evidence(table: pd.DataFrame) -> list[dict]:
    """Along the ends of the spectrum: shifts explain over half of the curves' variance, and over half of it is even."""
    found = []
    for model, rows in by_network(table):
        for (target, kind), part in rows[rows["kind"] != RANDOM].groupby(["target", "kind"], sort=False):
            null = rows[(rows["target"] == target) & (rows["kind"] == RANDOM)].iloc[0]
            one, name = part.iloc[0], f"{model} (class {target}, {kind})"
            shifts = {"estimate": one["shift_share"], "low": one["low"], "high": one["high"], "n": one["n"]}
            chance = {"null_low": null["low"], "null_high": null["high"]}
            found.append(claim("curves_are_shifts", name, shifts, ">", 0.5, **chance))
            even = {"estimate": one["even_share"], "low": one["even_low"], "high": one["even_high"], "n": one["n"]}
            chance = {"null_low": null["even_low"], "null_high": null["even_high"]}
            found.append(claim("symmetric_curves", name, even, ">", 0.5, **chance))
    return found


def _labels_along(
    study: Curved, spec: str, target: int, v: Tensor, s: np.ndarray, value: float
) -> tuple[list[dict], np.ndarray]:
    """One row a position: scores, softmax and labels of test images that start outside and inside the target class.

    Also (n, s) labels. An image belongs to the target class here if the network puts it there at s = 0.
    """
    scores = walk(study, spec, study.part("test", spec).x, v, s)
    labels = scores.argmax(2)
    inside = labels[:, len(s) // 2] == target
    own = scores[:, :, target]
    others = scores.clone()
    others[:, :, target] = -math.inf
    best = others.amax(2)
    confidence = scores.softmax(2)[:, :, target]
    rows = []
    for i, place in enumerate(s):
        outside = ~inside
        into = Rate.mean((labels[:, i] == target)[outside])
        row = {
            "s": float(place),
            "curvature": value,
            "moved_in": into.value,
            "low": into.low,
            "high": into.high,
            "n": into.n,
        }
        for name, what in (("target_score", own), ("other_score", best)):
            quantiles = torch.quantile(what[outside, i].double(), torch.tensor([0.5, *BAND], dtype=torch.float64))
            row |= dict(zip((name, f"{name}_30", f"{name}_70"), quantiles.tolist(), strict=True))
        row["softmax"] = float(confidence[outside, i].median())
        changed = Rate.mean(labels[:, i] != labels[:, len(s) // 2])
        row |= {"changed": changed.value, "changed_low": changed.low, "changed_high": changed.high}
        if bool(inside.any()):
            stays = Rate.mean((labels[:, i] == target)[inside])
            row |= {"stays": stays.value, "stays_low": stays.low, "stays_high": stays.high, "n_inside": stays.n}
        rows.append(row)
    return rows, labels.numpy().astype(np.int8)


def fig2_positive(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    targets: Sequence[int] = (3, 8),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 500,
    n_fit: int | Mapping[str, int] = 30,
    n_eval: int | None = 150,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    reach: float = 20.0,
    n_positions: int = 31,
    n_grid: int = 30,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 2 of [jetley2018]: along the most positively curved directions images move into the target class.

    One row a (model, target, kind, rank, s), kind "positive" (ranks 1 and 2) and the null "random": median and 30th to
    70th percentile of the target's score and of the best other one, over the test images that start outside the class;
    moved_in, the share of them that the network puts into it (low, high, n), softmax, their median probability of the
    target; stays, the share of the images of the class that stay. s is in the unit of the pixels, 2-norm, up to ``reach``
    of the paper's finite steps. The first target also has a grid of the two foremost directions: ``grid/<model>`` the
    share of ``n_grid`` images that start outside and are moved in, at ``s/<model>`` along both.
    """
    settings = {"n_train": n_train, "k": k, "step_factor": step_factor, "max_products": max_products}
    study = curved(data, n_fit, n_eval, seed, device, **settings)

    def along(model: str, target: int, kind: str, rank: int) -> tuple[list[dict], dict]:
        s = places(study, model, reach, n_positions)
        v, value = direction(study, model, target, kind, rank)
        rows, _ = _labels_along(study, model, target, v, s, value)
        return rows, {f"v/{model}/{target}/{kind} {rank}": v.cpu().numpy()}

    def grid(model: str, target: int) -> tuple[list[dict], dict]:
        s = places(study, model, reach, 13)
        one, two = (direction(study, model, target, "positive", rank)[0] for rank in (1, 2))
        x = study.part("test", model).x
        x = x[logits(study.model(model), x).argmax(1) != target][: checks.count(n_grid, "n_grid")]
        into = [(walk(study, model, x + float(a) * one, two, s).argmax(2) == target).float().mean(0) for a in s]
        return [{"kind": "grid", "n": len(x)}], {f"s/{model}": s, f"grid/{model}": torch.stack(into).numpy()}

    specs, over = study.specs(models), ("models", "targets")
    parts = [("positive", 1), ("positive", 2), (RANDOM, 1)]
    points = [{"model": m, "target": t, "kind": kind, "rank": r} for m in specs for t in targets for kind, r in parts]
    table = table_of(study, points, along, over, "along positive curvature")
    grids = table_of(study, [{"model": m, "target": targets[0]} for m in specs], grid, over, "grid")
    whole = pd.concat([table, grids], ignore_index=True)
    whole.attrs["arrays"] = table.attrs["arrays"] | grids.attrs["arrays"]
    return whole


def _pooled(rows: pd.DataFrame, value: str, n: str) -> dict[str, float]:
    """A rate over the images of all classes, from the rate of each."""
    rows = rows.dropna(subset=[value])
    total = int(rows[n].sum())
    if not total:
        return {"estimate": math.nan, "low": math.nan, "high": math.nan, "n": 0}
    one = Rate.of(round(float((rows[value] * rows[n]).sum())), total)
    return {"estimate": one.value, "low": one.low, "high": one.high, "n": total}


def _far(rows: pd.DataFrame, kind: str, side: int) -> pd.DataFrame:
    """The rows of the foremost direction of a kind at the end of the walk on one side, one a class."""
    part = rows[(rows["kind"] == kind) & (rows["rank"] == 1)]
    return part[part["s"] == (part["s"].max() if side > 0 else part["s"].min())]


def _claims(
    table: pd.DataFrame, name: str, kind: str, value: str, n: str, sense: str, bound: float, complement: bool = False
) -> list[dict]:
    """One row a (network, side of 0), the null "random" beside it; complement: of one minus the value."""
    found = []
    for model, rows in by_network(table):
        rows = rows.assign(value=1 - rows[value] if complement else rows[value])
        for side, words in ((1, "s > 0"), (-1, "s < 0")):
            null = _pooled(_far(rows, RANDOM, side), "value", n)
            one = _pooled(_far(rows, kind, side), "value", n)
            chance = {"null_low": null["low"], "null_high": null["high"]}
            found.append(claim(name, f"{model} ({words})", one, sense, bound, **chance))
    return found


@evidence
def fig2_positive_evidence(table: pd.DataFrame) -> list[dict]:
    """At either end of the walk along the most positive direction more than half of all images are in the class."""
    return _claims(table, "target_overtakes", "positive", "moved_in", "n", ">", 0.5)


def fig_negative_flat(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    targets: Sequence[int] = (3, 8),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 500,
    n_fit: int | Mapping[str, int] = 30,
    n_eval: int | None = 150,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    reach: float = 20.0,
    n_positions: int = 31,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Supplement of [jetley2018]: images leave the class along negative curvature; flat directions do nothing.

    One row a (model, target, kind, s), kind "negative" (the most negative direction), "flat" (the smallest modulus; where
    only the ends are known, a random direction orthogonal to them) and the null "random". Columns as in Figure 2;
    changed: the share of all test images whose label is not the one at s = 0, with its interval.
    """
    settings = {"n_train": n_train, "k": k, "step_factor": step_factor, "max_products": max_products}
    study = curved(data, n_fit, n_eval, seed, device, **settings)

    def along(model: str, target: int, kind: str) -> tuple[list[dict], dict]:
        v, value = direction(study, model, target, kind)
        rows, _ = _labels_along(study, model, target, v, places(study, model, reach, n_positions), value)
        return [{"rank": 1, **row} for row in rows], {f"v/{model}/{target}/{kind}": v.cpu().numpy()}

    kinds = ("negative", "flat", RANDOM)
    points = [{"model": m, "target": t, "kind": kind} for m in study.specs(models) for t in targets for kind in kinds]
    return table_of(study, points, along, ("models", "targets"), "along negative and no curvature")


@evidence
def fig_negative_flat_evidence(table: pd.DataFrame) -> list[dict]:
    """At either end: over half of the class have left it along negative curvature; under 5 % change along flat ones."""
    rows = _claims(table, "negative_leaves", "negative", "stays", "n_inside", ">", 0.5, complement=True)
    inside = table["n_inside"].fillna(0) if "n_inside" in table else 0
    table = table.assign(n_all=table["n"] + inside)
    return rows + _claims(table, "flat_does_nothing", "flat", "changed", "n_all", "<", 0.05)
