"""Table 1 and Figures 2b, 3b and 4b of [equivariant2019]: attack directions against invariant directions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit.experiments import directions as d
from uapkit.experiments.directions import NULLS, Turned
from uapkit.experiments.equivariant2019_shared import CHOOSE, QUICK, central, points_of, subspaces, tidy
from uapkit.subspace import principal_angles


def fig2_dot_products(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    step: float = 2.0,
    samples: Sequence[int] = (50, 150),
    ks: Sequence[int] = (5, 10),
    n_random: int = 50,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 2b, 3b and 4b of [equivariant2019]: dot products of top attack and top invariant directions.

    One row a (model, attack, sample, k, kind): mean_dot, the mean modulus over all k x k pairs, with its jackknife
    interval; for random subspaces the mean and the central 95 % of ``n_random`` draws. step: degrees between the two
    images whose difference is an invariant direction.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    bench.most = max(bench.count(n) for n in samples)
    invariants: dict[int, torch.Tensor] = {}

    def dots(model: str, attack: str, sample: int) -> list[dict]:
        if sample not in invariants:
            invariants[sample] = d.moments(bench.invariant(sample, step))
        invariant, found = invariants[sample], []
        for kind in ("trained", "untrained network"):
            if kind == "trained" or attack != "deepfool" or sample == min(samples):
                parts = d.moments(bench.rows(model, attack, sample, kind))
                value, low, high, _ = d.jackknife(lambda a, b: d.mean_dots(a, b, ks), parts, invariant)
                found += [
                    {"kind": kind, "k": k, "mean_dot": value[j], "low": low[j], "high": high[j]}
                    for j, k in enumerate(ks)
                ]
        return [row | {"n_fit": sample} for row in found + random_dots(sample)]

    @cache
    def random_dots(sample: int) -> list[dict]:
        """The same for every network and attack: invariant directions against random subspaces."""
        u = d.top(invariants[sample].sum(0), max(ks))[1]
        draws = {kind: subspaces(bench, kind, sample, max(ks), n_random) for kind in NULLS[:2]}
        return [
            {"kind": kind, "k": k, **central("mean_dot", [np.abs(u[:, :k].T @ w[:, :k]).mean() for w in ws])}
            for kind, ws in draws.items()
            for k in ks
        ]

    points = points_of(bench, models, attack=attacks, sample=samples)
    return tidy(bench, points, dots, ("models", "attacks"), "dot products")


def tab1_angles(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient",),
    data: str = "digits",
    rotation: float = 30.0,
    step: float = 2.0,
    n_fit: int | None = 300,
    k: int = 5,
    n_random: int = 100,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 1 of [equivariant2019]: principal angles between the top k attack and the top k invariant directions.

    One row a (model, attack, kind, index): principal_angle in degrees, index 1 the largest as in the paper, with its
    jackknife interval. Nulls: random subspaces of R^d and of the images' own principal subspace (mean and central 95 %
    of ``n_random`` draws), and the attack directions of an untrained network. data_dimension: of the images' principal
    subspace; inside_data: share of the k attack directions that lies in it, which says how apt that null is.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)

    def table(model: str, attack: str) -> list[dict]:
        invariant, found = d.moments(bench.invariant(n, step)), []

        own = bench.own_subspace(n).numpy()

        def add(kind: str, triples: Any, v: np.ndarray | None = None) -> None:
            inside = math.nan if v is None else float(((own.T @ v) ** 2).sum() / k)
            for j, (value, low, high) in enumerate(triples, 1):
                row = {"kind": kind, "index": j, "principal_angle": value, "low": low, "high": high}
                found.append(row | {"n_fit": n, "data_dimension": own.shape[1], "inside_data": inside})

        for kind in ("trained", "untrained network"):
            parts = d.moments(bench.rows(model, attack, n, kind))
            value, low, high, _ = d.jackknife(lambda a, b: d.angles(a, b, k), parts, invariant)
            add(kind, list(zip(value, low, high.clip(max=90), strict=True)), d.top(parts.sum(0), k)[1])
        u = torch.from_numpy(d.top(invariant.sum(0), k)[1].copy())
        for kind in NULLS[:2]:
            draws = [principal_angles(u, torch.from_numpy(w)) for w in subspaces(bench, kind, n, k, n_random)]
            add(kind, np.vstack([np.mean(draws, 0), np.percentile(draws, [2.5, 97.5], axis=0)]).T)
        return found

    return tidy(bench, points_of(bench, models, attack=attacks), table, CHOOSE, "angles")
