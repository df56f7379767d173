"""From points to one tidy table, and from tables to rows of evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from torch import Tensor

from uapkit import evaluate


def by_network(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """(network, its rows that were run), in the table's order."""
    return list(table[table["status"] == "run"].groupby("model", sort=False))


def claim(name: str, network: str, found: Mapping[str, float], sense: str, bound: float, **null: float) -> dict:
    """One row of evidence; ``found`` has estimate, low, high (a fooling rate counts as the estimate) and perhaps n."""
    estimate = found["estimate"] if "estimate" in found else found["fooling_rate"]
    row = {"claim": name, "network": network, "estimate": estimate, "low": found["low"], "high": found["high"]}
    return row | {"sense": sense, "bound": bound, "n": found.get("n", math.nan)} | null


def as_null(found: Mapping[str, float]) -> dict[str, float]:
    """An estimate as the null beside a claim."""
    estimate = found["estimate"] if "estimate" in found else found["fooling_rate"]
    return {"null": estimate, "null_low": found["low"], "null_high": found["high"]}


def evidence(make: Callable[[pd.DataFrame], list[dict]]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """An evidence function from one that returns rows."""

    def table(run: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(make(run))

    table.__doc__ = make.__doc__
    return table


def mean_of(values: Tensor) -> dict[str, float]:
    """estimate, low, high (Student, 95 %) and n of a mean."""
    one = evaluate.mean_interval([float(v) for v in values])
    return {"estimate": one.value, "low": one.low, "high": one.high, "n": one.n}


def rows_of(table: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """The rows whose columns have these values; a list takes any of its members."""
    for column, value in where.items():
        table = table[table[column].isin(value if isinstance(value, (list, tuple, set)) else [value])]
    return table
