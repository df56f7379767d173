"""Figure 8 of [moosavi2017]: the universal perturbation beside five other directions of equal 2-norm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import attacks, lab
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.style import look, short, style, with_intervals
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.moosavi2017.normals import minimal
from uapkit.papers.moosavi2017.setting import Setting, bench_of
from uapkit.papers.moosavi2017.stronger import LABELS, Nulls, against_noise
from uapkit.seeds import generator

UNIVERSAL, RANDOM = "universal", nulls.RANDOM_DIRECTION
DEEPFOOL, FGSM = "DeepFool of one image", "FGSM of one image"
SUM, MEAN = "sum of DeepFool's", "mean image"
KINDS = {  # how each is drawn
    UNIVERSAL: "universal",
    RANDOM: "random direction",
    DEEPFOOL: "deepfool",
    FGSM: "fgsm",
    SUM: "sum of deepfool",
    MEAN: "images",
}


def run(
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
    radius that goes with ``eps``, see :func:`~uapkit.papers.moosavi2017.setting.radius`: size 1 is the paper's
    2000. One row a (model, kind, size, draw): l2_norm, 0 to 255, share_of_image (that over the images' mean 2-norm),
    fooling_rate, low, high, n. Of the random and the single-image directions there are ``n_draws``; the paper has one
    of each. k, n_groups: of :func:`uapkit.papers.moosavi2017.fig9_spectrum.run`, whose perturbations these
    are. Flags at size 1 as ``fooled/<model>/<kind>/<draw>`` in ``attrs["arrays"]``.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting, normals = Setting(bench, n_images, eps, target_rate, max_passes), Setting(bench, n_normals, eps)

    def directions(model: str, kind: str) -> Tensor:
        """The draws of a kind, before scaling."""
        net, x = bench.network(model), normals.x(model)
        if kind == UNIVERSAL:
            return setting.fit(model, norm=2.0, block=block).v
        if kind == RANDOM:
            return torch.randn(n_draws, *x.shape, generator=generator(seed, "random directions"))
        if kind == FGSM:
            return lab.keep(attacks.fgsm, net, x[:n_draws], eps=1.0)
        if kind == MEAN:
            return x.x.mean(0)
        steps = lab.keep(minimal, net, x, k=k, n_groups=n_groups, num_classes=num_classes)
        return steps.single[:n_draws] if kind == DEEPFOOL else steps.total

    def score(model: str, kind: str) -> tuple[list[dict], dict]:
        radius = setting.radius(model, 2.0)
        length = float(bench.split(model).scored.x.flatten(1).norm(dim=1).mean())
        rows: list[dict] = []
        arrays: dict[str, np.ndarray] = {}
        for draw, v in enumerate(directions(model, kind).to(device).view(-1, *bench.shape(model))):
            for size in sorted({*sizes, 1.0}):
                flags = bench.fooled(model, v * (size * radius / v.norm()))
                about = {
                    "draw": draw,
                    "size": size,
                    "l2_norm": 255 * size * radius,
                    "share_of_image": size * radius / length,
                }
                rows.append({**about, **lab.rate(flags)})
                if size == 1:
                    arrays[f"fooled/{model}/{kind}/{draw}"] = flags.cpu().numpy()
        return rows, arrays

    points = [{"model": model, "kind": kind} for model in bench.names(models) for kind in KINDS]
    return setting.table([lab.sweep(points, score, desc="directions")])


def claims(run: Run) -> Iterator[Claim]:
    """At the universal perturbation's own norm, on the same images: its rate minus that of each other kind, over images and draws.

    "Far more", the paper's word, is more than twice as many; its own figure has 85 % against at most 40 %. "More" is any.
    """
    for model, rows in run.by_network():
        for kind in [kind for kind in KINDS if kind != UNIVERSAL]:
            draws = sorted(lab.rows_of(rows, kind=kind, size=1.0)["draw"].astype(int))
            if draws:
                others = np.stack([run.flags("fooled", model, kind, k).astype(float) for k in draws])
                own, name = run.flags("fooled", model, UNIVERSAL, 0).astype(float), f"{model} against {kind}"
                yield claim("universal_above_others", name, lab.paired(own, 2 * others), ">", 0.0)
                yield claim("universal_fools_more", name, lab.paired(own, others), ">", 0.0)


def beyond(run: Run, stall: Run | None) -> pd.DataFrame:
    """Each kind at size 1, the mean of its draws, beside noise with the spectrum of the universal one, of that length."""
    rated = []
    for (model, kind), rows in run.where(size=1.0).groupby(["model", "kind"], sort=False):
        draws = [run.flags("fooled", model, kind, k) for k in sorted(rows["draw"].astype(int))]
        rated.append(({"model": model, "kind": kind}, np.stack(draws)))
    return against_noise(run, stall, rated, 2.0)


@of_a_run
def figure(run: Run, beside: Nulls | None = None) -> Figure:
    """Fooling rate against the 2-norm, a panel a network, a line a kind: the mean of its draws, which are the dots.

    beside: the nulls that other items measured at size 1, a point with its interval.
    """
    models = models_of(run.rows)
    with style():
        drawn, axes = panels(models, height=3.4)
        for ax, model in zip(axes, models, strict=False):
            for kind, part in run.where(model=model).groupby("kind", sort=False):
                shown = look(KINDS[str(kind)])
                mean = part.groupby("l2_norm")["fooling_rate"].mean()
                ax.plot(part["l2_norm"], part["fooling_rate"], ".", color=shown.colour, alpha=0.4)
                line: dict[str, Any] = {"color": shown.colour, "marker": shown.marker, "linestyle": shown.line}
                ax.plot(mean.index, mean, label=str(kind), **line)
            for null in (beside or {}).get((str(model), 2.0), []):
                at = [float(run.where(model=model, size=1.0)["l2_norm"].iloc[0])]
                rows = pd.DataFrame([null.rate.columns("fooling_rate")])
                with_intervals(ax, at, rows, "fooling_rate", look(null.kind), LABELS[null.kind], line=False)
            ax.set(title=short(model), xlabel="2-norm, pixels 0 to 255", ylabel="fooling rate", ylim=(0, 1))
        legend(drawn, axes, columns=2)
    return drawn


def means(run: Run) -> pd.DataFrame:
    """Fooling rates, means over the draws: a row a network and norm, a column a kind."""
    rates = run.rows.groupby(["model", "kind", "size", "l2_norm", "share_of_image"], sort=False)["fooling_rate"].mean()
    return rates.unstack("kind", sort=False).reset_index()
