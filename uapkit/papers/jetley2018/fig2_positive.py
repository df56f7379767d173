"""Figure 2 of [jetley2018]: along the most positively curved directions images move into the target class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import checks, lab, names
from uapkit.figures.panels import of_a_run, panels
from uapkit.figures.style import short, style
from uapkit.lab import Claim, Run, claim
from uapkit.models import Model
from uapkit.papers.jetley2018.along import (
    FIRST,
    claims_over_walk,
    direction,
    labels_along,
    logits,
    positions,
    scores_along,
)
from uapkit.papers.jetley2018.drawing import bands
from uapkit.papers.jetley2018.setting import told
from uapkit.papers.jetley2018.subspaces import RANDOM, Curved, deciding

GRID = 13  # positions along each direction of the plane


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
    n_grid: int = 30,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 2 of [jetley2018]: along the most positively curved directions images move into the target class.

    One row a (model, target, kind, rank, s), kind "positive" (ranks 1 and 2) and the null "random": median and 30th to
    70th percentile of the target's score and of the best other one, over the test images that start outside the class;
    moved_in, the share of them that the network puts into it (low, high, n), softmax, their median probability of the
    target; stays, the share of the images of the class that stay. s is in the unit of the pixels, 2-norm, up to ``reach``
    of the paper's finite steps. A row of kind "grid" is about the plane of the two foremost directions and ``n_grid`` images
    that start outside: additive, the share of the target score's variance in the plane that a sum of a term for each
    direction explains (mean over images, Student), and additive_random for two random directions. Arrays:
    ``grid/<model>/<target>``, the share of these images that are moved in, at ``s/<model>`` along both. converged,
    overlap_halves: what vouches for the directions, see :meth:`Curved.vouched`.
    """
    bench = lab.Bench(data, n_train, 0, n_eval, seed, device, from_training=True)
    curved = Curved(bench, n_fit, k, step_factor, max_products)

    def along(model: str, target: int) -> tuple[list[dict], dict]:
        found, net, images = curved.curvatures(model, target), bench.network(model), bench.split(model).scored
        shape = bench.shape(model)
        s = positions(shape, reach, n_positions)
        rows: list[dict[str, Any]] = []
        arrays, vouched = {}, curved.vouched(model, target)
        for kind, rank in (("positive", 1), ("positive", 2), (RANDOM, 1)):
            v, value = direction(found, kind, shape, rank=rank, seed=seed)
            told_of = {"kind": kind, "rank": rank, **vouched}
            rows += [{**told_of, **row} for row in labels_along(net, images, target, v, s, value)]
            arrays[f"v/{model}/{target}/{kind} {rank}"] = v.cpu().numpy()
        s = positions(shape, reach, GRID)
        first, second = (direction(found, "positive", shape, rank=rank)[0] for rank in (1, 2))
        outside = images.x[logits(net, images.x).argmax(1) != target][: checks.count(n_grid, "n_grid")]
        row = {"kind": "grid", "n": len(outside), **vouched}
        drawn = (direction(found, RANDOM, shape, rank=rank, seed=seed)[0] for rank in (1, 2))
        for name, (a, b) in (("additive", (first, second)), ("additive_random", tuple(drawn))):
            share = lab.mean_of(additive_share(lab.keep(scores_in_plane, net, outside, target, a, b, s)))
            row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
        rows.append(row)
        arrays[f"grid/{model}/{target}"] = lab.keep(moved_in_plane, net, outside, target, first, second, s).numpy()
        arrays[f"s/{model}"] = s
        return rows, arrays

    points = [{"model": model, "target": target} for model in bench.names(models) for target in targets]
    table = told(bench, lab.sweep(points, along, desc="along positive curvature"), FIRST)
    return table.sort_values("kind", key=lambda kind: kind == "grid", kind="stable", ignore_index=True)


def moved_in_plane(net: Model, x: Tensor, target: int, first: Tensor, second: Tensor, s: np.ndarray) -> Tensor:
    """(s, s) share of images x (n, c, h, w) that are in class ``target`` at x + a first + b second, a and b from s."""
    lines = [scores_along(net, x + float(a) * first, second, s).argmax(2) == target for a in s]
    return torch.stack([line.float().mean(0) for line in lines])


def scores_in_plane(net: Model, x: Tensor, target: int, first: Tensor, second: Tensor, s: np.ndarray) -> Tensor:
    """(n, s, s) score of class ``target`` at x + a first + b second, a and b from s."""
    return torch.stack([scores_along(net, x + float(a) * first, second, s)[:, :, target] for a in s], 1)


def additive_share(scores: Tensor) -> Tensor:
    """(n,) of the variance of each image's scores (n, a, b) in the plane the share that a sum g(a) + h(b) explains; in [0, 1]."""
    centred = scores.double() - scores.double().mean((1, 2), keepdim=True)
    rest = centred - centred.mean(1, keepdim=True) - centred.mean(2, keepdim=True)
    return 1 - rest.square().sum((1, 2)) / centred.square().sum((1, 2))


def claims(run: Run) -> Iterator[Claim]:
    """Somewhere on the way more than half of all images are in the class; on the whole way more than along a random direction.

    And in the plane of two directions: a sum of what each does explains nine tenths of the score's variance.
    """
    yield from claims_over_walk(
        run, "positive", ("moved_in", ["n"], False), ("positive_beyond_random", ">"), ("target_overtakes", ">", 0.5)
    )
    for network, rows in run.by_network():
        planes = lab.rows_of(deciding(run, network, rows), kind="grid")
        for _, row in planes.iterrows() if "additive" in planes else ():
            found = lab.from_row(row, "additive", "additive_low", "additive_high")
            null = lab.from_row(row, "additive_random", "additive_random_low", "additive_random_high")
            yield claim("directions_add_up", f"{network} (class {row['target']:g})", found, ">", 0.9, null=null)


@of_a_run
def figure(run: Run, network: str) -> Figure:
    """Medians and bands of the scores, shares of images moved in and staying; a column a kind, two lines a class."""
    rows = run.where(model=network, rank=1)
    return bands(rows, network)


@of_a_run
def plane(run: Run) -> Figure:
    """The plane of the two most positive directions: share of images from outside that are in the class, a panel a class."""
    planes = [(row["model"], f"{row['target']:g}") for row in run.where(kind="grid").to_dict("records")]
    with style(grid=False):
        drawn, axes = panels(planes)
        for ax, (network, target) in zip(axes, planes, strict=False):
            s, share = run.flags("s", network), run.flags("grid", network, target)
            shown = ax.pcolormesh(s, s, share.T, vmin=0, vmax=1, cmap="cividis")
            title = f"{short(network)}, {names.label(network, int(target))}"
            ax.set(title=title, xlabel="along the first", ylabel="along the second", aspect="equal")
            drawn.colorbar(shown, ax=ax, label="share in the class")
    return drawn
