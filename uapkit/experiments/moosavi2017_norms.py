"""Paper M, Figure 8: the universal perturbation beside five other directions of equal 2-norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import attacks, evaluate
from uapkit.experiments.common import paired, rate
from uapkit.experiments.moosavi2017_minimal import minimal
from uapkit.experiments.moosavi2017_shared import Study
from uapkit.experiments.tidy import by_network, claim, evidence, rows_of
from uapkit.lab.sweep import PerNetwork, sweep
from uapkit.seeds import generator

UNIVERSAL, RANDOM = "universal", "random direction"
DEEPFOOL, FGSM = "DeepFool of one image", "FGSM of one image"
SUM, MEAN = "sum of DeepFool's", "mean image"
KINDS = (UNIVERSAL, RANDOM, DEEPFOOL, FGSM, SUM, MEAN)
DRAWN = (RANDOM, DEEPFOOL, FGSM)  # directions of which there are several


def fig8_norms(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits"),
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 60,
    n_images: PerNetwork = None,
    n_normals: PerNetwork = None,
    n_eval: PerNetwork = 200,
    eps: float = 0.2,
    sizes: Sequence[float] = (0.5, 1.0, 2.0, 4.0),
    n_draws: int = 2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    block: int = 1,
    k: int = 100,
    n_groups: int = 5,
    num_classes: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Fooling rate against the 2-norm for six kinds of direction, Figure 8 of [moosavi2017].

    Kinds, made from the first images of ``n_fit`` and scored on ``n_eval`` others: "universal" (Algorithm 1 on
    ``n_images``, 2-norm, at size 1; ``block`` images a step, 1 in the paper's order); "random direction", uniform on
    the sphere; "DeepFool of one image" and "FGSM of one image" (the signed gradient); "sum of DeepFool's" minimal
    perturbations over all of them; "mean image", which the paper calls the bias. Each is scaled to ``sizes`` times the
    radius that goes with ``eps``, see :func:`~uapkit.experiments.moosavi2017_shared.radius`: size 1 is the paper's
    2000. One row a (model, kind, size, draw): l2_norm, 0 to 255, share_of_image (that over the images' mean 2-norm),
    fooling_rate, low, high, n. Of the random and the single-image directions there are ``n_draws``; the paper has one
    of each. k, n_groups: of :func:`~uapkit.experiments.moosavi2017_subspace.fig9_spectrum`, whose perturbations these
    are. Flags at size 1 as ``fooled/<model>/<kind>/<draw>`` in ``attrs["arrays"]``.
    """
    study = Study(data, n_fit, n_images, n_eval, eps, target_rate, max_passes, seed, device)
    normals = Study(data, n_fit, n_normals, n_eval, eps, seed=seed, device=device)
    normals.specs(models)
    shared = {"k": k, "n_groups": n_groups, "num_classes": num_classes}

    def directions(model: str, kind: str) -> Tensor:
        """(draws, c, h, w) before scaling."""
        images, _ = normals.x(model)
        net = study.bench(model).model(model)
        make: dict[str, Callable[[], Tensor]] = {
            UNIVERSAL: lambda: study.fit(model, norm=2.0, block=block).v,
            RANDOM: lambda: torch.randn(n_draws, *images.shape, generator=generator(seed, "random directions")),
            DEEPFOOL: lambda: minimal(net, images, **shared)["single"][:n_draws],
            FGSM: lambda: attacks.fgsm(net, images[:n_draws], eps=1.0),
            SUM: lambda: minimal(net, images, **shared)["total"],
            MEAN: lambda: images.x.mean(0),
        }
        return make[kind]().to(device).view(-1, *images.shape)

    def score(model: str, kind: str) -> tuple[list[dict], dict]:
        _, scored = study.x(model)
        bench, radius = study.bench(model), study.radius(model, 2.0)
        net = bench.model(model)
        clean = bench.clean(model, net, "scored", scored)
        length = float(scored.x.flatten(1).norm(dim=1).mean())
        rows: list[dict] = []
        arrays: dict[str, np.ndarray] = {}
        for draw, v in enumerate(directions(model, kind)):
            for size in sorted({*sizes, 1.0}):
                flags = evaluate.fooled(net, scored, v * (size * radius / v.norm()), clean)
                about = {
                    "draw": draw,
                    "size": size,
                    "l2_norm": 255 * size * radius,
                    "share_of_image": size * radius / length,
                }
                rows.append({**about, **rate(flags)})
                arrays |= {f"fooled/{model}/{kind}/{draw}": flags.numpy()} if size == 1 else {}
        return rows, arrays

    points = [{"model": spec, "kind": kind} for spec in study.specs(models) for kind in KINDS]
    return study.joined([sweep(points, score, over=("models",), per_network=True, desc="directions")])


@evidence
def fig8_norms_evidence(table: pd.DataFrame) -> list[dict]:
    """At the universal perturbation's own norm: its rate minus that of each other kind (mean of its draws), same images."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        for kind in KINDS[1:]:
            draws = sorted(rows_of(rows, kind=kind, size=1.0)["draw"].astype(int))
            if draws:
                others = np.mean([arrays[f"fooled/{model}/{kind}/{k}"].astype(float) for k in draws], axis=0)
                gain = paired(arrays[f"fooled/{model}/{UNIVERSAL}/0"].astype(float), others)
                found.append(claim("universal_above_others", f"{model} against {kind}", gain, ">", 0.0))
    return found
