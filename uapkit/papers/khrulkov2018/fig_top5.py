"""Top-5 probabilities against the norm, the figure of [khrulkov2018], for pictures whose label changes and others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import evaluate, lab
from uapkit.data import Images
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import in_order, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.models import Model
from uapkit.papers.khrulkov2018.setting import Layer, Setting

RANKS = 5


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    data: str = "digits",
    scales: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
    n_pictures: int = 2,
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Top-5 probabilities against the norm, the figure of [khrulkov2018], for flips and non-flips.

    Norms are ``scales`` times ``eps`` (column scale; the claim is judged at 1). Rows of kind "curve", one a (model,
    picture, flips, eps, rank): the probability of the clean picture's rank-th class; ``n_pictures`` scored images that
    flip at ``eps`` and as many that do not. Rows of kind "mean", one a (model, direction, eps, flipped): over the n
    scored images whose label has (not) changed at this norm, the mean of the largest and the second largest probability
    (top1, top2) and of their quotient (closeness, with low and high); for those that keep their label also the same images
    without the perturbation: top1_before, close_gain, the share whose second probability has come above half of the
    largest minus that share before (close_low, close_high: paired). direction as in fig_examples.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, layer)

    def curves(model: str, layer: str) -> list[dict]:
        net, scored = bench.network(model), bench.split(model).scored
        ranked = lab.keep(ranked_labels, net, scored)
        _, clean, _ = lab.keep(probabilities_of, net, scored, torch.zeros(bench.shape(model), device=device), ranked)
        rows: list[dict] = []
        for direction, v in setting.directions(model, layer).items():
            flips = bench.fooled(model, v)
            chosen = [(int(i), bool(f)) for f in (True, False) for i in (flips == f).nonzero()[:n_pictures, 0]]
            for scale in scales:
                label, best, followed = lab.keep(probabilities_of, net, scored, scale * v, ranked)
                if direction == "singular vector":
                    rows += [
                        {
                            "kind": "curve",
                            "direction": direction,
                            "picture": i,
                            "flips": f,
                            "eps": scale * eps,
                            "rank": rank + 1,
                            "probability": float(probability),
                        }
                        for i, f in chosen
                        for rank, probability in enumerate(followed[i])
                    ]
                at = {"kind": "mean", "direction": direction, "scale": scale, "eps": scale * eps}
                rows += [at | row for row in _means(best, label != ranked[:, 0], clean)]
        return rows

    parts = []
    for network in bench.names(models):
        points = [{"model": network, "layer": setting.choose(network)}]
        parts.append(lab.sweep(points, curves, desc=f"{network}: norms"))
    return bench.told(lab.joined(parts))


def ranked_labels(model: Model, x: Images) -> Tensor:
    """(n, 5) labels of each image by their probability, the largest first; fewer for fewer classes."""
    found = evaluate.probabilities(model, x)
    return found.topk(min(RANKS, found.shape[1]), 1).indices


def probabilities_of(model: Model, x: Images, v: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each image of x + v: (n,) the label, (n, 2) its two largest probabilities, (n, k) those of ``labels``."""
    found = evaluate.probabilities(model, x, v)
    return found.argmax(1), found.topk(2, 1).values, found.gather(1, labels)


def _means(best: Tensor, flipped: Tensor, clean: Tensor) -> list[dict[str, Any]]:
    """A row each for the images whose label has changed, and has not, where there are two of them.

    best, clean: (n, 2) the two largest probabilities with and without the perturbation; flipped: (n,) bool.
    """
    rows = []
    for kind in (True, False):
        two = best[flipped == kind]
        if len(two) < 2:
            continue
        close = evaluate.mean_interval(two[:, 1] / two[:, 0])
        row = {
            "flipped": kind,
            "n": len(two),
            "top1": float(two[:, 0].mean()),
            "top2": float(two[:, 1].mean()),
            "closeness": close.value,
            "low": close.low,
            "high": close.high,
        }
        if not kind:
            before = clean[~flipped]
            gain = lab.paired(*(pair[:, 1] > pair[:, 0] / 2 for pair in (two, before)))
            row |= {"top1_before": float(before[:, 0].mean()), "close_gain": gain.value}
            row |= {"close_low": gain.low, "close_high": gain.high}
        rows.append(row)
    return rows


def claims(run: Run) -> Iterator[Claim]:
    """At eps, images that keep their label: in some more of them than before the second comes near the largest; null: random signs.

    Each image is compared with itself. A run that did not store this (``close_gain``) says nothing of it.
    """
    for network, rows in run.by_network():
        if "close_gain" not in rows:
            continue
        rows = lab.rows_of(rows[rows["flipped"].astype(str) == "False"], kind="mean", scale=1)
        gains = {
            row["direction"]: lab.from_row(row, "close_gain", "close_low", "close_high")
            for row in rows.to_dict("records")
        }
        if "singular vector" in gains:
            null = gains.get(nulls.RANDOM_SIGNS)
            yield claim("top1_falls_to_top2", network, gains["singular vector"], ">", 0.0, null=null)


@of_a_run
def figure(run: Run) -> Figure:
    """Probability of the clean top five classes against the norm; a row a network, flips left, the others right."""
    rows = run.where(kind="curve")
    pictures = list(rows.assign(flips=rows["flips"].astype(str)).groupby(["model", "flips", "picture"], sort=False))
    with style():
        drawn, axes = panels([str(place) for place, _ in pictures], columns=4 if len(pictures) > 2 else 2, height=2.0)
        for ax, ((network, flips, _), part) in zip(axes, pictures, strict=False):
            lines = list(part.groupby("rank"))
            for (rank, line), shown in zip(lines, in_order(len(lines)), strict=True):
                given: dict[str, Any] = {
                    "color": shown.colour,
                    "marker": shown.marker,
                    "ms": 3,
                    "label": f"rank {rank:g}",
                }
                ax.plot(line["eps"], line["probability"], **given)
            name = short(network).replace(" (", "\n(")
            ax.set_title(f"{name}\n{'flips' if flips == 'True' else 'keeps its label'}", fontsize=8)
            ax.set(ylim=(-0.02, 1.02))
            ax.tick_params(labelsize=8)
            ax.locator_params(axis="x", nbins=3)
        drawn.supxlabel("norm", fontsize=10)
        drawn.supylabel("probability", fontsize=10)
        legend(drawn, axes, columns=5)
    return drawn
