"""Theorems 1 and 2 of [equivariant2019], measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit import checks, evaluate
from uapkit.experiments import directions as d
from uapkit.experiments.directions import ATTACKS, Turned
from uapkit.experiments.equivariant2019_shared import CHOOSE, QUICK, points_of, tidy
from uapkit.seeds import generator


def thm1_alignment(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ATTACKS,
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 200,
    n_delta: int = 21,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Theorem 1 of [equivariant2019], measured: share of directions with |<a, v>| >= delta |a| against its bound.

    One row a (model, attack, kind, sample, delta): survival in [0, 1] with Wilson's interval on n_rows rows, bound =
    (lambda - delta^2) / (1 - delta^2), or 0. sample "in sample": v and lambda from the rows themselves; "held out": from
    one half, measured on the other, both ways. mean_square: of the measured c = <a, v>, the lambda for which the bound is
    exact there; same_sign: share of the larger sign among the rows that are aligned, of which the theorem says nothing.
    """
    checks.count(n_delta, "n_delta", 2)
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)

    def aligned(fit: torch.Tensor, rows: torch.Tensor) -> tuple[float, np.ndarray]:
        values, v = d.top(d.moments(fit, 1).sum(0), 1)
        return float(values[0]), rows.double().numpy() @ v[:, 0]

    def survival(model: str, attack: str) -> list[dict]:
        found = []
        kinds = ("trained", "random", "untrained network") if attack != "deepfool" else ("trained", "random")
        for kind in kinds:
            rows = bench.rows(model, attack, n, kind)
            rows = rows[rows.any(1)]
            half = len(rows) // 2
            value, c = aligned(rows, rows)
            first, c_second = aligned(rows[:half], rows[half:])
            second, c_first = aligned(rows[half:], rows[:half])
            agree = (
                1.0 if c_first @ c[:half] * (c_second @ c[half:]) >= 0 else -1.0
            )  # one sign for both halves' vectors
            both = {"in sample": (value, c)}
            both["held out"] = ((first + second) / 2, np.concatenate([c_first * agree, c_second]))
            for sample, (top_value, cosines) in both.items():
                for delta in np.linspace(0, 1, n_delta)[:-1]:
                    hit = np.abs(cosines) >= delta
                    rate = evaluate.Rate.of(int(hit.sum()), len(hit))
                    row = {"kind": kind, "sample": sample, "delta": float(delta), "lambda": top_value}
                    row |= {"mean_square": float((cosines**2).mean()), "n_rows": len(hit)}
                    row |= {"survival": rate.value, "low": rate.low, "high": rate.high}
                    row["bound"] = max(0.0, (top_value - delta**2) / (1 - delta**2))
                    row["same_sign"] = float(
                        max((cosines[hit] > 0).mean(), (cosines[hit] < 0).mean()) if hit.any() else np.nan
                    )
                    found.append(row)
        return found

    return tidy(bench, points_of(bench, models, attack=attacks), survival, CHOOSE, "alignment")


def thm2_sampling(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 300,
    samples: Sequence[int] = (25, 50, 100, 200),
    n_draws: int = 3,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Theorem 2 of [equivariant2019], measured: how far the top eigenvector of m sampled rows is from that of all.

    One row a (model, attack, m, draw), m rows drawn with repetition. error: the spectral norm of M - M~; gap: lambda1 -
    lambda2 of M; distance: |v - v~| with the better sign; sine of their angle; bound: error / (gap - error) as stated,
    davis_kahan: 2 error / gap, which bounds the sine whatever the error (Yu, Wang and Samworth 2015). m_stated:
    d log d / error^2, the stated order; m_bernstein: 2 (lambda1 + error / 3) log(2 d) / error^2, what the matrix
    Bernstein bound asks for rank-one summands of unit norm. kind "random": rows without a common direction.
    """
    for m in samples:
        checks.count(m, "number of sampled rows")
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)

    def measured(rows: torch.Tensor, kind: str) -> list[dict]:
        rows = rows[rows.any(1)].double()
        whole = rows.T @ rows / len(rows)
        values, vectors = d.top(whole, 2)
        size, gap, found = len(whole), float(values[0] - values[1]), []
        for m, j in itertools.product(samples, range(n_draws)):
            pick = torch.randint(len(rows), (m,), generator=generator(seed, f"theorem 2/{m}/{j}"))
            sample = rows[pick].T @ rows[pick] / m
            error = float(np.abs(np.linalg.eigvalsh((whole - sample).numpy())).max())
            cosine = min(1.0, abs(float(d.top(sample, 1)[1][:, 0] @ vectors[:, 0])))
            row = {"kind": kind, "m": m, "draw": j, "n_rows": len(rows), "lambda1": values[0], "gap": gap}
            row |= {"error": error, "distance": math.sqrt(2 - 2 * cosine), "sine": math.sqrt(1 - cosine**2)}
            row |= {"bound": error / (gap - error) if error < gap else math.nan, "davis_kahan": 2 * error / gap}
            row["m_stated"] = size * math.log(size) / error**2
            row["m_bernstein"] = 2 * (values[0] + error / 3) * math.log(2 * size) / error**2
            found.append(row)
        return found

    @cache
    def random() -> list[dict]:
        return measured(bench.rows("", "", n, "random"), "random")

    def draws(model: str, attack: str) -> list[dict]:
        return measured(bench.rows(model, attack, n), "trained") + random()

    return tidy(bench, points_of(bench, models, attack=attacks), draws, ("models", "attacks"), "sampling")
