"""Paper M's fooling rates: Table 1, five shuffles (Figure 5), and the size of the set fitted on (Figure 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit.experiments.common import paired, rate
from uapkit.experiments.moosavi2017_shared import Study, facts, kind_of_null
from uapkit.experiments.tidy import as_null, by_network, claim, evidence, rows_of
from uapkit.lab.sweep import PerNetwork, for_network, sweep

UAP, BLOCKED, EQUAL = "UAP", "UAP, blocked", "equal length"


def tab1_fooling_rates(
    *,
    models: Sequence[Any] = ("lenet_digits", "vgg_digits"),
    norms: PerNetwork = (2.0, math.inf),
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 48,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    block: int = 8,
    blocked: Sequence[str] = ("lenet_digits",),
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 1 of [moosavi2017]: fooling rates in the 2-norm and the infinity norm, on X and on other images.

    One row a (model, norm, kind, scored_on): kind "UAP" (Algorithm 1 in the paper's order), on the networks in
    ``blocked`` also "UAP, blocked" (``block`` images a step, norm inf only), and the null of norm eps, one row a draw;
    "equal length" is a null as long in the 2-norm as the perturbation itself, which may not fill its ball. scored_on "X"
    (data then reads "X (n train)") or "held out": fooling_rate, low, high, n. eps: radius, 0 to 255; l2_norm and
    linf_norm what the perturbation has of it. end: "reached" (``target_rate`` on X), "stalled" or "pass limit", after
    ``passes``; steps: images that moved v; failures: those where DeepFool reached no other label. Flags of the scored
    images as ``fooled/<model>/<norm>/<kind>`` in ``attrs["arrays"]``, rates pass by pass (on X, on the first scored
    images) as ``passes/<model>/<norm>/<kind>``. data, n_fit (images set apart), n_images (those of them in X),
    n_eval, max_passes: for all networks or by network.
    """
    study = Study(data, n_fit, n_images, n_eval, eps, target_rate, max_passes, seed, device)
    over = ("models", "norms", "blocked")

    def attacked(model: str, norm: float, kind: str) -> tuple[list[dict], dict]:
        made = study.fit(model, norm=norm, block=1 if kind == UAP else block)
        about = {"eps": 255 * made.eps, **facts(made)}
        on_x, flags = study.fooled_x(model, made.v), study.fooled(model, made.v)
        name = f"{model}/{norm:g}/{kind}"
        rows = [
            {"scored_on": "X", "data": f"X ({len(on_x)} train)", **about, **rate(on_x)},
            {"scored_on": "held out", **about, **rate(flags)},
        ]
        if kind == UAP:
            noise = study.random(model, 0, norm)
            noise = noise * (made.v.double().norm() / noise.double().norm()).to(noise)
            sizes = {"l2_norm": about["l2_norm"], "linf_norm": 255 * float(noise.abs().max())}
            rows.append({"kind": EQUAL, "scored_on": "held out", **sizes, **rate(study.fooled(model, noise))})
        curve = np.array([made.history, made.made_by["held_out_rates"]])
        return rows, {f"fooled/{name}": flags.numpy(), f"passes/{name}": curve}

    def null(model: str, norm: float) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        for k in range(n_random):
            flags = study.fooled(model, study.random(model, k, norm))
            about = {"kind": kind_of_null(norm), "scored_on": "held out", "draw": k}
            rows.append({**about, "eps": 255 * study.radius(model, norm), **rate(flags)})
            arrays[f"fooled/{model}/{norm:g}/null/{k}"] = flags.numpy()
        return rows, arrays

    parts = []
    for spec in study.specs(models):
        own = for_network(norms, spec)
        kinds = [(norm, UAP) for norm in own] + ([(math.inf, BLOCKED)] if spec in blocked else [])
        points = [{"model": spec, "norm": norm, "kind": kind} for norm, kind in kinds]
        parts.append(sweep(points, attacked, over=over, per_network=True, desc=f"{spec}: UAP"))
        parts.append(
            sweep(
                [{"model": spec, "norm": norm} for norm in own], null, over=over, per_network=True, desc=f"{spec}: null"
            )
        )
    return study.joined(parts)


