"""Figure 5 of [jetley2018]: attacks confined to spans of attack directions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.attacks import DeepFoolResult
from uapkit.figures import pictures
from uapkit.figures.panels import legend, of_a_run
from uapkit.figures.style import look, short, style
from uapkit.intervals import Rate
from uapkit.lab import Claim, Run, claim
from uapkit.papers.jetley2018.drawing import draws, plain_log
from uapkit.papers.jetley2018.setting import (
    FEW,
    Count,
    Data,
    at,
    bootstrap_median,
    deepfool,
    lengths,
    mean_image,
    norms,
    told,
)
from uapkit.papers.jetley2018.spans import SPANS, spans_of


def run(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = (0.02, 0.1, 0.5),
    n_fit: Count = 100,
    n_eval: Count | None = 30,
    max_iter: int = 30,
    n_random: int = 2,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 5 of [jetley2018]: norm of DeepFool confined to a span, and of the images projected on it, against d.

    One row a (model, kind, share, draw); kinds as in ``fig4_deepfool_svd``, and "unconfined". norm: median 2-norm over
    the images with its bootstrap interval (norm_low, norm_high), where an image that no step within ``max_iter`` fooled
    counts as infinite; mean_norm: over the fooled ones. fooling_rate, low, high, n: share fooled. image_norm: mean norm of
    the projected images, their mean subtracted. ``attrs["arrays"]``: image by image 1 / norm as ``reciprocal/...``, norms as
    ``image/...``; one confined perturbation a kind, as ``v/...``. The paper has overshoot 0.02, at most 100 steps and all
    classes as candidates (here the ten best-scoring), and shows means.
    """
    bench = lab.Bench(data, n_fit, 0, n_eval, seed, device, from_training=True)

    def confined(model: str) -> tuple[list[dict], dict]:
        net, images = bench.network(model), bench.split(model).scored
        spans = spans_of(bench, model, n_random=n_random)
        centred = (images.x - mean_image(bench, model)).flatten(1).cpu()
        pictured = min(shares, key=lambda share: abs(share - FEW))
        rows: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}

        def note(kind: str, share: float, d: int, draw: int, found: DeepFoolResult, image: np.ndarray) -> None:
            arrays[f"reciprocal/{model}/{kind}/{share:g}/{draw}"] = (
                1 / lengths(found)
            ).numpy()  # 0 where nobody is fooled
            arrays[f"image/{model}/{kind}/{share:g}/{draw}"] = image
            rows.append({"kind": kind, "share": share, "d": d, "draw": draw, **facts(found, image)})

        whole = np.linalg.norm(centred.numpy(), axis=1)
        note("unconfined", 1.0, spans.d, 0, deepfool(net, images, max_iter=max_iter), whole)
        for share, d in zip(shares, spans.dimensions(shares), strict=True):
            for kind in SPANS:
                for draw in range(n_random if kind == "random" else 1):
                    span = spans.span(kind, d, draw)
                    found = deepfool(net, images, max_iter=max_iter, basis=span)
                    note(kind, share, d, draw, found, (centred @ span).norm(dim=1).numpy())
                    if share == pictured and draw == 0:
                        arrays[f"v/{model}/{kind}, d = {d}"] = found.r[0].numpy()
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    return told(bench, lab.sweep(points, confined, desc="confined DeepFool"))


def facts(found: DeepFoolResult, image: np.ndarray) -> dict[str, float]:
    """Norms of a confined attack and of the projected images, and the share fooled, as columns."""
    median = bootstrap_median(lengths(found))
    return {
        "norm": median.value,
        "norm_low": median.low,
        "norm_high": median.high,
        "mean_norm": float(norms(found.r)[found.success].mean()) if found.success.any() else math.nan,
        "image_norm": float(image.mean()),
        **lab.rate(found.success),
    }


def claims(run: Run) -> Iterator[Claim]:
    """Of two spans of a tenth of all directions, the one with more of the image needs the smaller attack, image by image.

    The null: two random spans of the same dimension.
    """
    for network, rows in run.by_network():
        share = at(rows, "S_hi")["share"]

        def inverse(*spans: tuple[str, int], network: str = network, share: float = share) -> Rate:
            of_attack, of_image = (
                [run.flags(what, network, kind, f"{share:g}", draw) for kind, draw in spans]
                for what in ("reciprocal", "image")
            )
            return Rate.mean(torch.as_tensor((of_attack[0] > of_attack[1]) == (of_image[0] > of_image[1])))

        null = inverse(("random", 0), ("random", 1)) if (rows["draw"] > 0).any() else None
        for other in SPANS[1:]:
            name = "inverse_to_principal_components" if other == "principal components" else "inverse_relation"
            yield claim(name, f"{network}, S_hi against {other}", inverse(("S_hi", 0), (other, 0)), ">", 0.5, null=null)


@of_a_run
def figure(run: Run) -> Figure:
    """Norm of confined DeepFool (left) and of the projected images (right) against d, a row a network."""
    networks, clean = list(run.by_network()), look("clean")
    with style():
        size = (7.6, 2.6 * len(networks))
        drawn, axes = plt.subplots(len(networks), 2, figsize=size, squeeze=False, layout="constrained")
        for (above, below), (network, rows) in zip(axes, networks, strict=True):
            for kind in SPANS:
                some, shown = lab.rows_of(rows, kind=kind), look(kind)
                draws(above, some, "d", ("norm", "norm_low", "norm_high"), shown, kind)
                middle = some.groupby("d")["image_norm"].mean()
                below.plot(middle.index, middle, shown.marker, color=shown.colour, linestyle=shown.line, markersize=4)
            whole = lab.rows_of(rows, kind="unconfined").iloc[0]
            above.axhline(whole["norm"], color=clean.colour, linestyle=clean.line, label="unconfined, whole images")
            below.axhline(whole["image_norm"], color=clean.colour, linestyle=clean.line)
            above.set(
                title=short(network), xscale="log", yscale="log", xlabel="directions d", ylabel="norm of the attack"
            )
            below.set(xscale="log", ylim=(0, None), xlabel="directions d", ylabel="norm of the image")
            for axis in (above.xaxis, below.xaxis, above.yaxis):
                plain_log(axis)
        legend(drawn, list(axes[:, 0]))
    return drawn


def gallery(run: Run) -> Figure:
    """The perturbation of one image confined to each span, as pictures."""
    return pictures.gallery(run.arrays)
