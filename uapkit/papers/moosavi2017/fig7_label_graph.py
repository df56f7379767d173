"""Figure 7 of [moosavi2017]: which labels do the fooled images get, and do those labels fill the space of images?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import evaluate, lab
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.style import look, short, style, with_intervals
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.models import Model
from uapkit.papers.moosavi2017.ext_stall import amplified
from uapkit.papers.moosavi2017.graph import crossed_hits, majority, most_frequent, other_labels, sizes, top_share
from uapkit.papers.moosavi2017.setting import Setting, bench_of, rephased
from uapkit.seeds import child_seed, generator

UNIVERSAL, SIGNS, LARGER, SHUFFLED = "universal", nulls.RANDOM_SIGNS, "random signs, larger", "shuffled labels"
FULL, SPECTRUM = "universal, full length", "random phase"
PHASE_DRAWS = 3
PHOTOGRAPHS, NOISE, PHASES = "the images themselves", "uniform noise", "random phases"
MEANINGS = {PHOTOGRAPHS: "clean"}  # of kinds that are drawn like something of another name


def run(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 64,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 400,
    n_graph: PerNetwork = None,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 2,
    tops: Sequence[int] = (1, 3, 10),
    larger: float = 4.0,
    n_shuffles: int = 20,
    n_noise: int = 200,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Graph of labels of [moosavi2017], Figure 7: an edge from label i to the label that most fooled images of i get.

    Algorithm 1 (norm inf, radius eps) is fitted as in Table 1; the graph is of ``n_graph`` other images, None:
    ``n_eval``. Label i is the one that the network gives the clean image. Where a label has one image only, its edge is
    that image; ties go to the label that comes first. Of the paper's graph neither the rule for ties nor the least
    number of images is known, so ``count`` (images on the edge) stands beside ``n`` (fooled images of i). Rows by
    ``part``: "edge" (source, target); "graph" (edges, labels, components, largest: labels in the largest component,
    targets: labels that an edge leads to, half: how many of them take half of the edges, in_degree: the most edges to
    one label); "targets" (top_share of the ``n`` fooled images that get one of the ``top`` most frequent new labels;
    low, high; and crossed_top_share with the labels that are most frequent in the other half of the images, because the
    most frequent labels of a few images hold many of them by chance); "regions" (share of images of another kind whose
    label is one of the universal perturbation's ``top`` new labels); "alone" (label and confidence of the perturbation
    by itself). Kinds: "universal"; "universal, full length", the same vector's signs at the full radius, because one that was
    stopped early fools few images; its null "random phase", three draws of noise with the vector's own spectrum, as
    long (:func:`uapkit.papers.moosavi2017.setting.rephased`). Nulls of all: "random signs" of the same norm,
    "random signs, larger", ``larger`` times that, and "shuffled labels", one row a draw: the same fooled images with the
    clean label of another image as new label. Of the regions: "the images themselves" (not perturbed), "uniform noise", and
    "random phases", noise with the images' own amplitude spectra.
    """
    usual = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(usual, n_images, eps, target_rate, max_passes)
    names = usual.names(models)
    drawn_from = {name: for_network(n_graph, name, "n_graph") or for_network(n_eval, name, "n_eval") for name in names}
    bench = bench_of(data, n_fit, drawn_from, seed, device)
    bench.names(models)

    def shift(model: str, kind: str, draw: int | None) -> Tensor:
        if kind in (SIGNS, LARGER):
            return setting.random(model) * (larger if kind == LARGER else 1.0)
        made = setting.fit(model)
        if kind == UNIVERSAL:
            return made.v
        v = made.v if kind == FULL else rephased(made.v, child_seed(seed, f"phases {draw}"))
        return amplified(replace(made, v=v), math.inf)

    def graph(model: str, kind: str, draw: int | None = None) -> list[dict]:
        net, x, clean = usual.network(model), bench.split(model).scored, bench.clean(model)
        v = shift(model, kind, draw)
        after = lab.keep(evaluate.labels, net, x, v)
        labels, moved = lab.class_names(net), after != clean
        rows: list[dict] = [{"kind": kind, "part": "rate", **lab.rate(moved)}]
        if not bool(moved.any()):
            return rows
        rows += about_graph(kind, clean[moved], after[moved], tops, labels if draw is None else ())
        if kind != UNIVERSAL:
            return rows
        draws = generator(seed, "shuffled labels")
        for shuffle in range(n_shuffles):
            other = other_labels(clean, clean[moved], draws)
            rows += [{**row, "draw": shuffle} for row in about_graph(SHUFFLED, clean[moved], other, tops, ())]
        rows += regions(net, x.x, clean, after[moved], tops, n_noise, seed)
        return rows + alone(net, v, after[moved], labels)

    kinds: list[dict[str, Any]] = [{"kind": kind} for kind in (UNIVERSAL, SIGNS, LARGER, FULL)]
    kinds += [{"kind": SPECTRUM, "draw": draw} for draw in range(PHASE_DRAWS)]
    points = [{"model": name, **about} for name in names for about in kinds]
    return setting.table([lab.sweep(points, graph, desc="labels")])


