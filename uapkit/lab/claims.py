"""Evidence: one row a (claim, network), an interval against a bound and beside its null; and the intervals that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from uapkit import evaluate
from uapkit.intervals import Interval, Rate

Sense = Literal[">", "<", "="]
RANKED = 8  # a rank correlation of fewer points decides no claim


@dataclass(frozen=True)
class Claim:
    """Our estimate for a claim on one network; what it is compared with; and what chance gives.

    name: the claim's id in ``reported/<paper>.csv``. network: the network, or network and setting. sense: on which side
    of ``bound`` the claim says that the quantity lies ("=": the interval holds the bound). training: how the network was
    trained, where the item runs networks of several trainings: a verdict may depend on it. absence: the bound is what no
    effect at all would give (0, or a chance level), which any effect exceeds: the null then has only to be exceeded.
    """

    name: str
    network: str
    found: Interval
    sense: Sense
    bound: float
    null: Interval | None = None
    training: str = ""
    absence: bool = False

    def row(self) -> dict[str, Any]:
        """As cells of the table of evidence."""
        cells = {"claim": self.name, "network": self.network, "estimate": self.found.value, "low": self.found.low}
        cells |= {"high": self.found.high, "sense": self.sense, "bound": self.bound, "n": self.found.n or math.nan}
        cells |= {"training": self.training, "absence": self.absence or self.bound == 0}
        nulls = (math.nan,) * 3 if self.null is None else (self.null.value, self.null.low, self.null.high)
        return cells | dict(zip(("null", "null_low", "null_high"), nulls, strict=True))


def claim(
    name: str,
    network: str,
    found: Interval,
    sense: Sense,
    bound: float,
    *,
    null: Interval | None = None,
    training: str = "",
    absence: bool = False,
) -> Claim:
    """See :class:`Claim`."""
    return Claim(name, network, found, sense, float(bound), null, training, absence)


def rate(flags: torch.Tensor) -> dict[str, float]:
    """fooling_rate, low, high (Wilson, 95 %) and n of per-image flags, as columns."""
    return Rate.mean(torch.as_tensor(flags)).columns("fooling_rate")


def from_row(row: Any, value: str = "fooling_rate", low: str = "low", high: str = "high", n: str = "n") -> Interval:
    """The interval that a table's row holds in these columns."""
    return Interval(
        float(row[value]), int(row[n]) if n in row and row[n] == row[n] else 0, float(row[low]), float(row[high])
    )


def hull(rows: pd.DataFrame, value: str = "fooling_rate") -> Interval:
    """Mean of several draws of a null, from the lowest lower to the highest upper end of their intervals."""
    return Interval(
        float(rows[value].mean()), int(rows["n"].max()), float(rows["low"].min()), float(rows["high"].max())
    )


def paired(a: Any, b: Any) -> Interval:
    """mean(a) - mean(b) over the same images; a, b: (n,), or (draws, n) or a list of draws, over which the interval is, too.

    See :func:`uapkit.evaluate.paired_difference`.
    """
    return evaluate.paired_difference(*(torch.as_tensor(np.asarray(x)) for x in (a, b)), seed=0)


def paired_draws(a: Any, b: Any) -> Interval:
    """mean(a) - mean(b) over the same images and the same draws (seeds, starts); a, b: (draws, n), or lists of draws."""
    change = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    return paired(change, np.zeros(change.shape[1]))


def mean_of(values: Any) -> Interval:
    """The mean of independent values with Student's interval."""
    return evaluate.mean_interval([float(v) for v in values])


def rank_correlation(x: Sequence[float], y: Sequence[float], *, seed: int = 0, n_boot: int = 2000) -> Interval:
    """Spearman's rho of (x, y) with a percentile bootstrap interval over the pairs; NaN for fewer than four pairs.

    Fewer than :data:`RANKED` pairs decide nothing: the interval is then all of [-1, 1].
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(a) < 4:
        return Interval(math.nan, len(a), math.nan, math.nan)
    if len(a) < RANKED:
        return Interval(float(spearmanr(a, b).statistic), len(a), -1.0, 1.0)
    draws = np.random.default_rng(seed).integers(0, len(a), (n_boot, len(a)))
    usable = [d for d in draws if np.ptp(a[d]) > 0 and np.ptp(b[d]) > 0]  # a constant draw has no ranks
    low, high = np.percentile([spearmanr(a[d], b[d]).statistic for d in usable], [2.5, 97.5])
    return Interval(float(spearmanr(a, b).statistic), len(a), float(low), float(high))


def evidence_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """The claims' rows as a table."""
    return pd.DataFrame([one.row() for one in claims])
