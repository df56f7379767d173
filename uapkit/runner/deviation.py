"""How far a rerun may lie from what is stored, and how far it does.

Text, counts and what is missing must be equal; a share (a column within [0, 1]) may move by :data:`SHARE`, any other number
by :data:`RELATIVE` of its column's largest. Columns of seconds are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

SHARE, RELATIVE = 0.005, 0.01


def compare(stored: pd.DataFrame, again: pd.DataFrame, ignore: tuple[str, ...] = ()) -> tuple[list[str], float, bool]:
    """(sentences on what differs, largest deviation in units of the tolerance, equal to the last digit?), row by row."""
    if len(stored) != len(again):
        return [f"{len(stored)} rows are stored, {len(again)} came out"], float("inf"), False
    lost = [c for c in stored if c not in again and not stored[c].isna().all()]
    found, worst, equal = [f"the column {c} did not come out" for c in lost], 0.0, not lost
    for column, deviation in deviations(stored, again, ignore).items():
        equal &= bool((deviation == 0).all())
        worst = max(worst, float(deviation.max(initial=0.0)))
        if (deviation > 1).any():
            k = int(deviation.argmax())
            one, other = stored[column].iloc[k], again[column].iloc[k]
            found.append(f"{column} in row {k + 1}: stored {one}, now {other} ({int((deviation > 1).sum())} rows)")
    return found, worst, equal


def deviations(stored: pd.DataFrame, again: pd.DataFrame, ignore: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """{column: each row's deviation in units of the tolerance} of the columns that are compared, of tables of like length."""
    found = {}
    for column in [c for c in stored if c in again and c not in ignore and "seconds" not in c]:
        one, other = stored[column].reset_index(drop=True), again[column].reset_index(drop=True)
        if _numeric(one) and _numeric(other):
            found[column] = _deviation(*(s.to_numpy(dtype=float, na_value=np.nan) for s in (one, other)))
        else:
            alike = (one.isna() & other.isna()) | (one.astype(str) == other.astype(str))
            found[column] = np.where(alike, 0.0, np.inf)
    return found


def restless(stored: pd.DataFrame, again: pd.DataFrame, margin: float = 0.1) -> list[str]:
    """Columns that move by more than ``margin`` of the tolerance; all of them where another number of rows came out."""
    if len(stored) != len(again):
        return sorted(stored)
    return sorted(c for c, deviation in deviations(stored, again).items() if (deviation > margin).any())


def moved(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Sentences on data and weights that both runs read and that are not the same any more."""
    return [
        f"{name} is another file now (sha256 {before[name][:12]} then, {now[name][:12]} now)"
        for name in sorted(before.keys() & now.keys())
        if before[name] != now[name]
    ]


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) or bool(column.isna().all())


def _deviation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b| in units of the tolerance; 0 where both are missing or the same infinity, inf where only one is."""
    finite = a[np.isfinite(a)]
    largest = float(np.abs(finite).max(initial=0.0))
    whole = bool((finite == np.rint(finite)).all())
    share = not whole and len(finite) > 0 and finite.min() >= 0 and largest <= 1
    allowed = SHARE if share else RELATIVE * largest
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(a - b) / allowed if allowed else np.full(len(a), np.inf)
    return np.where(same, 0.0, np.where(np.isfinite(off), off, np.inf))
