"""What paper E's items share: the points of a sweep, the columns of all tables, random subspaces, means over training seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from uapkit import checks
from uapkit.experiments.directions import Turned, family, training_seed
from uapkit.lab.sweep import sweep
from uapkit.seeds import child_seed
from uapkit.subspace import random_subspace

QUICK = ("stdcnn_digits", "gcnn_digits")
CHOOSE = ("models", "attacks", "samples")  # parameters that only choose points


def points_of(bench: Turned, models: Sequence[Any], **lists: Any) -> list[dict[str, Any]]:
    """All combinations of networks and the given lists, networks outermost (one is in memory at a time).

    A mapping gives each network its own list, "other" those that it does not name.
    """
    points: list[dict[str, Any]] = [{"model": spec} for spec in bench.specs(models)]
    for name, values in lists.items():
        own: dict[str, Any] = dict(values) if isinstance(values, Mapping) else {"other": values}
        points = [p | {name: value} for p in points for value in own.get(p["model"]) or own.get("other", ())]
    return points


def tidy(
    bench: Turned, points: list[dict], compute: Callable[..., Any], over: Sequence[str], desc: str
) -> pd.DataFrame:
    """The sweep's table with the columns that all items share."""
    table = sweep(points, compute, over=over, desc=desc)
    if "model" in table:
        table.insert(1, "weights", [bench.weights(m) for m in table["model"]])
        table.insert(2, "network", [family(m) for m in table["model"]])
        table.insert(3, "training_seed", [training_seed(m) for m in table["model"]])
    table.insert(0, "data", bench.data)
    return table


def subspaces(bench: Turned, kind: str, n: int, k: int, n_random: int) -> list[np.ndarray]:
    """(d, k) bases of random subspaces of all of R^d, or inside the images' own principal subspace."""
    checks.count(n_random, "n_random")
    size, inside = bench.turned(1).x[0].numel(), None if kind == "random" else bench.own_subspace(n)
    return [
        random_subspace(size, k, child_seed(bench.seed, f"{kind} {j}"), inside=inside).numpy() for j in range(n_random)
    ]


def central(name: str, draws: Sequence[float]) -> dict[str, float]:
    """Mean of the draws as ``name``, and their central 95 % as low and high."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return {name: float(np.mean(draws)), "low": float(low), "high": float(high)}


def over_seeds(table: pd.DataFrame, value: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """One row a (network, *by): mean of ``value`` over training seeds, its spread (standard deviation), min, max, n_seeds.

    table: one row a training seed in each group, or ValueError. The interval over images stays with the single networks.
    """
    rows = table[table["status"] == "run"].dropna(subset=value)
    keys = ["network", *by]
    if rows.duplicated([*keys, "training_seed"]).any():
        raise ValueError(f"several rows a training seed for {', '.join(keys)}; name more columns in by")
    found = rows.groupby(keys, sort=False)[value].agg(["mean", "std", "min", "max", "count"]).reset_index()
    return found.rename(columns={"mean": value, "std": "spread", "count": "n_seeds"})
