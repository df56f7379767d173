"""Figure 1 of [moosavi2017]: one perturbation, added to many pictures, and how many of their labels it changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.panels import of_a_run
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import short, style
from uapkit.intervals import Interval
from uapkit.lab import Run, nulls
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.moosavi2017.pictures import example_pictures, picture_rows, shown_in
from uapkit.papers.moosavi2017.setting import UAP, Setting, bench_of


def run(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    pictures: str = "digits",
    n_pictures: int = 5,
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 1 of [moosavi2017]: one perturbation, added to many pictures, and how many of their labels it changes.

    Rows with what "picture", one a (model, kind, picture): label, confidence, perturbed_label, perturbed_confidence;
    with what "scored images", one a (model, kind): fooling_rate, low, high, n. kind "UAP", or the null of the same norm.
    The perturbation as ``v/<model>`` in ``attrs["arrays"]``. pictures: free photographs, or images of a set.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps, target_rate, max_passes)

    def teaser(model: str) -> tuple[list[dict], dict]:
        made = setting.fit(model, norm=norm)
        examples = example_pictures(pictures, n_pictures, seed, made.v.shape[-1]).to(device)
        rows = []
        for kind, v in ((UAP, made.v), (nulls.kind_of(norm), setting.random(model, 0, norm))):
            rows += picture_rows(bench.network(model), v, kind, examples)
            rows.append({"kind": kind, "what": "scored images", **lab.rate(bench.fooled(model, v))})
        return rows, {f"v/{model}": made.v.cpu().numpy()}

    return setting.table([lab.sweep([{"model": m} for m in bench.names(models)], teaser, desc="teaser")])


def shown(run: Run) -> str:
    """The network whose perturbation stands farthest above its null on the scored images: lower end minus upper end."""
    scored = run.where(what="scored images")
    leads = {}
    for model, rows in scored.groupby("model", sort=False):
        null = rows["kind"].ne(UAP)
        leads[str(model)] = float(rows.loc[~null, "low"].max() - rows.loc[null, "high"].max())
    return max(leads, key=lambda model: leads[model])


def words(run: Run) -> str:
    """What the figure shows, as its numbers have it: labels changed on the pictures, the null's beside them, and on scored images.

    "Most" is said of more than half of the scored images, and of more than the null alone; see :func:`shown`.
    """
    model = shown(run)
    counted: dict[bool, tuple[int, int, Interval]] = {}
    for null in (False, True):
        rows = run.where(model=model)
        rows = rows[rows["kind"].ne(UAP) == null]
        pictures = lab.rows_of(rows, what="picture")
        changed = int((pictures["label"].astype(str) != pictures["perturbed_label"].astype(str)).sum())
        rate = lab.from_row(lab.rows_of(rows, what="scored images").iloc[0])
        counted[null] = changed, len(pictures), rate
    (changed, n, own), (by_null, _, noise) = counted[False], counted[True]
    name = str(run.where(model=model)["kind"][lambda k: k.ne(UAP)].iloc[0])
    if own.low > max(0.5, noise.high):
        verdict = "It changes the label of most images"
    elif own.low > noise.high:
        verdict = f"It changes more labels than {name} of the same norm, not those of most images"
    else:
        verdict = f"That it changes more labels than {name} of the same norm is not shown"
    return (
        f"{short(model)}: the perturbation changes the label of {changed} of the {n} pictures, {name} that of {by_null}. "
        f"{verdict}: {own.value:.0%} of {own.n} scored images against {noise.value:.0%}."
    )


@of_a_run
def figure(run: Run) -> Figure:
    """Left the pictures with the labels of the network of :func:`shown`, in the middle the perturbation, right the same plus it."""
    model = shown(run)
    rows = run.where(model=model, kind=UAP, what="picture").to_dict("records")
    v = run.flags("v", model)
    images = shown_in(run, len(rows), v.shape[-1]).x.numpy()
    with style(grid=False):
        drawn, axes = plt.subplots(len(rows), 3, figsize=(7.2, 2.5 * len(rows)), squeeze=False, layout="constrained")
        for ax in axes.flat:
            ax.axis("off")
        for k, row in enumerate(rows):
            for place, shift, name in ((0, 0.0, "label"), (2, v, "perturbed_label")):
                moved = (images[k] + shift).clip(0, 1)
                axes[k, place].imshow(np.repeat(moved, 3 // len(moved), axis=0).transpose(1, 2, 0))
                axes[k, place].set_title(str(row[name])[:24], fontsize=9)
        axes[len(rows) // 2, 1].imshow(as_picture(v, stretch=True))
        axes[len(rows) // 2, 1].set_title("the perturbation\n(contrast stretched)", fontsize=9)
    return drawn
