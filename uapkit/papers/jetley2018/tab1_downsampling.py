"""Table 1 of [jetley2018]: a suppression of attack directions, down-sampling, and multiples of DeepFool's perturbation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import checks, evaluate, lab
from uapkit.data.images import Images
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import MARKERS, Look, look, short, style
from uapkit.intervals import Rate
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.claims import Sense
from uapkit.papers.jetley2018.drawing import draws
from uapkit.papers.jetley2018.resampling import Resampled, attacked, random_directions, side_of
from uapkit.papers.jetley2018.setting import Data, accuracy, norms, told

FIRST: tuple[str, Sense] = ("f1_rises", ">")
LARGER: tuple[str, Sense] = ("robust_for_larger_f", "<")
RESTORED = 0.8  # the paper's lowest rate at f = 10 is 0.88


def run(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    d_lows: Sequence[int] = (227, 200, 150, 120, 100),
    factors: Sequence[float] = (1, 2, 3, 4, 5, 10),
    n_eval: int | Mapping[str, int] = 100,
    max_iter: int = 50,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 1 of [jetley2018]: fooling rate of f times DeepFool on a network that sees its images sampled down and up.

    DeepFool is made on the network as it is. One row a (model, d_low, kind, f): kind "deepfool"; the null "clean", f = 0,
    what the resampling alone does; and the null "random direction" of DeepFool's norm for each image (at the smallest and
    the largest f). fooling_rate, low, high, n: images whose label under the resampling network differs from that of the
    clean image under the network *as it is*, the definition that the paper's rows follow. resampled_rate (resampled_low,
    resampled_high): from that of the clean image *resampled too*, the paper's footnote read for the network with its
    defence. d_low: for an input of 227 pixels, as in the paper; side: what it is for this network. accuracy with
    accuracy_low and accuracy_high: of the resampling network. mean_image_l2_norm (mean colour subtracted) and
    mean_deepfool_l2_norm: after the resampling, for pixels from 0 to 255; image_norm and deepfool_norm: for pixels in
    [0, 1]. Images that DeepFool does not fool are left out (deepfool_success is the share that stays). Arrays of flags an
    image: ``fooled/...`` and ``fooled_resampled/...``.
    """
    bench = lab.Bench(data, 1, 0, n_eval, seed, device)

    def resampled(model: str) -> tuple[list[dict], dict]:
        found = attacked(bench, model, max_iter)
        null = random_directions(found.r, seed)
        attacks = (("deepfool", found.r, factors), (nulls.RANDOM_DIRECTION, null, sorted({min(factors), max(factors)})))
        whole = lab.keep(evaluate.labels, bench.network(model), found.images)  # what the paper compares with
        rows, arrays = [], {}
        for d_low in d_lows:
            side = side_of(d_low, found.images)
            net = Resampled(bench.network(model), side)
            clean = lab.keep(evaluate.labels, net, found.images)
            image, attack = lab.keep(mean_norms, net, found.images, found.r)
            about: dict[str, Any] = {
                "side": side,
                "deepfool_success": found.share,
                "image_norm": image,
                "deepfool_norm": attack,
                "mean_image_l2_norm": 255 * image,
                "mean_deepfool_l2_norm": 255 * attack,
            }
            if found.images.y is not None:
                right = accuracy(clean == found.images.y.cpu())
                about.update(accuracy=right["accuracy"], accuracy_low=right["low"], accuracy_high=right["high"])
            labels = {("clean", 0.0): clean}
            for kind, v, fs in attacks:
                labels |= {(kind, f): lab.keep(evaluate.labels, net, found.images, f * v) for f in fs}
            for (kind, f), now in labels.items():
                rows.append({"d_low": d_low, "kind": kind, "f": f, **about, **both_rates(now, whole, clean)})
                arrays[f"fooled/{model}/{kind}/{d_low}/{f:g}"] = (now != whole).numpy()
                arrays[f"fooled_resampled/{model}/{kind}/{d_low}/{f:g}"] = (now != clean).numpy()
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    table = lab.sweep(points, resampled, desc="down-sampling")
    return told(bench, table, ("model", "weights", "data", "d_low", "status"))


def both_rates(now: Tensor, whole: Tensor, clean: Tensor) -> dict[str, float]:
    """Share of labels ``now`` that differ from those of the images seen whole, and of the clean images resampled."""
    other = Rate.mean(now != clean)
    return {
        **lab.rate(now != whole),
        "resampled_rate": other.value,
        "resampled_low": other.low,
        "resampled_high": other.high,
    }


def mean_norms(net: Resampled, images: Images, r: Tensor) -> tuple[float, float]:
    """Mean 2-norm of the images, their mean colour subtracted, and of r (n, c, h, w), both after the resampling."""
    colour = images.x.mean((0, 2, 3), keepdim=True)
    whole = sum(float(norms(net.resampled(part.x - colour)).sum()) for part in images.batches(50))
    return whole / len(images), float(norms(net.resampled(r)).mean())


