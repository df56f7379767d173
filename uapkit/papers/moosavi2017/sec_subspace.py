"""Section 4 of [moosavi2017]: random vectors in the span of the normals' first singular vectors, on other images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.panels import models_of, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.moosavi2017.normals import minimal
from uapkit.papers.moosavi2017.setting import PHASES, Setting, bench_of, rephased
from uapkit.seeds import child_seed, generator

IN_NORMALS, ANYWHERE, IN_IMAGES = "subspace of normals", nulls.RANDOM_DIRECTION, "subspace of the images"
MEANINGS = {IN_NORMALS: "normals", ANYWHERE: "random direction", IN_IMAGES: "images", PHASES: PHASES}


def run(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits"),
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 200,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 200,
    ks: Sequence[int] = (10, 100),
    eps: float = 0.2,
    n_random: int = 10,
    n_groups: int = 5,
    num_classes: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Random vectors in the span of the normals' first singular vectors, section 4 of [moosavi2017], on other images.

    The normals are those of ``n_images`` of ``n_fit`` images (:func:`uapkit.papers.moosavi2017.fig9_spectrum.run`); the
    ``n_eval`` scored ones are others. One row a (model, kind, k, draw): fooling_rate, low, high, n. Kinds: "subspace of
    normals", Gaussian coefficients on the first k vectors, scaled to the radius; the paper's comparison "random
    direction", uniform on the sphere of R^d; and two of ours: "subspace of the images", the same with the images' own
    singular vectors, and "random phases", draw for draw the vectors of the subspace of normals with new phases, see
    :func:`uapkit.papers.moosavi2017.setting.rephased`. eps: the 2-norm's radius is the one that goes with this radius in
    the infinity norm (the paper's 2000 with 10); l2_norm: that radius, 0 to 255. The paper does not say how it draws its
    vectors, nor how many.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps)

    def score(model: str, kind: str, k: int) -> list[dict]:
        x, size = setting.x(model), setting.radius(model, 2.0)
        basis = None
        if kind != ANYWHERE:
            normals = lab.keep(minimal, bench.network(model), x, k=max(ks), n_groups=n_groups, num_classes=num_classes)
            basis = (normals.image_vectors if kind == IN_IMAGES else normals.vectors)[:k]
        same = IN_NORMALS if kind == PHASES else kind  # noise is made of the very vectors that it is compared with
        draws, rows = generator(seed, f"random vectors, {same}, {k}"), []
        for draw in range(n_random):
            v = torch.randn(x.x[0].numel() if basis is None else len(basis), generator=draws)
            v = v if basis is None else v @ basis
            v = (v * (size / v.norm())).view(bench.shape(model))
            if kind == PHASES:
                v = rephased(v, child_seed(seed, f"phases, {k}, {draw}"))
            flags = bench.fooled(model, v.to(device))
            rows.append({"draw": draw, "l2_norm": 255 * size, "n_fit": len(x), **lab.rate(flags)})
        return rows

    kinds = [(ANYWHERE, 0), *((kind, k) for kind in (IN_NORMALS, IN_IMAGES, PHASES) for k in ks)]
    points = [{"model": model, "kind": kind, "k": k} for model in bench.names(models) for kind, k in kinds]
    return setting.table([lab.sweep(points, score, desc="random vectors")])


def claims(run: Run) -> Iterator[Claim]:
    """Mean rate in the largest subspace of normals minus that of the others, over draws scored on the same images."""
    for model, rows in run.by_network():
        most = int(lab.rows_of(rows, kind=IN_NORMALS)["k"].max())
        rates = {
            kind: torch.tensor(part.sort_values("draw")["fooling_rate"].to_numpy())
            for kind, part in rows[(rows["k"] == most) | (rows["kind"] == ANYWHERE)].groupby("kind")
        }
        for kind, name in (
            (ANYWHERE, "subspace_beats_random"),
            (IN_IMAGES, "subspace_beats_the_images_own"),
            (PHASES, "subspace_beats_its_spectrum"),
        ):
            if kind in rates:
                gain = lab.mean_of(rates[IN_NORMALS] - rates[kind])
                yield claim(name, f"{model} (k = {most})", gain, ">", 0.0)


@of_a_run
def figure(run: Run) -> Figure:
    """Fooling rates of random vectors, a panel a network: a dot a draw, a bar their mean."""
    models = models_of(run.rows)
    with style():
        drawn, axes = panels(models, height=2.4)
        for ax, model in zip(axes, models, strict=False):
            names = []
            for place, ((kind, k), part) in enumerate(run.where(model=model).groupby(["kind", "k"], sort=False)):
                colour = look(MEANINGS[kind]).colour
                ax.barh(place, part["fooling_rate"].mean(), color=colour, alpha=0.5)
                spread = place + 0.6 * (np.arange(len(part)) / max(1, len(part) - 1) - 0.5)
                ax.plot(part["fooling_rate"], spread, ".", color=colour)
                name = kind.removeprefix("subspace of ").removeprefix("the ")
                names.append(f"{name}, {k:g}" if k else name)
            ax.set_yticks(range(len(names)), names, fontsize=8)
            ax.set(title=short(model), xlabel="fooling rate", xlim=(0, None))
            ax.invert_yaxis()
    return drawn


def spread(run: Run) -> pd.DataFrame:
    """Rates over the draws, on the same images: a row a network, kind and k."""
    rates = run.rows.groupby(["model", "kind", "k", "l2_norm"], sort=False)["fooling_rate"]
    return rates.agg(mean="mean", least="min", most="max", standard_deviation="std", draws="size").reset_index()
