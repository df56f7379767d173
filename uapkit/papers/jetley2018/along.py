"""Along one direction of curvature: which one, how far, what the network says there, and claims over the whole walk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import checks, curvature, lab
from uapkit.curvature import Curvatures
from uapkit.data.images import Images
from uapkit.evaluate import Rate
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.lab.claims import Sense
from uapkit.models import Model
from uapkit.papers.jetley2018.subspaces import RANDOM, deciding
from uapkit.seeds import generator

FIRST = ("data", "model", "weights", "target", "kind", "rank", "status")  # how the tables begin
BAND = (0.3, 0.7)  # quantiles around the median in Figure 2


def direction(
    found: Curvatures, kind: str, shape: Sequence[int], *, rank: int = 1, seed: int = 0
) -> tuple[Tensor, float]:
    """(unit direction (c, h, w), its curvature). kind: "positive", "negative", "flat" or "random"; rank from 1, the foremost.

    A random one has curvature NaN. ValueError for a flat one where only the ends of the spectrum are known.
    """
    checks.one_of(kind, ("positive", "negative", "flat", RANDOM), "kind of direction")
    v = found.vectors
    if kind == "positive":
        v, value = v[:, rank - 1], float(found.values[rank - 1])
    elif kind == "negative":
        v, value = v[:, -rank], float(found.values[-rank])
    elif kind == "flat":
        if not found.whole:
            raise ValueError("a flat direction is known with the whole eigenbasis only; take k = None")
        place = int(found.values.abs().argsort()[rank - 1])
        v, value = v[:, place], float(found.values[place])
    else:
        v = torch.randn(v.shape[0], generator=generator(seed, f"{kind} {found.target} {rank}")).to(v)
        value = math.nan
    return (v / v.norm()).view(*shape), value


def positions(shape: tuple[int, int, int], reach: float, n: int) -> np.ndarray:
    """(n or n + 1,) odd number of positions from -reach to reach of the paper's finite steps, in the unit of the pixels."""
    checks.in_range(reach, 0, math.inf, "reach", open_low=True)
    n = checks.count(n, "n_positions", 5)
    step = curvature.paper_step(shape)
    return np.linspace(-reach * step, reach * step, n + 1 - n % 2)


@torch.no_grad()
def logits(model: Model, x: Tensor) -> Tensor:
    """(n, classes) on the CPU, of images that may lie outside [0, 1], a batch at a time."""
    fast = model.channels_last and x.device.type == "cpu"
    form = torch.channels_last if fast else torch.contiguous_format
    return torch.cat([model(b.contiguous(memory_format=form)).cpu() for b in x.split(128)])


def scores_along(model: Model, x: Tensor, v: Tensor, s: np.ndarray) -> Tensor:
    """(n, s, classes) logits of images x (n, c, h, w) at x + s v, on the CPU; nothing is clipped."""
    return torch.stack([logits(model, x + float(place) * v) for place in s], 1)


def labels_along(model: Model, images: Images, target: int, v: Tensor, s: np.ndarray, value: float) -> list[dict]:
    """One row a position: scores, softmax and labels of images that start outside and inside the target class.

    An image belongs to the target class here if the network puts it there at s = 0. value: the curvature along v.
    """
    scores = lab.keep(scores_along, model, images.x, v, s)
    labels = scores.argmax(2)
    start = labels[:, len(s) // 2]
    inside, outside = start == target, start != target
    others = scores.clone()
    others[:, :, target] = -math.inf
    shown = {"target_score": scores[:, :, target], "other_score": others.amax(2)}
    confidence = scores.softmax(2)[:, :, target]
    rows = []
    for i, place in enumerate(s):
        row = {"s": float(place), "curvature": value}
        row.update(Rate.mean((labels[:, i] == target)[outside]).columns("moved_in"))
        for name, what in shown.items():
            quantiles = torch.quantile(what[outside, i].double(), torch.tensor([0.5, *BAND], dtype=torch.float64))
            row.update(zip((name, f"{name}_30", f"{name}_70"), quantiles.tolist(), strict=True))
        row["softmax"] = float(confidence[outside, i].median())
        changed = Rate.mean(labels[:, i] != start)
        row.update(changed=changed.value, changed_low=changed.low, changed_high=changed.high)
        if bool(inside.any()):
            stays = Rate.mean((labels[:, i] == target)[inside])
            row.update(stays=stays.value, stays_low=stays.low, stays_high=stays.high, n_inside=stays.n)
        rows.append(row)
    return rows


Rating = tuple[
    str, Sequence[str], bool
]  # column of the rate, those that count its images, whether one minus it is meant


def claims_over_walk(
    run: Run, kind: str, rating: Rating, beside: tuple[str, Sense], absolute: tuple[str, Sense, float] | None = None
) -> Iterator[Claim]:
    """Claims a (network, side of 0), over the images of all classes that may decide, along the whole walk.

    beside: (name, sense): the mean over the way, on that side of the random direction's interval; at its end a random
    direction changes most labels, too. absolute: (name, sense, bound): the largest rate on the way (for "<" its mean over
    the way), beside that of a random direction as null.
    """
    for network, rows in run.by_network():
        rows = deciding(run, network, rows)
        for side, words in ((1, "s > 0"), (-1, "s < 0")):
            mine, random = (pooled_walk(rows, what, side, rating) for what in (kind, RANDOM))
            if not mine or not random:
                continue
            where = f"{network} ({words})"
            if absolute is not None:
                name, sense, bound = absolute
                of = over_the_way if sense == "<" else furthest
                yield claim(name, where, of(mine), sense, bound, null=of(random))
            name, sense = beside
            null = over_the_way(random)
            yield claim(name, where, over_the_way(mine), sense, null.high if sense == ">" else null.low)


def pooled_walk(rows: pd.DataFrame, kind: str, side: int, rating: Rating) -> list[Interval]:
    """The rate at each position on one side of 0 along the foremost direction of a kind, over the images of all classes."""
    column, n, complement = rating
    count = rows.reindex(columns=list(n)).fillna(0).sum(axis=1)
    rows = rows.assign(_rate=1 - rows[column] if complement else rows[column], _n=count)
    part = rows[(rows["kind"] == kind) & (rows["rank"] == 1) & (side * rows["s"] > 0)]
    return [pooled(some) for _, some in part.groupby("s")]


def furthest(way: Sequence[Interval]) -> Interval:
    """The largest rate on the way."""
    return max(way, key=lambda one: one.value)


def over_the_way(way: Sequence[Interval]) -> Interval:
    """The mean rate over the way; its interval is the mean of the intervals, since the images are the same all along."""
    value, low, high = (sum(getattr(one, end) for one in way) / len(way) for end in ("value", "low", "high"))
    return Interval(value, way[0].n, low, high)


def pooled(rows: pd.DataFrame) -> Interval:
    """A rate over the images of all classes, from the rate ``_rate`` and the number ``_n`` of each."""
    rows = rows.dropna(subset=["_rate"])
    total = int(rows["_n"].sum())
    if not total:
        return Interval(math.nan, 0, math.nan, math.nan)
    return Rate.of(round(float((rows["_rate"] * rows["_n"]).sum())), total)
