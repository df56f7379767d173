"""Nulls that another item measured, beside the stored rows of this one: patterns that need no gradient, noise with a spectrum.

Most items were scored beside random signs, the weakest null there is. The stronger ones are taken from the stored run
that has them; nothing is scored anew. So the two runs must agree (:func:`shared`), and where both scored the same
images a difference is paired: scored images are the last of one ordered set (:class:`uapkit.lab.Bench`), so runs that
set apart different numbers of images to fit on have the last ones in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit.intervals import Interval, Rate
from uapkit.lab.bench import split_name
from uapkit.lab.claims import paired
from uapkit.lab.run import Run, rows_of
from uapkit.lab.sweep import for_network

PATTERNS = ("stripes", "checks", "Perlin noise", "Gabor noise")  # the families of uapkit.lab.patterns.grid
BEST_PATTERN = "best pattern"
SAME_IMAGES, SAME_SET = "same images", "same set"
ABOVE, BELOW, OPEN = "above", "below", "open"


@dataclass(frozen=True)
class Null:
    """A null of another item's run on one network.

    kind: as figures draw it; what: which one it is, in words. flags: (draws, n) bool, the images that each draw fools.
    paired: these are the last n images that the run at hand scored; otherwise only the set is the same.
    """

    kind: str
    what: str
    flags: np.ndarray
    paired: bool

    @property
    def name(self) -> str:
        """Kind and, in brackets, which one."""
        return self.kind if self.what == self.kind else f"{self.kind} ({self.what})"

    @property
    def rate(self) -> Interval:
        """Fooling rate, the mean of the draws, from the lowest to the highest end of their 95 % intervals."""
        rates = [Rate.mean(torch.as_tensor(draw)) for draw in self.flags]
        low, high = min(one.low for one in rates), max(one.high for one in rates)
        return Interval(float(self.flags.mean()), self.flags.shape[1], low, high)

    def exceeded_by(self, fooled: np.ndarray) -> Interval:
        """How much more ``fooled`` (n,) or (draws, n) fools than the null does, over the images that both scored and over draws.

        ValueError where the images are not the same.
        """
        if not self.paired:
            raise ValueError(
                f"{self.what} was scored on other images of the set, so no difference is paired; draw it only"
            )
        n = min(np.shape(fooled)[-1], self.flags.shape[1])
        return paired(np.asarray(fooled, dtype=float)[..., -n:], self.flags[:, -n:])

    def over(self, fooled: np.ndarray) -> Interval:
        """How much more the null fools than ``fooled``: :meth:`exceeded_by` the other way round."""
        found = self.exceeded_by(fooled)
        return Interval(-found.value, found.n, -found.high, -found.low)


@dataclass(frozen=True)
class Strongest(Interval):
    """The strongest of several nulls, with its ``name``."""

    name: str = ""


def shared(run: Run, other: Run, network: str) -> str:
    """What two stored runs share of a network: "same images", "same set" (other images of it, or resized otherwise), or "".

    Network and weights must be one file, by its checksum; the set of images, the seed and the radius must be equal. The
    images are the same where the ordered set has one checksum in both. The norm is the caller's to compare.
    """
    ours, theirs = run.provenance, other.provenance
    if not {"params", "inputs"} <= ours.keys() & theirs.keys():
        return ""
    if _weights(run, network) is None or _weights(run, network) != _weights(other, network):
        return ""
    params = [record["params"] for record in (ours, theirs)]
    settings = [tuple(for_network(p.get(name), network, name) for name in ("data", "eps", "seed")) for p in params]
    if settings[0] != settings[1]:
        return ""
    sets = [_images(record["inputs"], str(settings[0][0])) for record in (ours, theirs)]
    if not all(sets):
        return ""
    return SAME_IMAGES if sets[0] == sets[1] else SAME_SET


def _weights(run: Run, network: str) -> tuple[str, str] | None:
    """(name with its tag, checksum) of the weights that the run read for a network; None where it says nothing of them."""
    rows = rows_of(run.rows, model=network)
    if rows.empty or "weights" not in rows:
        return None
    name = f"{split_name(network)[0]}[{rows['weights'].iloc[0]}]"
    found = run.provenance["inputs"].get(name)
    return None if found is None else (name, str(found))


def _images(inputs: Mapping[str, str], data: str) -> dict[str, str]:
    """Name and checksum of the set that a run scored on, as it was loaded."""
    return {name: found for name, found in inputs.items() if name.startswith(f"{data}/test")}


def null_of(run: Run, other: Run, network: str, kind: str, what: str, flags: Sequence[np.ndarray]) -> Null | None:
    """A null of ``other`` as the run at hand may show it, cut to the images that both scored; None where they do not agree."""
    agreed, rows = shared(run, other, network), rows_of(run.rows, model=network)
    if not agreed or not len(flags):
        return None
    n = min(len(flags[0]), int(pd.to_numeric(rows["n"]).max())) if agreed == SAME_IMAGES else len(flags[0])
    return Null(kind, what, np.stack([np.asarray(draw, dtype=bool)[-n:] for draw in flags]), agreed == SAME_IMAGES)


def strongest_pattern(run: Run, other: Run, network: str) -> Null | None:
    """Of the patterns that need no gradient the one that fools most held-in images of ``other``, in the infinity norm.

    other: a run of ``khrulkov2018/ext_patterns``, whose grid holds stripes, checks, Perlin and Gabor noise. None where it has
    none for this network with these weights, images and radius.
    """
    rows = rows_of(other.rows, model=network, kind=list(PATTERNS))
    if rows.empty:
        return None
    best = rows.loc[rows["held_in_rate"].idxmax()]
    flags = [other.flags("fooled", network, "", best["kind"], 0)]
    return null_of(run, other, network, BEST_PATTERN, f"{best['kind']}, {best['setting']}", flags)


def strongest_patterns(run: Run, other: Run | None) -> dict[str, Null]:
    """:func:`strongest_pattern` of each network of the run that has one; empty without the other run."""
    if other is None:
        return {}
    found = {network: strongest_pattern(run, other, network) for network in dict.fromkeys(run.rows["model"])}
    return {network: null for network, null in found.items() if null is not None}


def strongest(*nulls: tuple[str, Interval] | None) -> Strongest:
    """The largest of some nulls. nulls: (name, interval) each; None is passed over.

    Where a claim is about a rate, the strongest null that needs no gradient is the one to exceed.
    """
    name, null = max((one for one in nulls if one is not None), key=lambda one: one[1].value)
    return Strongest(null.value, null.n, null.low, null.high, name)


def lead(null: Null | None, fooled: np.ndarray) -> tuple[str, Interval] | None:
    """(name, how much more the null fools than ``fooled``), for :func:`strongest`; None where there is none on the same images."""
    return (null.name, null.over(fooled)) if null is not None and null.paired else None


def against_patterns(
    run: Run, patterns: Run | None, rated: Iterable[tuple[dict[str, Any], np.ndarray]]
) -> pd.DataFrame:
    """:func:`compared` with each network's strongest pattern. rated: (settings with ``model``, flags) of measured rows."""
    nulls = strongest_patterns(run, patterns)
    return compared((about, fooled, nulls.get(str(about["model"]))) for about, fooled in rated)


def compared(rated: Iterable[tuple[dict[str, Any], np.ndarray, Null | None]]) -> pd.DataFrame:
    """One row a measured row with a null whose images are the same: its settings, both rates, the paired difference.

    rated: (settings as columns, (n,) or (draws, n) flags, null). ``stands``: "above" where the whole 95 %
    interval of the difference lies above 0, "below", or "open". Rows without such a null are left out.
    """
    rows = []
    for about, fooled, null in rated:
        if null is None or not null.paired:
            continue
        difference = null.exceeded_by(fooled)
        stands = ABOVE if difference.low > 0 else BELOW if difference.high < 0 else OPEN
        rates = {
            "fooling_rate": float(np.mean(np.asarray(fooled)[..., -difference.n :])),
            "null": null.what,
            "null_rate": null.rate.value,
        }
        ends = {"difference": difference.value, "difference_low": difference.low, "difference_high": difference.high}
        rows.append({**about, **rates, **ends, "n": difference.n, "stands": stands})
    return pd.DataFrame(rows)