def about_graph(kind: str, before: Tensor, after: Tensor, tops: Sequence[int], names: Sequence[str]) -> list[dict]:
    """The graph and the shares of the most frequent new labels; edges only where there are names."""
    edges = majority(before, after)
    rows: list[dict] = [{"kind": kind, "part": "graph", **sizes(edges), "n": len(after)}]
    for top in tops:
        share = top_share(torch.isin(after, most_frequent(after, top)))
        crossed = {
            f"crossed_{name}": value for name, value in top_share(crossed_hits(after, top)).items() if name != "n"
        }
        rows.append({"kind": kind, "part": "targets", "top": top, **share, **crossed})
    for i, j, count, n in edges if names else ():
        rows.append({"kind": kind, "part": "edge", "source": names[i], "target": names[j], "count": count, "n": n})
    return rows


def regions(
    net: Model, x: Tensor, clean: Tensor, after: Tensor, tops: Sequence[int], n_noise: int, seed: int
) -> list[dict]:
    """How often the dominant labels are given to images that nobody perturbed: the scored ones, and two kinds of noise."""
    n = min(n_noise, len(x))
    noise = torch.rand(n, *x.shape[1:], generator=generator(seed, "uniform noise"))
    labels = {
        PHOTOGRAPHS: clean,
        NOISE: lab.keep(evaluate.labels, net, noise.to(x)),
        PHASES: lab.keep(labels_of_phases, net, x, n, seed),
    }
    return [
        {"kind": kind, "part": "regions", "top": top, **top_share(torch.isin(given, most_frequent(after, top)))}
        for kind, given in labels.items()
        for top in tops
    ]


def labels_of_phases(net: Model, x: Tensor, n: int, seed: int) -> Tensor:
    """Labels of noise with the spectra of the first ``n`` images, and some more to fill the last 50."""
    return torch.cat([evaluate.labels(net, random_phases(x[k : k + 50], seed + k)) for k in range(0, n, 50)])


def random_phases(x: Tensor, seed: int) -> Tensor:
    """(n, c, h, w): each channel keeps the moduli of its Fourier coefficients and gets the phases of noise; cut to [0, 1].

    The same phases for all channels keep how they go together, hence the colours; the mean, coefficient zero, stays.
    """
    noise = torch.fft.rfft2(torch.rand(len(x), 1, *x.shape[2:], generator=generator(seed, "random phases")).to(x))
    turn = noise / noise.abs()
    turn[..., 0, 0] = 1
    return torch.fft.irfft2(torch.fft.rfft2(x) * turn, s=x.shape[2:]).clamp(0, 1)


