"""S_hi from plain class-score gradients beside DeepFool's, which [jetley2018] suggests should do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.special import stdtrit
from torch import Tensor

from uapkit import lab, subspace
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim
from uapkit.papers.jetley2018.drawing import accuracy_on_spans, draws, plain_log
from uapkit.papers.jetley2018.setting import Count, Data, at, told
from uapkit.papers.jetley2018.spans import (
    ATTACKS,
    UNTRAINED,
    directions,
    full_basis,
    projected_rows,
    singular_basis,
    spans_of,
)

OTHERS = ("random", "principal components")


def run(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = (0.01, 0.05, 0.1),
    n_fit: Count = 160,
    n_eval: Count | None = 100,
    max_iter: int = 50,
    n_random: int = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """S_hi from plain class-score gradients beside DeepFool's, which [jetley2018] suggests should do; ours.

    One row a (model, kind, share, draw). kind: "deepfool", "gradient" (of the predicted class's score), "gradients of all
    classes", and the nulls "gradient, untrained network", "random" and "principal components". accuracy, low, high, n: on
    images projected on the span. overlap: mean squared cosine of the principal angles with DeepFool's span of the same
    dimension, in [0, 1], with a jackknife interval over groups of images (none for the last two nulls); its chance value is
    d / D. For "deepfool" itself it is the overlap of two halves of its images, what could be reached at most.
    median_angle: of the principal angles, in degrees.
    """
    bench = lab.Bench(data, n_fit, 0, n_eval, seed, device, from_training=True)

    def compared(model: str) -> tuple[list[dict], dict]:
        ours = directions(bench, model, "deepfool", max_iter)
        spans = spans_of(bench, model, n_random=n_random, rows=ours)
        dims = spans.dimensions(shares)
        arrays: dict[str, np.ndarray] = {}
        rows: list[dict[str, Any]] = []
        whole = lab.keep(left_out, ours, max(dims))
        for attack in ATTACKS:
            theirs = ours if attack == "deepfool" else directions(bench, model, attack, max_iter)
            basis = spans.vectors if attack == "deepfool" else lab.keep(singular_basis, theirs)[0]
            found, flags = projected_rows(bench, model, attack, shares, [basis[:, :d] for d in dims])
            if attack == "deepfool":
                columns = [halves_overlap(ours, d) for d in dims]
            else:
                columns = [overlap(lab.keep(left_out, theirs, max(dims)), whole, d) for d in dims]
            rows += [{**row, **column} for row, column in zip(found, columns, strict=True)]
            arrays.update(flags)
        for kind in OTHERS:
            for draw in range(n_random if kind == "random" else 1):
                some = [spans.span(kind, d, draw) for d in dims]
                found, flags = projected_rows(bench, model, kind, shares, some)
                columns = [overlap([span], whole[:1], d) for span, d in zip(some, dims, strict=True)]
                rows += [{**row, **column, "draw": draw} for row, column in zip(found, columns, strict=True)]
                arrays.update(flags if draw == 0 else {})
        return [{**row, "chance": row["d"] / spans.d} for row in rows], arrays

    points = [{"model": model} for model in bench.names(models)]
    table = told(bench, lab.sweep(points, compared, desc="gradients against DeepFool"))
    return table[[*table.columns.drop(["chance", "draw"]), "chance", "draw"]]


def left_out(rows: Tensor, k: int, groups: int = 5) -> list[Tensor]:
    """First k columns of the bases of all rows (n, d), and of those without each of the groups; float32, for their angles."""
    parts = [part.T @ part for part in rows.tensor_split(groups)]
    whole = torch.stack(parts).sum(0)
    return [torch.linalg.eigh(m)[1].flip(1)[:, :k].contiguous() for m in (whole, *(whole - part for part in parts))]


def halves(rows: Tensor, k: int) -> list[Tensor]:
    """First k columns of the bases of the two halves of rows (n, d)."""
    return [full_basis(half)[0][:, :k].contiguous() for half in rows.tensor_split(2)]


def halves_overlap(rows: Tensor, d: int) -> dict[str, float]:
    """The overlap of two halves of the directions, the most that others can reach; {} where they are too few for it."""
    if 2 * d > len(rows):
        return {}
    first, second = lab.keep(halves, rows, d)
    return overlap([first], [second], d)


def overlap(a: Sequence[Tensor], b: Sequence[Tensor], k: int) -> dict[str, float]:
    """Mean squared cosine between the first k columns of a[0] and b[0], with the jackknife interval of the others."""
    values = [float((u[:, :k].T.float() @ w[:, :k].float()).square().sum() / k) for u, w in zip(a, b, strict=True)]
    groups = len(values) - 1
    half = 0.0
    if groups:
        without = np.array(values[1:])
        spread = (groups - 1) / groups * ((without - without.mean()) ** 2).sum()
        half = float(stdtrit(groups - 1, 0.975) * math.sqrt(spread))
    return {
        "overlap": values[0],
        "overlap_low": max(0.0, values[0] - half),
        "overlap_high": min(1.0, values[0] + half),
        "median_angle": float(np.median(subspace.principal_angles(a[0][:, :k], b[0][:, :k]))),
    }


def claims(run: Run) -> Iterator[Claim]:
    """At a tenth of all directions: accuracy at most 5 points below DeepFool's (null: random span); overlap above the nulls'."""
    for network, rows in run.by_network():
        nulls = lab.rows_of(rows, kind=[UNTRAINED, *OTHERS])
        for kind in ("gradient", "gradients of all classes"):
            mine = at(rows, kind)
            name = f"{network}, {kind}, d = {mine['d']:g}"
            right = {k: run.flags("right", network, k, f"{mine['share']:g}") for k in (kind, "deepfool", "random")}
            gain, null = (lab.paired(right[k], right["deepfool"]) for k in (kind, "random"))
            yield claim("gradients_carry_the_accuracy", name, gain, ">", -0.05, null=null)
            bound = lab.rows_of(nulls, share=mine["share"])["overlap_high"].max()
            shared = lab.from_row(mine.drop("n"), "overlap", "overlap_low", "overlap_high")  # n counts other images
            yield claim("gradients_span_the_same", name, shared, ">", bound)


@of_a_run
def figure(run: Run) -> Figure:
    """Overlap of each span with DeepFool's of the same dimension, and what chance would give, a panel a network."""
    names = {"deepfool": "deepfool, two halves of the images"}
    networks = list(run.by_network())
    with style():
        drawn, axes = panels([network for network, _ in networks], height=3.0)
        for ax, (network, rows) in zip(axes, networks, strict=False):
            rows = rows[rows["overlap"].notna()]
            for kind in [kind for kind in (*ATTACKS, *OTHERS) if (rows["kind"] == kind).any()]:
                some = lab.rows_of(rows, kind=kind)
                draws(ax, some, "d", ("overlap", "overlap_low", "overlap_high"), look(kind), names.get(kind, kind))
            chance = rows.groupby("d")["chance"].first()
            ax.plot(chance.index, chance, color=look("random").colour, linestyle="-.", label="chance, d / D")
            ax.set(title=short(network), xscale="log", ylim=(0, 1.02), xlabel="directions d", ylabel="overlap")
            plain_log(ax.xaxis)
        legend(drawn, axes, 2)
    return drawn


@of_a_run
def accuracies(run: Run) -> Figure:
    """Accuracy on images projected on each span against the number of directions, a panel a network."""
    return accuracy_on_spans(run, (*ATTACKS, *OTHERS))