def claims(run: Run) -> Iterator[Claim]:
    """Over the resolutions at one f, over f at one resolution, and beside what the resampling does alone (f = 0).

    Rates are the paper's, against the label of the clean image seen whole. Differences are paired over the images.
    """
    for network, rows in run.by_network():
        if not (rows["kind"] == "clean").any():  # a run of before: without the resampling alone nothing can be judged
            continue
        table = Flags(run, network)
        sizes = sorted(set(rows.loc[rows["d_low"] < rows["d_low"].max(), "d_low"].astype(int)))
        factors = sorted(set(lab.rows_of(rows, kind="deepfool")["f"]))
        if len(sizes) >= 2:
            for f in factors:
                if f == 1 or f >= 2:
                    name, sense = FIRST if f == 1 else LARGER
                    found, null = (
                        lab.paired(*(flags(d_low) for d_low in (sizes[0], sizes[-1])))
                        for flags in (partial(table.deepfool, f=f), table.clean)
                    )
                    yield claim(name, f"{network}, f = {f:g}", found, sense, 0.0, null=null)
        for d_low in sizes:
            yield from restored(table, d_low, factors)


@dataclass(frozen=True)
class Flags:
    """Who is fooled by the paper's definition, of one network, as (n,) flags."""

    run: Run
    network: str

    def deepfool(self, d_low: int, f: float) -> np.ndarray:
        """Under f times DeepFool."""
        return self.run.flags("fooled", self.network, "deepfool", d_low, f"{f:g}")

    def clean(self, d_low: int) -> np.ndarray:
        """Under the resampling alone."""
        return self.run.flags("fooled", self.network, "clean", d_low, "0")

    def random(self, d_low: int, f: float) -> np.ndarray:
        """Under a random direction of f times DeepFool's norm."""
        return self.run.flags("fooled", self.network, nulls.RANDOM_DIRECTION, d_low, f"{f:g}")


def restored(table: Flags, d_low: int, factors: Sequence[float]) -> Iterator[Claim]:
    """At one resolution: does the rate grow at every step of f, does the largest f restore it, is f = 1 more than none?"""
    name = f"{table.network}, d_low = {d_low}"
    if len(factors) >= 2:
        steps = [
            lab.paired(table.deepfool(d_low, after), table.deepfool(d_low, before))
            for before, after in pairwise(factors)
        ]
        yield claim("grows_with_f", f"{name}, the smallest step", min(steps, key=lambda step: step.value), ">", 0.0)
        last = factors[-1]
        found, null = (Rate.mean(torch.as_tensor(who(d_low, last))) for who in (table.deepfool, table.random))
        yield claim("rescaling_restores", f"{name}, f = {last:g}", found, ">", RESTORED, null=null)
    if 1 in factors:
        more = lab.paired(table.deepfool(d_low, 1), table.clean(d_low))
        yield claim("f1_beyond_resampling", name, more, ">", 0.0)


@of_a_run
def figure(run: Run) -> Figure:
    """Fooling rate against d_low, a line for each f, with the accuracy and the random null, a panel a network."""
    networks = list(run.by_network())
    colour, random, clean = look("deepfool").colour, look(nulls.RANDOM_DIRECTION), look("clean")
    with style():
        drawn, axes = panels([network for network, _ in networks], height=3.2)
        for ax, (network, rows) in zip(axes, networks, strict=False):
            attack, null = (lab.rows_of(rows, kind=kind) for kind in ("deepfool", nulls.RANDOM_DIRECTION))
            factors = sorted(set(attack["f"]))
            for place, f in enumerate(factors):  # one colour, the stronger the larger f is
                shown = Look(colour, MARKERS[place % len(MARKERS)])
                strength = 0.35 + 0.65 * (place + 1) / len(factors)
                draws(
                    ax,
                    lab.rows_of(attack, f=f),
                    "d_low",
                    ("fooling_rate", "low", "high"),
                    shown,
                    f"f = {f:g}",
                    strength,
                )
            most = lab.rows_of(null, f=null["f"].max()).sort_values("d_low")
            label = "random direction, largest f"
            ax.plot(most["d_low"], most["fooling_rate"], color=random.colour, linestyle=random.line, label=label)
            alone = lab.rows_of(rows, kind="clean").sort_values("d_low")
            label = "resampling alone (f = 0)"
            ax.plot(alone["d_low"], alone["fooling_rate"], color=look("none").colour, linestyle=":", label=label)
            right = attack.groupby("d_low")["accuracy"].first()
            label = "accuracy of the resampled network"
            ax.plot(right.index, right, color=clean.colour, linestyle=clean.line, label=label)
            ax.set(title=short(network), ylim=(0, 1.02), xlabel="d_low (input of 227)", ylabel="fooling rate")
        legend(drawn, axes)
    return drawn


def as_published(run: Run, reference: str = "whole") -> pd.DataFrame:
    """One line a network and d_low: norms, accuracy, and the fooling rate for each f, with its interval.

    reference: whose label a fooled image no longer has, that of the clean image seen "whole" (the paper's) or "resampled".
    """
    columns = {"whole": ("fooling_rate", "low", "high")}.get(
        checks.one_of(reference, ("whole", "resampled"), "reference"),
        ("resampled_rate", "resampled_low", "resampled_high"),
    )
    rows = run.rows
    cells = zip(*(rows[column] for column in columns), strict=True)
    rows = rows.assign(rate=[f"{rate:.3f} [{low:.3f}, {high:.3f}]" for rate, low, high in cells])
    norms_and_accuracy = ["mean_image_l2_norm", "mean_deepfool_l2_norm", "deepfool_norm", "accuracy"]
    keys = ["model", "kind", "d_low", "side", "n", *norms_and_accuracy]
    wide = rows.pivot(index=keys, columns="f", values="rate").sort_index(ascending=[True, True] + 7 * [False])
    return wide.rename(columns=lambda f: f"f = {f:g}").reset_index().fillna("–")
