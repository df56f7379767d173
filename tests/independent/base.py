"""What all four chapters need: the stored numbers, the tolerances, and the list of numbers to find again.

Nothing here or beside this file imports the package; the stored tables and arrays are read with pandas and numpy.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["chapter", "item", "what", "from", "stored", "recomputed", "n", "tolerance", "how", "agrees"]
NOT_AT_HAND = "not at hand"
NUMBERS: list[Number] = []
WEIGHTS, ARRAYS = "weights and data", "stored arrays"


class NotHere(Exception):
    """Data that the folder in ``UAPKIT_DATA`` lacks."""


@dataclass(frozen=True)
class Found:
    """A number computed here: from how many images, and how far it may lie from the stored one, and why."""

    value: float
    n: int
    tolerance: float
    how: str


@dataclass(frozen=True)
class Number:
    """A stored number and the function that finds it again; it gets the stored one, for the tolerance alone."""

    chapter: str
    item: str
    what: str
    source: str
    stored: Callable[[], float]
    find: Callable[..., Found]

    def row(self) -> dict[str, object]:
        """The row of the table."""
        stored = self.stored()
        row = {"chapter": self.chapter, "item": self.item, "what": self.what, "from": self.source, "stored": stored}
        try:
            found = self.find(stored)
        except NotHere as missing:
            return row | {"how": str(missing), "agrees": NOT_AT_HAND}
        agrees = abs(found.value - stored) <= found.tolerance
        row |= {"recomputed": found.value, "n": found.n, "tolerance": found.tolerance, "how": found.how}
        return row | {"agrees": "yes" if agrees else "no"}


def number(chapter: str, item: str, what: str, stored: Callable[[], float], source: str = WEIGHTS) -> Callable:
    """Enter the decorated function, which gets the stored number for its tolerance, into the list."""

    def enter(find: Callable[..., Found]) -> Callable[..., Found]:
        NUMBERS.append(Number(chapter, item, what, source, stored, find))
        return find

    return enter


def stored_value(row: dict[str, object]) -> float:
    """The number that a row of the stored table was compared with, as ``results/`` holds it now."""
    key = (row["chapter"], row["item"], row["what"])
    return next(one.stored() for one in NUMBERS if (one.chapter, one.item, one.what) == key)


@functools.cache
def table(item: str) -> pd.DataFrame:
    """The stored table of ``paper/item``."""
    return pd.read_csv(ROOT / "results" / f"{item}.csv")


def rows(item: str, **where: object) -> pd.DataFrame:
    """The rows of a stored table that have these values; ``None`` stands for an empty cell."""
    found = table(item)
    for column, value in where.items():
        found = found[found[column].isna() if value is None else found[column] == value]
    return found


def cell(item: str, column: str, **where: object) -> float:
    """One number of a stored table."""
    found = rows(item, **where)[column].dropna()
    if len(found) != 1:
        raise ValueError(f"{item}: {len(found)} rows with {where}, expected one")
    return float(found.iloc[0])


@functools.cache
def _arrays(item: str) -> np.lib.npyio.NpzFile:
    return np.load(ROOT / "results" / f"{item}.npz", allow_pickle=False)


def array(item: str, key: str) -> np.ndarray:
    """A stored array; integers and half precision stand beside a factor, ``key/scale``."""
    found, every = _arrays(item)[key], _arrays(item).files
    return found.astype(np.float32) * np.float32(_arrays(item)[f"{key}/scale"]) if f"{key}/scale" in every else found


def vector(item: str, key: str) -> torch.Tensor:
    """A stored perturbation as a tensor of colours, rows and columns, for pixels in [0, 1]."""
    return torch.from_numpy(array(item, key)).float()


def folder(*parts: str) -> Path:
    """A path in the user's data folder."""
    path = Path(os.environ.get("UAPKIT_DATA", "/nowhere"), *parts)
    if not path.exists():
        raise NotHere(f"{'/'.join(parts)} is not in UAPKIT_DATA")
    return path


def rate_error(p: float, ours: int, theirs: int, of: int | None = None) -> float:
    """Standard error of the difference of two rates, each of a sample drawn at random (from ``of`` images, if given)."""
    rest = 1 / of if of else 0.0
    return math.sqrt(max(p * (1 - p), 0.0) * (max(1 / ours - rest, 0) + max(1 / theirs - rest, 0)))


def rate(mine: float, ours: int, stored: float, theirs: int, of: int | None = None, spread: float = 0.0) -> Found:
    """A rate, with two standard errors of both samples; ``spread``: that of random draws of the perturbation."""
    error = math.hypot(rate_error((mine + stored) / 2, ours, theirs, of), spread)
    drawn = " and of the draws" if spread else ""
    return Found(mine, ours, 2 * error, f"two standard errors of both samples{drawn}")


def width(item: str, low: str = "low", high: str = "high", **where: object) -> float:
    """The standard error behind a stored 95 % interval."""
    return (cell(item, high, **where) - cell(item, low, **where)) / 3.92


def close(mine: float, ours: int, error: float, stored_error: float) -> Found:
    """A mean, share or angle, with two standard errors of both samples."""
    return Found(mine, ours, 2 * math.hypot(error, stored_error), "two standard errors of both samples")


def exact(mine: float, n: int, tolerance: float, how: str) -> Found:
    """A number of the same images and arrays: nothing but rounding may differ."""
    return Found(mine, n, tolerance, how)


def same_images(mine: float, n: int) -> Found:
    """A rate of the same images; the vector is stored in half precision, so two labels near a boundary may differ."""
    return Found(mine, n, 2.001 / n, "same images; two labels for the rounding of the stored vector")
