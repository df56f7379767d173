"""Figure 4 of [moosavi2017]: the universal perturbations of several networks, their sizes and how alike they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.figures import pictures
from uapkit.figures.panels import of_a_run, panels
from uapkit.figures.style import style
from uapkit.fourier import mean_wavelength
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.moosavi2017.drawing import matrix
from uapkit.papers.moosavi2017.setting import CHANCE, UAP, Setting, bench_of, facts, gram, random_rows


def run(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits", "vgg_digits"),
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
    """Figure 4 of [moosavi2017]: the universal perturbations of several networks, their sizes and how alike they are.

    Rows of kind "UAP", one a model: l2_norm and linf_norm (0 to 255), fraction_entries_abs_ge_9 (entries within a tenth
    of the radius: at least 9 of 10), wavelength (mean, in pixels), end, steps, and fooling_rate with low and high. The
    null with the same columns: kind "random signs" or "random direction". Rows of kind "pair", one a pair of networks on
    the same images: other_network and cosine_similarity; of kind "random pair": the null. Perturbations as ``v/<model>/``
    in ``attrs["arrays"]``.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps, target_rate, max_passes)

    def measured(model: str, kind: str, v: Tensor) -> dict[str, Any]:
        size = setting.radius(model, norm)
        return {
            "kind": kind,
            "l2_norm": 255 * float(v.double().norm()),
            "linf_norm": 255 * float(v.abs().max()),
            "fraction_entries_abs_ge_9": float((v.abs() >= 0.9 * size).float().mean())
            if norm == math.inf
            else math.nan,
            "wavelength": mean_wavelength(v.cpu()),
            **lab.rate(bench.fooled(model, v)),
        }

    def picture(model: str) -> tuple[list[dict], dict]:
        made = setting.fit(model, norm=norm)
        how = {name: value for name, value in facts(made).items() if name in ("n_fit", "end", "passes", "steps")}
        null = measured(model, nulls.kind_of(norm), setting.random(model, 0, norm))
        return [{**measured(model, UAP, made.v), **how}, null], {f"v/{model}/": made.v.cpu().numpy()}

    gallery = lab.sweep([{"model": name} for name in bench.names(models)], picture, desc="gallery")
    vectors = {name.split("/")[1]: torch.from_numpy(v) for name, v in gallery.attrs["arrays"].items()}
    pairs: list[dict[str, Any]] = []
    for a, b in combinations(vectors, 2):
        if vectors[a].shape == vectors[b].shape and setting.same_images(a, b):
            noise = [setting.random(a, k, norm) for k in (0, 1)]
            for kind, both in (("pair", [vectors[a], vectors[b]]), ("random pair", noise)):
                cosine = float(gram(both)[0, 1])
                about = {"model": a, "other_network": b, "status": "run", "kind": kind}
                pairs.append({**about, "cosine_similarity": cosine})
    return setting.table([gallery, pd.DataFrame(pairs)] if pairs else [gallery])


def claims(run: Run) -> Iterator[Claim]:
    """The networks' perturbations are nearly orthogonal: the largest modulus of a network's cosines with the others.

    The claim speaks of all pairs, so the largest decides, and it has no interval. The authors'
    own six arrays stay below 0.07. Random vectors
    satisfy the claim, too: it counts where the network's perturbation fools more than a random one, so the null holds only
    where it does not.
    """
    if "other_network" not in run.table:
        return
    pairs = lab.rows_of(run.table, kind="pair")
    for model, rows in run.by_network():
        own = pairs[(pairs["model"] == model) | (pairs["other_network"] == model)]["cosine_similarity"].abs()
        attack = lab.rows_of(rows, kind=UAP)
        if len(own) and len(attack):
            largest = Interval(float(own.max()), len(own), float(own.max()), float(own.max()))
            above = attack["low"].min() > random_rows(rows)["high"].max()
            yield claim("nearly_orthogonal", model, largest, "<", 0.1, null=None if above else CHANCE)


@of_a_run
def figure(run: Run) -> Figure:
    """Normalised inner products of the networks' perturbations, one matrix a set of images."""
    pairs = run.where(kind="pair")
    sets = list(dict.fromkeys(pairs["data"]))
    with style(grid=False):
        drawn, axes = panels(sets, columns=1, height=4.2)
        for ax, name in zip(axes, sets, strict=False):
            part = lab.rows_of(pairs, data=name)
            names = list(dict.fromkeys([*part["model"], *part["other_network"]]))
            grid = pd.DataFrame(np.eye(len(names)), names, names)
            for row in part.itertuples():
                grid.loc[row.model, row.other_network] = grid.loc[row.other_network, row.model] = row.cosine_similarity
            matrix(ax, grid, low=-0.2, high=1, digits=3)
            ax.set(title=f"normalised inner product, {name}")
    return drawn


def gallery(run: Run, *, stretch: bool = True) -> Figure:
    """The perturbations as pictures, contrast stretched or at their true scale."""
    return pictures.gallery(run.arrays, stretch=stretch)
