"""Which Hessian? Exact, at a finite step, of a smooth copy: the choice behind the curvatures of [jetley2018], measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import curvature, lab
from uapkit.curvature import Curvatures
from uapkit.data.images import Images
from uapkit.evaluate import Rate
from uapkit.figures.panels import legend, of_a_run
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.lab.sweep import PerNetwork
from uapkit.models import Model
from uapkit.models.smooth import softened
from uapkit.papers.jetley2018.along import logits, scores_along
from uapkit.papers.jetley2018.setting import told
from uapkit.papers.jetley2018.subspaces import LEAST_OVERLAP, Curved
from uapkit.seeds import child_seed

PAPERS = ("finite step", 10.0)
REPRODUCED = (
    "overlap_halves",
    *("own", "elsewhere", "elsewhere_low", "elsewhere_high"),
    *("own_mean", "elsewhere_mean", "elsewhere_mean_low", "elsewhere_mean_high"),
)  # columns of what disjoint halves of the images make of one another


def run(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    targets: Sequence[int] = (3,),
    factors: Sequence[float] | Mapping[str, Sequence[float]] = (1.0, 3.0, 10.0, 30.0),
    betas: Sequence[float] | Mapping[str, Sequence[float]] = (1.0, 5.0),
    noises: Sequence[float] | Mapping[str, Sequence[float]] = (0.05,),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 500,
    n_fit: int | Mapping[str, int] = 20,
    n_eval: int | None = 100,
    k: int = 5,
    max_products: int = 120,
    reach: float = 20.0,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """How the curvatures of [jetley2018] depend on the finite step, and what a smooth copy of the network gives; ours.

    One row a (model, target, how, size): how "exact" (second derivatives of the network as it is), "finite step" (size:
    factor of the paper's step, which has 10), "softplus" (exact, on a copy with softplus of sharpness size and a smooth
    maximum) and "Gaussian noise" (the paper's step, averaged over noise of this standard deviation). All by Lanczos, k
    directions at each end. largest and smallest value; asymmetry and residual (largest, relative to the largest value):
    how far the finite difference is from a linear map; converged; overlap: mean squared cosine between the k most
    positive directions and those at the paper's step, k/d by chance; moved_in (low, high, n): share of test images
    from outside that are in the class at one end of the walk along the first direction or the other. At the paper's step
    also overlap_starts, with another start of Lanczos, and what :func:`reproduced` adds. factors, betas and noises: for all
    networks, or by network.
    """
    bench = lab.Bench(data, n_train, 0, n_eval, seed, device, from_training=True)
    curved = Curved(bench, n_fit, k)

    def measure(model: str, target: int) -> list[dict]:
        net, images, pool = bench.network(model), bench.split(model).scored, curved.pool(model, target)
        settings: dict[str, Any] = {
            "k": k,
            "max_products": max_products,
            "seed": child_seed(seed, f"curvature of class {target}"),
        }
        reference = curvatures(net, pool, target, *PAPERS, **settings)
        rows = []
        for how, size in ways_of(model, factors, betas, noises):
            found = reference if (how, size) == PAPERS else curvatures(net, pool, target, how, size, **settings)
            row = {"how": how, "size": size, **facts(found), "chance": k / len(found.vectors)}
            if row["largest"] or row["smallest"]:
                row["overlap"] = overlap(found, reference, k)
                row.update(moved_in(net, images, found, reach).columns("moved_in"))
            if (how, size) == PAPERS:
                again = curvatures(net, pool, target, *PAPERS, **settings | {"seed": settings["seed"] + 1})
                row.update(overlap_starts=overlap(again, found, k), **reproduced(net, pool, target, k, settings))
            rows.append(row)
        return rows

    points = [{"model": model, "target": target} for model in bench.names(models) for target in targets]
    first = ("data", "model", "weights", "target", "how", "size", "status")
    return told(bench, lab.sweep(points, measure, desc="steps"), first)


def ways_of(network: str, *settings: PerNetwork) -> list[tuple[str, float]]:
    """The ways to take the Hessian of a network, (how, size): exact, then from factors, betas and noises, each maybe by network."""
    names = (("finite step", "factors"), ("softplus", "betas"), ("Gaussian noise", "noises"))
    found = [("exact", 0.0)]
    for (how, name), sizes in zip(names, settings, strict=True):
        found += [(how, float(size)) for size in lab.for_network(sizes, network, name)]
    return found


def overlap(one: Curvatures, other: Curvatures, k: int) -> float:
    """Mean squared cosine between the k most positive directions of both."""
    return float((one.vectors[:, :k].T @ other.vectors[:, :k]).square().sum()) / k


def reproduced(net: Model, pool: Images, target: int, k: int, settings: dict[str, Any]) -> dict[str, float]:
    """What two disjoint halves of the images make of one another, as columns.

    overlap_halves: of their k most positive directions. own: the curvature along the first direction of the first half
    at that half's points, which it suits best; elsewhere: along that very direction at the points of the other half, with
    a Student interval over them. own_mean, elsewhere_mean: the same of all k directions, each point's mean over them. All are
    differences along the directions themselves, no values of Lanczos' method. NaN where a half reaches no boundary.
    """
    middle = len(pool) // 2
    try:
        one, other = (curvatures(net, part, target, *PAPERS, **settings) for part in (pool[:middle], pool[middle:]))
    except ValueError:  # too few images for this class
        return dict.fromkeys(REPRODUCED, math.nan)
    values = [overlap(one, other, k)]
    along = [
        torch.stack([lab.keep(curvature_along, net, part, target, one.vectors[:, j]) for j in range(k)])
        for part in (pool[:middle], pool[middle:])
    ]
    for directions in (1, k):
        here, there = (lab.mean_of(found[:directions].mean(0)) for found in along)
        values += [here.value, there.value, there.low, there.high]
    return dict(zip(REPRODUCED, values, strict=True))


def curvature_along(net: Model, images: Images, target: int, v: Tensor) -> Tensor:
    """(m,) v^T H v of a unit direction v (d,) at each boundary point of the images, by the paper's central difference."""
    points, rivals = curvature.boundary_points(net, images, target)
    step, found = curvature.paper_step(images.shape), []
    for point, rival in zip(points, rivals, strict=True):
        op = curvature.MeanHessian(net, point[None], rival[None], target, step=step, chunk=None)
        found.append(v @ op.matvec(v.to(op.torch_dtype)).to(v))
    return torch.stack(found)


def curvatures(net: Model, pool: Images, target: int, how: str, size: float, **settings: Any) -> Curvatures:
    """The ends of the spectrum of a class, taken in one of the ways of :func:`run`."""
    step = curvature.paper_step(pool.shape, factor=size if how == "finite step" else 10.0)
    return lab.keep(
        curvature.principal_curvatures,
        softened(net, size) if how == "softplus" else net,
        pool,
        target,
        step=None if how in ("exact", "softplus") else step,
        noise=size if how == "Gaussian noise" else 0.0,
        n_noise=4,
        method="lanczos",
        **settings,
    )


def facts(found: Curvatures) -> dict[str, Any]:
    """The ends of the spectrum, and how far the operator is from a linear symmetric map."""
    largest = float(found.values.abs().max())
    return {
        "largest": float(found.values[0]),
        "smallest": float(found.values[-1]),
        "asymmetry": found.asymmetry,
        "residual": float(found.residuals.nan_to_num().max()) / largest if largest else math.nan,
        "converged": found.converged,
        "n_points": found.n,
    }


def moved_in(net: Model, images: Images, found: Curvatures, reach: float) -> Rate:
    """Share of the images from outside the class that are in it at one end of the walk or the other."""
    end = reach * curvature.paper_step(images.shape)
    outside = images.x[logits(net, images.x).argmax(1) != found.target]
    v = found.vectors[:, 0].view(*images.shape)
    ends = lab.keep(scores_along, net, outside, v, np.array([-end, end])).argmax(2) == found.target
    return Rate.mean(ends.flatten())


def claims(run: Run) -> Iterator[Claim]:
    """The exact Hessian is zero; smooth copies have the directions of the finite step; and other images have them, too.

    On other images: the overlap of disjoint halves exceeds the bound that the other pages ask of directions, and the
    curvature along a direction is there more than half of what it is on its own images; the latter only for directions that
    pass that bound.
    """
    for network, rows in run.by_network():
        exact = rows.loc[rows["how"] == "exact", ["largest", "smallest"]].abs().to_numpy()
        yield claim("exact_hessian_vanishes", network, _certain(exact.max(), len(exact)), "<", 1e-6)
        for target, part in rows.groupby("target"):
            smooth = lab.rows_of(part, how="softplus")
            name = f"{network} (class {target})"
            if len(smooth):
                best = smooth.loc[smooth["overlap"].idxmax()]
                found, chance = (_certain(best[column], best["n_points"]) for column in ("overlap", "chance"))
                yield claim("smooth_copy_agrees", name, found, ">", 0.25, null=chance)
            papers = lab.rows_of(part, how=PAPERS[0], size=PAPERS[1])
            if len(papers) and "overlap_halves" in papers:
                one = papers.iloc[0]
                found, chance = (_certain(one[column], one["n_points"]) for column in ("overlap_halves", "chance"))
                yield claim("halves_agree", name, found, ">", LEAST_OVERLAP, null=chance)
                there = lab.from_row(one, "elsewhere", "elsewhere_low", "elsewhere_high", "n_points")
                if one["overlap_halves"] >= LEAST_OVERLAP:  # others decide nothing
                    yield claim("curved_on_other_images", name, there, ">", one["own"] / 2)


def _certain(value: float, n: float) -> Interval:
    """A number that no draw of images stands behind."""
    return Interval(float(value), int(n), float(value), float(value))


@of_a_run
def figure(run: Run) -> Figure:
    """Largest and smallest value, overlap with the paper's step, and images moved in, for each way to take the Hessian."""
    networks = list(run.by_network())
    positive, negative, chance = (look(meaning) for meaning in ("positive", "negative", "random"))
    with style():
        drawn, axes = plt.subplots(
            len(networks), 3, figsize=(7.6, 3.0 * len(networks)), squeeze=False, layout="constrained", sharey="row"
        )
        for (values, overlap, moved), (network, rows) in zip(axes, networks, strict=True):
            ways = [f"{how} {size:g}" if size else how for how, size in zip(rows["how"], rows["size"], strict=True)]
            names = list(dict.fromkeys(ways))
            places = [names.index(way) for way in ways]
            for column, shown in (("largest", positive), ("smallest", negative)):
                values.plot(rows[column], places, shown.marker, color=shown.colour, label=column)
            values.set(yticks=range(len(names)), yticklabels=names, title=short(network), xlabel="curvature")
            overlap.plot(rows["overlap"], places, positive.marker, color=positive.colour)
            overlap.axvline(rows["chance"].iloc[0], color=chance.colour, linestyle=chance.line)
            overlap.set(xlim=(-0.03, 1.03), xlabel="overlap with the paper's step")
            moved.plot(rows["moved_in"], places, positive.marker, color=positive.colour)
            moved.set(xlim=(-0.03, 1.03), xlabel="share moved in")
            values.invert_yaxis()
        legend(drawn, [axes[0, 0]])
    return drawn
