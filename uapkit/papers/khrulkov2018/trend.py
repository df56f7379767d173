"""A trend over settings that were measured on the same images (or places): one paired difference instead of the best of many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from uapkit import lab
from uapkit.intervals import Interval


def trend(values: Mapping[float, Any]) -> Interval:
    """How much larger the values are at large settings than at small ones, with a paired interval over the images.

    values: {setting: (n,) a value an image}, at least two settings. The settings' ranks, centred, are the weights; those above
    the middle sum to one, those below to minus one. So for two settings it is the difference, and a maximum in
    the middle is no trend. ValueError for fewer than two settings.
    """
    if len(values) < 2:
        raise ValueError(f"a trend needs two settings at least, got {len(values)}; measure more of them")
    places = np.arange(len(values)) - (len(values) - 1) / 2
    weights = places / places[places > 0].sum()
    rows = [np.asarray(values[setting], dtype=float) for setting in sorted(values)]
    upper = sum(w * row for w, row in zip(weights, rows, strict=True) if w > 0)
    lower = sum(-w * row for w, row in zip(weights, rows, strict=True) if w < 0)
    return lab.paired(upper, lower)