@evidence
def tab1_fooling_rates_evidence(table: pd.DataFrame) -> list[dict]:
    """Rates against 77 %, the gap between X and other images, and the blocked variant against the paper's order.

    The paper's X has 10,000 images. A smaller X gives a lower rate on other images (Figure 6), so where X is smaller, the
    rate here bounds the paper's from below only: the interval then reaches up to 1, and can confirm but not refute. The
    gap is judged as it is; "nearly equal" is less than 5 points (the paper's largest gap is 2.4).
    """
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        for (norm, kind), part in rows[rows["kind"].isin([UAP, BLOCKED])].groupby(["norm", "kind"], sort=False):
            on_x, held = (part[part["scored_on"] == s].iloc[0] for s in ("X", "held out"))
            about = f"{model}, norm {norm:g}, {kind}, {on_x['n']:.0f} images in X"
            if kind == UAP:
                here = {"estimate": held["fooling_rate"], "low": held["low"], "n": held["n"]}
                here["high"] = held["high"] if on_x["n"] >= 10_000 else 1.0
                draws = rows_of(rows, norm=norm, kind=kind_of_null(norm))
                null = {c: draws[c].mean() for c in ("fooling_rate", "low", "high")}
                found.append(claim("above_77_percent", about, here, ">", 0.77, **as_null(null)))
                found.append(claim("no_overfitting", about, _gap(on_x, held), "<", 0.05))
            else:
                both = [arrays[f"fooled/{model}/{norm:g}/{k}"] for k in (BLOCKED, UAP)]
                found.append(claim("blocked_fools_more", about, paired(*both), ">", 0.0))
    return found


def _gap(a: pd.Series, b: pd.Series) -> dict[str, float]:
    """Difference of two rates on different images; Newcombe's interval from the two Wilson intervals."""
    d = a["fooling_rate"] - b["fooling_rate"]
    down = math.hypot(a["fooling_rate"] - a["low"], b["high"] - b["fooling_rate"])
    up = math.hypot(a["high"] - a["fooling_rate"], b["fooling_rate"] - b["low"])
    return {"estimate": d, "low": d - down, "high": d + up, "n": b["n"]}