def alone(net: Model, v: Tensor, after: Tensor, names: Sequence[str]) -> list[dict]:
    """What the network sees in the perturbation on mid grey, as it is and stretched to the full range, and in -v."""
    stretched = v / (2 * v.abs().max())
    pictures = {"on grey": v, "stretched": stretched, "minus, stretched": -stretched}
    p = evaluate.probabilities(net, torch.stack([0.5 + w for w in pictures.values()]).clamp(0, 1))
    order = most_frequent(after, len(after)).tolist()
    rows = []
    for kind, confidences in zip(pictures, p, strict=True):
        label = int(confidences.argmax())
        about = {"kind": kind, "part": "alone", "target": names[label], "confidence": float(confidences.max())}
        rows.append({**about, "place": order.index(label) + 1 if label in order else math.nan})
    return rows


def claims(run: Run) -> Iterator[Claim]:
    """Share of the top labels (chosen on the other half) against its mean under shuffled labels; noise against photographs.

    The most labels that hold less than half of the images under shuffled labels: ten of a thousand classes, not of ten.
    Shuffled labels have no dominant ones, so their share is the absence of the effect; random signs are the null.
    "dominant_labels_at_full_length": the same of the vector at full length, where the null is noise with its spectrum, of its
    draws the one with the largest share.
    """
    for model, rows in run.by_network():
        targets = lab.rows_of(rows, part="targets")
        few = lab.rows_of(targets, kind=SHUFFLED).groupby("top")["crossed_top_share"].mean()
        top = max((t for t in few.index if few[t] < 0.5), default=None)
        if top is None:
            continue
        share, null = (_crossed(lab.rows_of(targets, kind=kind, top=top)) for kind in (UNIVERSAL, SIGNS))
        assert share is not None  # where images were fooled, there are shares
        about, bound = f"{model} (top {top:g})", float(few[top])
        yield claim("dominant_labels", about, share, ">", bound, null=null, absence=True)
        if share := _crossed(lab.rows_of(targets, kind=FULL, top=top)):
            null = _crossed(lab.rows_of(targets, kind=SPECTRUM, top=top).nlargest(1, "crossed_top_share"))
            yield claim("dominant_labels_at_full_length", about, share, ">", bound, null=null, absence=True)
        shares = lab.rows_of(rows, part="regions", top=top).set_index("kind")
        for kind in (NOISE, PHASES):
            given, bound = lab.from_row(shares.loc[kind], "top_share"), float(shares.loc[PHOTOGRAPHS, "high"])
            yield claim("dominant_labels_fill_space", f"{model}: {kind} (top {top:g})", given, ">", bound)


def _crossed(row: pd.DataFrame) -> Interval | None:
    """The one row's crossed share; None where no image was fooled."""
    if row.empty:
        return None
    return lab.from_row(row.iloc[0], "crossed_top_share", "crossed_low", "crossed_high")


@of_a_run
def figure(run: Run, part: str = "targets", what: str = "share of fooled images") -> Figure:
    """Share of images whose new label is among the most frequent 1, 3, 10: a panel a network, a line a kind."""
    rows = run.where(part=part)
    ticks = sorted(set(rows["top"]))
    with style():
        drawn, axes = panels(models_of(rows), height=3.4)
        for ax, model in zip(axes, models_of(rows), strict=False):
            for place, (kind, of_kind) in enumerate(lab.rows_of(rows, model=model).groupby("kind", sort=False)):
                mean = of_kind.groupby("top")[["top_share", "low", "high"]].mean().reset_index()
                at = [ticks.index(top) + 0.06 * place for top in mean["top"]]
                shown = look(MEANINGS.get(str(kind), str(kind)))
                with_intervals(ax, at, mean, "top_share", shown, str(kind))
            ax.set_xticks(range(len(ticks)), [f"{top:g}" for top in ticks])
            ax.set(title=short(model), xlabel="most frequent new labels", ylabel=what, ylim=(0, 1.02))
        legend(drawn, axes, columns=2)
    return drawn


def means(run: Run, part: str, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of one part of the table, means over the draws: a row a network, kind and, if asked for, top."""
    keys = ["model", "kind", *(["top"] if "top" in columns else [])]
    values = [column for column in columns if column != "top"]
    return run.where(part=part).groupby(keys, sort=False)[values].mean().reset_index()
