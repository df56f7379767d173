"""Supplement of [jetley2018]: images leave the class along negative curvature; flat directions do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.lab import Claim, Run
from uapkit.papers.jetley2018.along import claims_at_ends, direction, labels_along, positions
from uapkit.papers.jetley2018.drawing import bands, drawn_if_run
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

    One row a (model, target, kind, s), kind "negative" (the most negative direction), "flat" (the smallest modulus; where
    only the ends are known, a random direction orthogonal to them) and the null "random". Columns as in Figure 2;
    changed: the share of all test images whose label is not the one at s = 0, with its interval.
    """
    bench = lab.Bench(data, n_train, 0, n_eval, seed, device, from_training=True)
    curved = Curved(bench, n_fit, k, step_factor, max_products)

    def along(model: str, target: int) -> tuple[list[dict], dict]:
        found, net, images = curved.curvatures(model, target), bench.network(model), bench.split(model).scored
        s = positions(bench.shape(model), reach, n_positions)
        rows: list[dict[str, Any]] = []
        arrays = {}
        for kind in ("negative", "flat", RANDOM):
            v, value = direction(found, kind, bench.shape(model), seed=seed)
            told_of = {"kind": kind, "rank": 1}
            rows += [{**told_of, **row} for row in labels_along(net, images, target, v, s, value)]
            arrays[f"v/{model}/{target}/{kind}"] = v.cpu().numpy()
        return rows, arrays

    points = [{"model": model, "target": target} for model in bench.names(models) for target in targets]
    first = ("data", "model", "weights", "target", "kind", "status", "rank")
    return told(bench, lab.sweep(points, along, desc="along negative and no curvature"), first)


def claims(run: Run) -> Iterator[Claim]:
    """At either end: over half of the class have left it along negative curvature; under 5 % change along flat ones."""
    yield from claims_at_ends(run, "negative_leaves", "negative", "stays", ["n_inside"], ">", 0.5, complement=True)
    yield from claims_at_ends(run, "flat_does_nothing", "flat", "changed", ["n", "n_inside"], "<", 0.05)


@drawn_if_run
def figure(run: Run, network: str) -> Figure:
    """Medians and bands of the scores, shares of images moved in and staying; a column a kind, two lines a class."""
    return bands(run.where(model=network), network)