def fig5_diversity(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 5 of [moosavi2017]: perturbations from several shuffles of one X, and how alike they are.

    Rows of kind "UAP", one a (model, shuffle): fooling_rate, low, high, n on other images, end, passes, norms. Rows of
    kind "pair", one a pair of shuffles: cosine, the normalised inner product; of kind "random signs" or "random
    direction" the same for as many random perturbations, the null. Rows of kind "sum": fooling_rate of the shuffles' sum
    at the same norm, as an answer to whether they are steps in one direction. Perturbations as ``v/<model>/<shuffle>``,
    Gram matrices as ``gram/<model>`` in ``attrs["arrays"]``. ``seed`` chooses the images.
    """
    study = Study(data, n_fit, n_images, n_eval, eps, target_rate, max_passes, seed, device)

    def shuffle(model: str, shuffle: int) -> tuple[list[dict], dict]:
        made = study.fit(model, norm=norm, seed=shuffle)
        row = {"kind": UAP, "eps": 255 * made.eps, **facts(made), **rate(study.fooled(model, made.v))}
        return [row], {f"v/{model}/{shuffle}": made.v.cpu().numpy()}

    def alike(model: str, shuffles: str) -> tuple[list[dict], dict]:
        vectors = [study.fit(model, norm=norm, seed=k).v for k in seeds]
        draws = [study.random(model, k, norm) for k in range(len(seeds))]
        rows, grams = [], {}
        for kind, group in (("pair", vectors), (kind_of_null(norm), draws)):
            grams[kind] = gram(group)
            pairs = combinations(range(len(seeds)), 2)
            rows += [
                {"kind": kind, "shuffle": seeds[i], "other": seeds[j], "cosine": grams[kind][i, j]} for i, j in pairs
            ]
        total = torch.stack(vectors).sum(0)
        total = total.sign() * study.radius(model, norm) if norm == math.inf else total
        total = total * (study.radius(model, norm) / torch.linalg.vector_norm(total, norm))
        rows.append({"kind": "sum", **rate(study.fooled(model, total))})
        rows += [{"kind": kind_of_null(norm), "draw": k, **rate(study.fooled(model, v))} for k, v in enumerate(draws)]
        return rows, {f"gram/{model}": grams["pair"]}

    parts = []
    for spec in study.specs(models):
        points = [{"model": spec, "shuffle": k} for k in seeds]
        parts.append(sweep(points, shuffle, over=("models", "seeds"), per_network=True, desc=f"{spec}: shuffles"))
        parts.append(sweep([{"model": spec, "shuffles": str(list(seeds))}], alike, over=("models",), per_network=True))
    return study.joined(parts).drop(columns="shuffles")


def gram(vectors: Sequence[Tensor]) -> np.ndarray:
    """(k, k) normalised inner products of k perturbations of one shape."""
    rows = torch.stack([v.flatten().double().cpu() for v in vectors])
    rows = rows / rows.norm(dim=1, keepdim=True)
    return (rows @ rows.T).numpy()


@evidence
def fig5_diversity_evidence(table: pd.DataFrame) -> list[dict]:
    """The largest modulus of all pairs' inner products; the interval runs from the smallest to the largest of them.

    Random vectors satisfy the claim, too: being unlike each other is what chance gives. It counts where each of the
    perturbations fools more than every random one, so the null column holds only where one of them does not.
    """
    found = []
    for model, rows in by_network(table):
        size = rows.loc[rows["kind"] == "pair", "cosine"].abs()
        if size.empty:
            continue
        here = {"estimate": size.max(), "low": size.min(), "high": size.max(), "n": len(size)}
        attack, chance = rows[rows["kind"] == UAP], rows[rows["kind"].str.startswith("random") & rows["low"].notna()]
        null = {"estimate": math.nan, "low": math.nan, "high": math.nan}
        if attack["low"].min() <= chance["high"].max():
            null = dict.fromkeys(null, 0.0)
        found.append(claim("inner_product_at_most_0.1", model, here, "<", 0.1, **as_null(null)))
    return found


def fig6_set_size(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    sizes: PerNetwork = (8, 32, 128),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    more_data: str = "imagenet",
    n_fit: PerNetwork = 128,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: int = 5,
    max_visits: PerNetwork = 128,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 6 of [moosavi2017]: fooling rate on other images against the number of images in X.

    One row a (model, kind, n_images): kind "UAP", X the first n_images of those set apart; fooling_rate, low, high, n on
    the scored images, rate_on_fit, end, passes, steps. max_visits (for all or by network): an image counts each time that
    a pass comes to it; a run has as many passes as keep to it, one at least, ``max_passes`` at most, and fewer if
    ``target_rate`` is reached. So equal ``max_visits`` compares sizes at about equal cost. sizes: for all or by network;
    those above n_fit are taken from the training split of ``more_data`` and scored on its other split, and are "not run
    here" where that set is missing. Null: random signs or directions, one row a draw. Flags as ``fooled/<model>/<n_images>``,
    rates pass by pass (on X, on the first scored images) as ``passes/<model>/<n_images>``.
    """
    over = ("models", "sizes")
    study = Study(data, n_fit, None, n_eval, eps, target_rate, max_passes, seed, device)
    specs = study.specs(models)

    def size(model: str, n_images: int) -> tuple[list[dict], dict]:
        at, there = study, for_network(data, model)
        if n_images > for_network(n_fit, model):
            at, there = Study(more_data, n_images, None, n_eval, eps, target_rate, max_passes, seed, device), more_data
            at.specs(models)
        passes = min(max_passes, max(1, for_network(max_visits, model) // n_images))
        made = at.fit(model, norm=norm, n=n_images, max_passes=passes)
        flags = at.fooled(model, made.v)
        fit = float(at.fooled_x(model, made.v, n_images).float().mean())
        row = {"kind": UAP, "data": there, "eps": 255 * made.eps, **facts(made), "rate_on_fit": fit, **rate(flags)}
        curve = np.array([made.history, made.made_by["held_out_rates"]])
        return [row], {f"fooled/{model}/{n_images}": flags.numpy(), f"passes/{model}/{n_images}": curve}

    def null(model: str) -> tuple[list[dict], dict]:
        flags = [study.fooled(model, study.random(model, k, norm)) for k in range(n_random)]
        rows = [{"kind": kind_of_null(norm), "draw": k, **rate(f)} for k, f in enumerate(flags)]
        return rows, {f"fooled/{model}/null/{k}": f.numpy() for k, f in enumerate(flags)}

    parts = []
    for spec in specs:
        points = [{"model": spec, "n_images": n} for n in for_network(sizes, spec)]
        parts.append(sweep(points, size, over=over, per_network=True, desc=f"{spec}: sizes"))
        parts.append(sweep([{"model": spec}], null, over=over, per_network=True))
    return study.joined(parts)


@evidence
def fig6_set_size_evidence(table: pd.DataFrame) -> list[dict]:
    """500 images against 30 %, with random signs as the null; and the largest X against the smallest, same images."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        attack = rows[rows["kind"] == UAP].set_index("n_images")
        null = {c: rows.loc[rows["kind"].str.startswith("random"), c].mean() for c in ("fooling_rate", "low", "high")}
        if 500 in attack.index:
            found.append(claim("500_images_fool_30_percent", model, dict(attack.loc[500]), ">", 0.3, **as_null(null)))
        same = attack[attack["data"] == attack["data"].iloc[0]] if len(attack) else attack
        if len(same) > 1:
            ends = [int(same.index.max()), int(same.index.min())]
            change = paired(*(arrays[f"fooled/{model}/{n}"] for n in ends))
            found.append(claim("rises_with_size", f"{model}, {ends[0]} against {ends[1]} images", change, ">", 0.0))
    return found
