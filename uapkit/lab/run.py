"""A run as pages and claims read it: its table, arrays and provenance, loaded once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from uapkit.lab.nulls import COLUMNS, NULLS


class Arrays(dict[str, Any]):
    """Arrays by name in a table's ``attrs``: shared, not copied, whenever pandas copies a table's attributes."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Arrays:
        return self


@dataclass(frozen=True, eq=False)
class Run:
    """One run of an item. table: tidy rows; arrays: by name; provenance: how it was made; stale: why it must be redone, or ""."""

    table: pd.DataFrame
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stale: str = ""

    @classmethod
    def of(cls, table: pd.DataFrame) -> Run:
        """From an item's table, whose ``attrs`` hold arrays and provenance; rows get the column ``is_null``."""
        attrs, plain = table.attrs, table.copy(deep=False)
        plain.attrs = {}
        return cls(
            marked(plain), attrs.get("arrays") or {}, attrs.get("provenance") or {}, str(attrs.get("stale") or "")
        )

    @property
    def rows(self) -> pd.DataFrame:
        """The rows that were run."""
        return self.table[self.table["status"] == "run"] if "status" in self.table else self.table

    @property
    def measured(self) -> pd.DataFrame:
        """The rows that were run and are no null."""
        return self.rows[~self.rows["is_null"]]

    def where(self, **columns: Any) -> pd.DataFrame:
        """The rows run whose columns have these values; a list takes any of its members."""
        return rows_of(self.rows, **columns)

    def by_network(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """(network, its rows that were run), in the table's order."""
        yield from self.rows.groupby("model", sort=False)

    def flags(self, *path: object) -> np.ndarray:
        """The array called ``a/b/c`` for path (a, b, c): of images fooled, or whatever the item stores."""
        name = "/".join(map(str, path))
        if name not in self.arrays:
            raise KeyError(f"the run has no array {name!r}")
        return self.arrays[name]

    def all_flags(self, *path: object) -> list[np.ndarray]:
        """Every array whose name begins with the path: one for each draw of a null, say."""
        start = "/".join(map(str, path)) + "/"
        return [array for name, array in self.arrays.items() if name.startswith(start)]


def marked(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the column ``is_null``, True for baselines; an item that says it itself is believed.

    Rows of what is not on this machine say nothing of it, and are no null.
    """
    if "is_null" in table:
        return table.assign(is_null=table["is_null"].eq(True).astype(bool))
    named = [table[column].isin(NULLS) for column in COLUMNS if column in table]
    return table.assign(is_null=np.logical_or.reduce(named) if named else False)


def rows_of(table: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """The rows whose columns have these values; a list takes any of its members."""
    for column, value in where.items():
        table = table[table[column].isin(value if isinstance(value, (list, tuple, set)) else [value])]
    return table


def joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Several tables of a run as one, with all their arrays."""
    table = pd.concat(parts, ignore_index=True)
    arrays = Arrays()
    for part in parts:
        arrays |= part.attrs.get("arrays") or {}
    table.attrs = {"arrays": arrays}
    return table
