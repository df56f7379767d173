"""Supplement of [jetley2018]: images leave the class along negative curvature; flat directions do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.panels import of_a_run
from uapkit.lab import Claim, Run
from uapkit.papers.jetley2018.along import claims_over_walk, direction, labels_along, positions
from uapkit.papers.jetley2018.drawing import bands
from uapkit.papers.jetley2018.setting import told
from uapkit.papers.jetley2018.subspaces import RANDOM, Curved


def run(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    targets: Sequence[int] = (3, 8),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 500,
    n_fit: int | Mapping[str, int] = 30,
    n_eval: int | None = 150,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    reach: float = 20.0,
    n_positions: int = 31,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Supplement of [jetley2018]: images leave the class along negative curvature; flat directions do nothing.

    One row a (model, target, kind, s), kind "negative" (the most negative direction), "flat" (the smallest modulus,
    where the whole basis is known) and the null "random". Columns as in Figure 2;
    changed: the share of all test images whose label is not the one at s = 0, with its interval. converged,
    overlap_halves: what vouches for the directions, see :meth:`Curved.vouched`.
    """
    bench = lab.Bench(data, n_train, 0, n_eval, seed, device, from_training=True)
    curved = Curved(bench, n_fit, k, step_factor, max_products)

    def along(model: str, target: int) -> tuple[list[dict], dict]:
        found, net, images = curved.curvatures(model, target), bench.network(model), bench.split(model).scored
        s = positions(bench.shape(model), reach, n_positions)
        rows: list[dict[str, Any]] = []
        arrays, vouched = {}, curved.vouched(model, target)
        for kind in ("negative", *(["flat"] if found.whole else []), RANDOM):
            v, value = direction(found, kind, bench.shape(model), seed=seed)
            told_of = {"kind": kind, "rank": 1, **vouched}
            rows += [{**told_of, **row} for row in labels_along(net, images, target, v, s, value)]
            arrays[f"v/{model}/{target}/{kind}"] = v.cpu().numpy()
        return rows, arrays

    points = [{"model": model, "target": target} for model in bench.names(models) for target in targets]
    first = ("data", "model", "weights", "target", "kind", "status", "rank")
    return told(bench, lab.sweep(points, along, desc="along negative and no curvature"), first)


def claims(run: Run) -> Iterator[Claim]:
    """Over the whole way: more of the class leave along negative curvature than along a random direction, fewer labels change
    along a flat one; and these are under 5 %.
    """
    left, changed = ("stays", ["n_inside"], True), ("changed", ["n", "n_inside"], False)
    yield from claims_over_walk(run, "negative", left, ("negative_leaves", ">"))
    yield from claims_over_walk(
        run, "flat", changed, ("flat_calmer_than_random", "<"), ("flat_does_nothing", "<", 0.05)
    )


@of_a_run
def figure(run: Run, network: str) -> Figure:
    """Medians and bands of the scores, shares of images moved in and staying; a column a kind, two lines a class."""
    return bands(run.where(model=network), network)
