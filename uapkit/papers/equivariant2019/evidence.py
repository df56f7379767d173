"""From rows of a table to estimates; where an item has several nulls, the one nearest to the claim is the one to beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from uapkit import lab
from uapkit.intervals import Interval
from uapkit.lab import Run

Columns = tuple[str, str, str]  # value, low, high


def estimate(row: pd.Series, columns: Columns, n: str = "n") -> Interval:
    """The interval in these columns of a row; ``n`` names the column with the number of observations."""
    return lab.from_row(row, *columns, n=n)


def nearest_null(rows: pd.DataFrame, columns: Columns, sense: str) -> Interval | None:
    """Of these rows of nulls the one that comes nearest to satisfying a claim; None without any."""
    if rows.empty:
        return None
    return estimate(rows.sort_values(columns[0], ascending=sense == "<").iloc[0], columns)


def groups(run: Run, by: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, rows) of each combination of the columns ``by``, in the table's order."""
    for key, rows in run.rows.groupby(list(by), sort=False) if len(run.rows) else ():
        yield ", ".join(f"{k:g}" if isinstance(k, float) else str(k) for k in key), rows
