"""Figure 5 of [moosavi2017]: perturbations from several shuffles of one X, and how alike they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.panels import models_of, of_a_run, panels
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.moosavi2017.drawing import matrix
from uapkit.papers.moosavi2017.setting import CHANCE, UAP, Setting, bench_of, facts, gram, random_rows


def run(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 5 of [moosavi2017]: perturbations from several shuffles of one X, and how alike they are.

    Rows of kind "UAP", one a (model, shuffle): fooling_rate, low, high, n on other images, end, passes, norms. Rows of
    kind "pair", one a pair of shuffles: cosine, the normalised inner product; of kind "random signs" or "random
    direction" the same for as many random perturbations, the null. Rows of kind "sum": fooling_rate of the shuffles' sum
    at the same norm, as an answer to whether they are steps in one direction. Perturbations as ``v/<model>/<shuffle>``,
    Gram matrices as ``gram/<model>`` in ``attrs["arrays"]``. ``seed`` chooses the images.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps, target_rate, max_passes)
    random = nulls.kind_of(norm)

    def shuffled(model: str, shuffle: int) -> tuple[list[dict], dict]:
        made = setting.fit(model, norm=norm, seed=shuffle)
        row = {"kind": UAP, "eps": 255 * made.eps, **facts(made), **lab.rate(bench.fooled(model, made.v))}
        return [row], {f"v/{model}/{shuffle}": made.v.cpu().numpy()}

    def alike(model: str) -> tuple[list[dict], dict]:
        vectors = [setting.fit(model, norm=norm, seed=k).v for k in seeds]
        draws = [setting.random(model, k, norm) for k in range(len(seeds))]
        products = {"pair": gram(vectors), random: gram(draws)}
        rows = [
            {"kind": kind, "shuffle": seeds[i], "other": seeds[j], "cosine": product[i, j]}
            for kind, product in products.items()
            for i, j in combinations(range(len(seeds)), 2)
        ]
        total, size = torch.stack(vectors).sum(0), setting.radius(model, norm)
        total = total.sign() * size if norm == math.inf else total
        total = total * (size / torch.linalg.vector_norm(total, norm))
        rows.append({"kind": "sum", **lab.rate(bench.fooled(model, total))})
        rows += [{"kind": random, "draw": k, **lab.rate(bench.fooled(model, v))} for k, v in enumerate(draws)]
        return rows, {f"gram/{model}": products["pair"]}

    parts = []
    for model in bench.names(models):
        parts.append(lab.sweep([{"model": model, "shuffle": k} for k in seeds], shuffled, desc=f"{model}: shuffles"))
        parts.append(lab.sweep([{"model": model}], alike, desc=f"{model}: how alike"))
    return setting.table(parts)


def claims(run: Run) -> Iterator[Claim]:
    """The largest modulus of all pairs' inner products: the claim speaks of all pairs, so the largest decides, without interval.

    Random vectors satisfy the claim, too: being unlike each other is what chance gives. It counts where each of the
    perturbations fools more than every random one, so the null column holds only where one of them does not.
    """
    for model, rows in run.by_network():
        size = lab.rows_of(rows, kind="pair")["cosine"].abs()
        if size.empty:
            continue
        largest = Interval(float(size.max()), len(size), float(size.max()), float(size.max()))
        above = lab.rows_of(rows, kind=UAP)["low"].min() > random_rows(rows)["high"].max()
        yield claim("inner_product_at_most_0.1", model, largest, "<", 0.1, null=None if above else CHANCE)


@of_a_run
def figure(run: Run) -> Figure:
    """Normalised inner products of the perturbations of several shuffles, a panel a network."""
    models = models_of(run.rows)
    with style(grid=False):
        drawn, axes = panels(models, height=3.4)
        for ax, model in zip(axes, models, strict=False):
            names = [int(k) for k in run.where(model=model, kind=UAP)["shuffle"]]
            matrix(ax, pd.DataFrame(run.flags("gram", model), names, names), low=-1, high=1)
            ax.set(title=short(model), xlabel="shuffle", ylabel="shuffle")
    return drawn


@of_a_run
def gallery(run: Run) -> Figure:
    """The perturbations of all shuffles as pictures, contrast stretched, a row a network."""
    models = models_of(run.rows)
    vectors = [{k.rpartition("/")[2]: v for k, v in run.arrays.items() if k.startswith(f"v/{m}/")} for m in models]
    columns = max(map(len, vectors))
    with style(grid=False):
        size = (7.4, (7.4 / columns + 0.5) * len(models))
        drawn, axes = plt.subplots(len(models), columns, figsize=size, squeeze=False, layout="constrained")
        for ax in axes.flat:
            ax.axis("off")
        for line, (model, shuffles) in enumerate(zip(models, vectors, strict=True)):
            for ax, (name, v) in zip(axes[line], shuffles.items(), strict=False):
                ax.imshow(as_picture(v, stretch=True), interpolation="nearest")
                ax.set_title(f"{short(model)}\nshuffle {name}", fontsize=8)
    return drawn
