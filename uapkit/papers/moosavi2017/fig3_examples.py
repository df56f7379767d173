"""Figure 3 of [moosavi2017]: perturbed images with the labels that the network gives them, in both norms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import evaluate, lab
from uapkit.figures.pictures import examples
from uapkit.figures.style import short
from uapkit.lab import Run, nulls
from uapkit.lab.sweep import PerNetwork
from uapkit.models import Model
from uapkit.papers.moosavi2017.pictures import example_pictures, picture_rows, shown_in
from uapkit.papers.moosavi2017.setting import UAP, Setting, bench_of


def run(
    *,
    models: Sequence[Any] = ("lenet_digits", "vgg_digits"),
    norms: Sequence[float] = (2.0, math.inf),
    data: PerNetwork = "digits",
    pictures: str = "digits",
    n_pictures: int = 6,
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 3 of [moosavi2017]: perturbed images with the labels that the network gives them, in both norms.

    Rows with what "picture", one a (model, norm, kind, picture): label, confidence, perturbed_label,
    perturbed_confidence. Rows with what "scored images", one a (model, norm, kind): fooling_rate, low, high, n, and the
    mean confidence of the images that are fooled, before (confidence) and after (perturbed_confidence). kind "UAP" or the
    null. Perturbations as ``v/<model>/<norm>`` in ``attrs["arrays"]``.
    """
    if not norms or any(norm not in (2, math.inf) for norm in norms):
        raise ValueError(f"norms must be a list of 2, inf or both, got {list(norms)}; [2.0, .inf] is the paper's")
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps, target_rate, max_passes)

    def scored_row(model: str, v: Tensor, kind: str) -> dict[str, Any]:
        net, x, flags = bench.network(model), bench.split(model).scored.x, bench.fooled(model, v)
        row: dict[str, Any] = {"kind": kind, "what": "scored images", **lab.rate(flags)}
        if bool(flags.any()):
            row["confidence"] = lab.keep(mean_confidence, net, x[flags], None)
            row["perturbed_confidence"] = lab.keep(mean_confidence, net, x[flags], v)
        return row

    def perturbed(model: str, norm: float) -> tuple[list[dict], dict]:
        made = setting.fit(model, norm=norm)
        shown = example_pictures(pictures, n_pictures, seed, made.v.shape[-1]).to(device)
        rows = []
        for kind, v in ((UAP, made.v), (nulls.kind_of(norm), setting.random(model, 0, norm))):
            rows += picture_rows(bench.network(model), v, kind, shown)
            rows.append(scored_row(model, v, kind))
        return rows, {f"v/{model}/{norm:g}": made.v.cpu().numpy()}

    points = [{"model": m, "norm": norm} for m in bench.names(models) for norm in norms]
    return setting.table([lab.sweep(points, perturbed, desc="examples")])


def mean_confidence(net: Model, x: Tensor, v: Tensor | None) -> float:
    """Mean over the images x, or x + v, of the probability of the label that the network gives them."""
    return float(evaluate.probabilities(net, x, v).amax(1).mean())


def figure(run: Run, model: str, norm: float) -> Figure:
    """Pictures before and after the perturbation of one network in one norm."""
    rows = run.where(model=model, norm=norm, kind=UAP, what="picture")
    v = run.flags("v", model, f"{norm:g}")
    images = shown_in(run, len(rows), v.shape[-1]).x.numpy()
    return examples(images, v, rows, f"{short(model)}, norm {norm:g}")


def figures(run: Run) -> Iterator[Figure]:
    """:func:`figure` of every network and norm that was run."""
    for model, norm in dict.fromkeys(zip(run.rows["model"], run.rows["norm"], strict=True)):
        yield figure(run, model, norm)
