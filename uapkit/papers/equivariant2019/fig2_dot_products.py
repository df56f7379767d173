"""Figures 2b, 3b and 4b of [equivariant2019]: dot products of top attack and top invariant directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.equivariant2019.drawing import bounds, first_seed
from uapkit.papers.equivariant2019.evidence import estimate, groups
from uapkit.papers.equivariant2019.setting import IN_DATA, QUICK, RANDOM, Attacks, Setting, central, training
from uapkit.papers.equivariant2019.spectrum import jackknife, leading, mean_dots, moments


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    step: float = 2.0,
    samples: Sequence[int] = (50, 150),
    ks: Sequence[int] = (5, 10),
    n_random: int = 50,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 2b, 3b and 4b of [equivariant2019]: dot products of top attack and top invariant directions.

    One row a (model, attack, sample, k, kind): mean_dot, the mean modulus over all k x k pairs, with its jackknife
    interval; for random subspaces the mean and the central 95 % of ``n_random`` draws. step: degrees between the two
    images whose difference is an invariant direction.
    """
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    setting.most = max(setting.count(n) for n in samples)

    def dots(model: str, attack: str, sample: int) -> list[dict]:
        setting.network(model)  # first of all: a network that is not here costs nothing
        invariant, found = setting.invariant(sample, step), []
        for kind in ("trained", nulls.UNTRAINED):
            if kind == "trained" or attack != "deepfool" or sample == min(samples):
                rows = setting.rows(model, attack, sample, kind)
                found += [{"kind": kind, **row} for row in lab.keep(dots_with_intervals, rows, invariant, ks)]
        for kind in (RANDOM, IN_DATA):
            drawn = setting.random_subspaces(kind, sample, max(ks), n_random)
            found += [{"kind": kind, **row} for row in lab.keep(dots_with_draws, drawn, invariant, ks)]
        return [{**row, "n_fit": sample} for row in found]

    return setting.table(setting.points(models, attack=attacks, sample=samples), dots, "dot products")


def dots_with_intervals(rows: Tensor, invariant: Tensor, ks: Sequence[int]) -> list[dict[str, float]]:
    """mean_dot with its jackknife interval for each k, of two sets of directions."""
    value, low, high, _ = jackknife(lambda a, b: mean_dots(a, b, ks), moments(rows), moments(invariant))
    return [
        {"k": k, "mean_dot": float(value[j]), "low": float(low[j]), "high": float(high[j])} for j, k in enumerate(ks)
    ]


def dots_with_draws(subspaces: Sequence[np.ndarray], invariant: Tensor, ks: Sequence[int]) -> list[dict[str, float]]:
    """Mean and central 95 % of mean_dot for each k, of bases (d, max(ks)) against one set of directions."""
    u = leading(invariant, max(ks))[1]
    return [{"k": k, **central("mean_dot", [np.abs(u[:, :k].T @ w[:, :k]).mean() for w in subspaces])} for k in ks]


def claims(run: Run) -> Iterator[Claim]:
    """Below what random directions have, of all of R^d or of the data's subspace.

    The paper's "below 0.07" is no claim that could fail: two random directions of R^784 have 0.0285.
    """
    columns = ("mean_dot", "low", "high")
    for name, rows in groups(run, ["model", "attack", "sample", "k"]):
        ours = estimate(lab.rows_of(rows, kind="trained").iloc[0], columns, n="n_fit")
        how = training(rows["model"].iloc[0])
        for what, kind in (("dot_below_random", RANDOM), ("dot_below_random_in_data", IN_DATA)):
            yield claim(what, name, ours, "<", lab.rows_of(rows, kind=kind)["low"].iloc[0], training=how)


def figure(run: Run) -> Figure:
    """Mean modulus of the dot products, a panel a k, with the nulls beside; the dashed line is the paper's 0.07."""
    rows = first_seed(run.rows)
    ks, kinds = sorted(set(rows["k"])), list(dict.fromkeys(rows["kind"]))
    with style():
        drawn, axes = panels(ks, columns=1, height=3.6, width=7.6)
        for ax, k in zip(axes, ks, strict=False):
            of_k = lab.rows_of(rows, k=k)
            points = list(dict.fromkeys(zip(of_k["model"], of_k["attack"], of_k["sample"], strict=True)))
            for j, kind in enumerate(kinds):
                here = lab.rows_of(of_k, kind=kind)
                at = [points.index(p) for p in zip(here["model"], here["attack"], here["sample"], strict=True)]
                ax.errorbar(
                    [place + 0.15 * (j - 1.5) for place in at],
                    here["mean_dot"],
                    yerr=bounds(here, "mean_dot"),
                    fmt=look(kind).marker,
                    capsize=2,
                    markersize=4,
                    color=look(kind).colour,
                    label=kind,
                )
            ax.axhline(0.07, color=look("published").colour, linestyle="--", linewidth=0.8)
            ax.set(title=f"top {k:.0f}", ylabel="mean |dot product|", ylim=(0, None), xticks=range(len(points)))
            words = [f"{short(m)}, {a}, {n:.0f}" for m, a, n in points]
            ax.set_xticklabels(words, rotation=60, ha="right", fontsize=8)
        legend(drawn, axes[:1], columns=4)
    return drawn
