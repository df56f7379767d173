"""The stronger nulls of paper M's items: noise with a vector's spectrum, from ``ext_stall``, and patterns that need no network.

Paper M scores photographs that were squashed to 256 x 256 and cropped; the patterns' item (of paper K) scores the same
photographs squashed to 224 x 224. So the rate of a pattern is drawn beside M's, and no difference with it is paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from uapkit.lab import Run
from uapkit.lab.beside import BEST_PATTERN, Null, compared, null_of, strongest_pattern
from uapkit.papers.moosavi2017.setting import PHASES

LABELS = {PHASES: "noise with UAP's spectrum", BEST_PATTERN: "best pattern, photographs uncropped"}
Nulls = Mapping[tuple[str, float], list[Null]]  # by network and norm


def stronger(
    run: Run, stall: Run | None, patterns: Run | None = None, *, norms: Sequence[float] = (2.0, math.inf)
) -> dict[tuple[str, float], list[Null]]:
    """Of each network of the run and each of ``norms`` the nulls that the other stored runs have for it.

    stall: a run of ``ext_stall``, whose "random phases" are noise with the spectrum of Algorithm 1's vector, at full length.
    patterns: a run of ``khrulkov2018/ext_patterns``, in the infinity norm.
    """
    found: dict[tuple[str, float], list[Null]] = {}
    for network in dict.fromkeys(run.rows["model"]):
        for norm in norms:
            nulls = [noise_like(run, stall, network, norm)] if stall is not None else []
            if patterns is not None and norm == math.inf:
                nulls.append(strongest_pattern(run, patterns, network))
            if some := [null for null in nulls if null is not None]:
                found[network, norm] = some
    return found


def noise_like(run: Run, stall: Run, network: str, norm: float) -> Null | None:
    """Noise with the spectrum of the vector that Algorithm 1 made in ``ext_stall`` on its largest X, at full length."""
    draws = stall.all_flags("fooled", network, f"{norm:g}", PHASES)
    return null_of(run, stall, network, PHASES, LABELS[PHASES], draws)


def against_noise(
    run: Run, stall: Run | None, rated: Iterable[tuple[dict[str, Any], np.ndarray]], norm: float | None = None
) -> pd.DataFrame:
    """Each measured row beside noise with its spectrum, see :func:`uapkit.lab.beside.compared`.

    rated: settings, ``model`` and, where ``norm`` is None, ``norm`` among them, and flags on the scored images.
    """
    nulls = stronger(run, stall)
    rows = (
        (about, fooled, nulls.get((about["model"], about["norm"] if norm is None else norm))) for about, fooled in rated
    )
    return compared((about, fooled, found[0] if found else None) for about, fooled, found in rows)


def listed(nulls: Nulls) -> pd.DataFrame:
    """The nulls as a table: which pattern or noise, its rate, and whether it was scored on the run's own images.

    Where not, it was on other images of the same set, or on the same ones resized otherwise.
    """
    return pd.DataFrame(
        [
            {
                "model": network,
                "norm": norm,
                "null": null.what,
                **null.rate.columns("fooling_rate"),
                "same_images": "yes" if null.paired else "no",
            }
            for (network, norm), some in nulls.items()
            for null in some
        ]
    )
