"""Section 4 of [jetley2018]: how much of a universal perturbation lies in the spans that carry the accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import attacks as methods
from uapkit import evaluate, lab
from uapkit.figures import pictures
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import for_network
from uapkit.papers.jetley2018.drawing import plain_log
from uapkit.papers.jetley2018.setting import Count, Data, at, told
from uapkit.papers.jetley2018.spans import SPANS, spans_of
from uapkit.papers.jetley2018.subspaces import curved_at, deciding
from uapkit.seeds import child_seed

CURVED = ("positive", "negative", "flat")
ATTACKS = ("uap", nulls.RANDOM_SIGNS)


def run(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = (0.02, 0.1, 0.3, 0.5),
    norm: float = math.inf,
    eps: float | Mapping[str, float] = 0.2,
    n_curvature: int | Mapping[str, int] = {"mlp_digits": 5, "other": 0},
    n_train: int = 500,
    k: int | Mapping[str, int | None] | None = None,
    max_products: int = 300,
    n_fit: Count = 100,
    n_uap: int = 50,
    n_eval: int | None = 150,
    n_draws: int = 3,
    max_passes: int = 2,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Section 4 of [jetley2018]: the share of a universal perturbation's 2-norm in the spans, beside chance sqrt(d / D).

    The perturbations are those of Algorithm 1 of [moosavi2017] from ``n_uap`` images that neither give the spans nor are
    scored, one for each of ``n_draws`` orders. One row a (model, attack, draw, kind, share): attack "uap", or the null
    "random signs" (in another norm than inf: random directions) of the same size; norm_share in [0, 1]; chance:
    sqrt(d / D); fooling_rate, low, high, n: of the perturbation on the scored images. Spans are those of
    ``fig4_deepfool_svd`` and, with ``n_curvature`` boundary points a class (0: none) drawn from ``n_train`` training
    images, the curvature subspaces of ``fig3_accuracy``: "positive", "negative", "flat", with ``k`` known directions at
    each end of a class (None: all) and at most ``max_products`` of Lanczos; share is then that of all classes together.
    """
    bench = lab.Bench(data, n_fit, 0, None if n_eval is None else n_eval + n_uap, seed, device, from_training=True)

    def all_spans(model: str) -> Iterator[tuple[str, float, Tensor]]:
        spans = spans_of(bench, model)
        for kind in SPANS:
            for share, d in zip(shares, spans.dimensions(shares), strict=True):
                yield kind, share, spans.span(kind, d)
        spaces = curved_at(bench, model, n_curvature, n_train, k=k, max_products=max_products)
        if spaces is not None:
            for kind in [kind for kind in CURVED if spaces.most(kind)]:
                for share in shares:
                    each = max(1, round(share * spaces.d / len(spaces.classes)))
                    yield kind, share, spaces.basis(kind, min(each, spaces.most(kind))).cpu()

    def energy(model: str) -> tuple[list[dict], dict]:
        net, images = bench.network(model), bench.split(model).scored
        if len(images) <= n_uap:
            raise ValueError(f"n_uap must be below the {len(images)} images that are not fitted on, got {n_uap}")
        scored, own = images[: len(images) - n_uap], images[len(images) - n_uap :]
        clean, size = lab.keep(evaluate.labels, net, scored), for_network(eps, model, "eps")
        found = list(all_spans(model))
        rows: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for attack in ATTACKS:
            for draw in range(n_draws):
                if attack == "uap":
                    order = child_seed(seed, f"{attack} {draw}")
                    settings = {"norm": norm, "eps": size, "max_passes": max_passes, "seed": order, "block": 10}
                    v = lab.keep(methods.uap, net, own, **settings).v.cpu()
                else:
                    v = nulls.random(own.shape, eps=size, norm=norm, seed=seed, name=f"{attack} {draw}")
                arrays[f"v/{model}/{attack} {draw}"] = v.numpy()
                fooled = lab.rate(lab.keep(evaluate.fooled, net, scored, v, clean))
                for kind, share, span in found:
                    d, part = span.shape[1], float((v.flatten() @ span.float()).norm() / v.norm())
                    row = {"attack": attack, "draw": draw, "kind": kind, "share": share, "d": d, "norm_share": part}
                    rows.append({**row, "chance": math.sqrt(d / v.numel()), **fooled})
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    return told(bench, lab.sweep(points, energy, desc="energy of universal perturbations"))


def claims(run: Run) -> Iterator[Claim]:
    """More than half of the norm in a tenth of all directions, Student's interval over the draws; random signs as null."""
    for network, rows in run.by_network():
        for kind in ("S_hi", *CURVED[:2]):
            some = lab.rows_of(rows, kind=kind)
            some = deciding(run, network, some) if kind in CURVED else some
            if len(some):
                some = lab.rows_of(some, share=at(some, kind)["share"])
                found, null = (lab.mean_of(lab.rows_of(some, attack=attack)["norm_share"]) for attack in ATTACKS)
                name = f"{network}, {kind}, d = {some['d'].iloc[0]:g}"
                claimed = "uap_in_high_curvature" if kind in CURVED else "uap_in_first_order_span"
                yield claim(claimed, name, found, ">", 0.5, null=null)


@of_a_run
def figure(run: Run) -> Figure:
    """Share of the norm in each span against d, bands over the draws; random signs in S_hi and chance as thin lines."""
    networks, signs = list(run.by_network()), look(nulls.RANDOM_SIGNS)
    with style():
        drawn, axes = panels([network for network, _ in networks], height=3.0)
        for ax, (network, rows) in zip(axes, networks, strict=False):
            for kind in [kind for kind in (*SPANS, *CURVED) if (rows["kind"] == kind).any()]:
                shown, label = look(kind), f"uap in {kind}" + (" curvature" if kind in CURVED else "")
                line = ":" if kind in CURVED else shown.line
                some = lab.rows_of(rows, kind=kind, attack="uap").groupby("d")["norm_share"]
                middle = some.mean()
                ax.plot(
                    middle.index, middle, shown.marker, color=shown.colour, linestyle=line, markersize=4, label=label
                )
                ax.fill_between(middle.index, some.min(), some.max(), color=shown.colour, alpha=0.15)
            null = lab.rows_of(rows, kind="S_hi", attack=nulls.RANDOM_SIGNS).groupby("d")["norm_share"].mean()
            ax.plot(null.index, null, color=signs.colour, linestyle="--", label=f"{nulls.RANDOM_SIGNS} in S_hi")
            chance = rows.groupby("d")["chance"].first()
            ax.plot(chance.index, chance, color=signs.colour, linestyle="-.", label="chance, √(d / D)")
            ax.set(
                title=short(network), xscale="log", ylim=(0, 1.02), xlabel="directions d", ylabel="share of the norm"
            )
            plain_log(ax.xaxis)
        legend(drawn, axes, 2)
    return drawn


def gallery(run: Run) -> Figure:
    """One universal perturbation and one null of each network, as pictures."""
    first = tuple(f"{attack} 0" for attack in ATTACKS)
    return pictures.gallery({name: v for name, v in run.arrays.items() if name.endswith(first)})
