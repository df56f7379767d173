"""Figure 1 of [moosavi2017]: one perturbation, added to many pictures, changes the label of most of them."""

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
from uapkit.figures.style import style
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
    """Figure 1 of [moosavi2017]: one perturbation, added to many pictures, changes the label of most of them.

    Rows with what "picture", one a (model, kind, picture): label, confidence, perturbed_label, perturbed_confidence;
    with what "scored images", one a (model, kind): fooling_rate, low, high, n. kind "UAP", or the null of the same norm.
    The perturbation as ``v/<model>`` in ``attrs["arrays"]``. pictures: free photographs, or images of a set.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps, target_rate, max_passes)

    def teaser(model: str) -> tuple[list[dict], dict]:
        made = setting.fit(model, norm=norm)
        shown = example_pictures(pictures, n_pictures, seed, made.v.shape[-1]).to(device)
        rows = []
        for kind, v in ((UAP, made.v), (nulls.kind_of(norm), setting.random(model, 0, norm))):
            rows += picture_rows(bench.network(model), v, kind, shown)
            rows.append({"kind": kind, "what": "scored images", **lab.rate(bench.fooled(model, v))})
        return rows, {f"v/{model}": made.v.cpu().numpy()}

    return setting.table([lab.sweep([{"model": m} for m in bench.names(models)], teaser, desc="teaser")])


@of_a_run
def figure(run: Run) -> Figure:
    """Left the pictures with the first network's labels, in the middle the one perturbation, right the same plus it."""
    model = run.rows["model"].iloc[0]
    rows = run.where(model=model, kind=UAP, what="picture").to_dict("records")
    v = run.flags("v", model)
    images = shown_in(run, len(rows), v.shape[-1]).x.numpy()
    with style(grid=False):
        drawn, axes = plt.subplots(len(rows), 3, figsize=(7.2, 2.5 * len(rows)), squeeze=False, layout="constrained")
        for ax in axes.flat:
            ax.axis("off")
        for k, row in enumerate(rows):
            for place, shift, name in ((0, 0.0, "label"), (2, v, "perturbed_label")):
                shown = (images[k] + shift).clip(0, 1)
                axes[k, place].imshow(np.repeat(shown, 3 // len(shown), axis=0).transpose(1, 2, 0))
                axes[k, place].set_title(str(row[name])[:24], fontsize=9)
        axes[len(rows) // 2, 1].imshow(as_picture(v, stretch=True))
        axes[len(rows) // 2, 1].set_title("the perturbation\n(contrast stretched)", fontsize=9)
    return drawn
