"""Paper M, Figure 7: which labels do the fooled images get, and do those labels fill the space of images?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from uapkit import evaluate
from uapkit.experiments.common import class_names, rate
from uapkit.experiments.moosavi2017_shared import Study
from uapkit.experiments.tidy import as_null, by_network, claim, evidence, rows_of
from uapkit.lab.sweep import PerNetwork, for_network, sweep
from uapkit.seeds import generator

UNIVERSAL, SIGNS, LARGER, SHUFFLED = "universal", "random signs", "random signs, larger", "shuffled labels"
PHOTOGRAPHS, NOISE, PHASES = "the images themselves", "uniform noise", "random phases"


def fig7_label_graph(
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
    by itself). Kinds: "universal"; nulls "random signs" of the same norm, "random signs, larger", ``larger`` times
    that, and "shuffled labels", one row a draw: the same fooled images with the clean label of another image as new
    label. Of the regions: "the images themselves" (not perturbed), "uniform noise", and "random phases", noise with the
    images' own amplitude spectra.
    """
    specs = [m if isinstance(m, str) else m.name for m in models]
    sizes = {spec: for_network(n_graph, spec) or for_network(n_eval, spec) for spec in specs}
    study, whole = (
        Study(data, n_fit, n_images, n, eps, target_rate, max_passes, seed, device) for n in (n_eval, sizes)
    )
    whole.specs(models)

    def graph(model: str, kind: str) -> list[dict]:
        _, scored = whole.x(model)
        net = study.bench(model).model(model)
        clean = whole.bench(model).clean(model, net, "scored", scored)
        v = study.fit(model).v if kind == UNIVERSAL else study.random(model) * (larger if kind == LARGER else 1.0)
        after = evaluate.labels(net, scored, v)
        names, moved = class_names(net), after != clean
        rows = [{"kind": kind, "part": "rate", **rate(moved)}]
        if not bool(moved.any()):
            return rows
        rows += _about(kind, clean[moved], after[moved], tops, names)
        if kind != UNIVERSAL:
            return rows
        draws = generator(seed, "shuffled labels")
        for draw in range(n_shuffles):
            other = _other_labels(clean, clean[moved], draws)
            rows += [row | {"draw": draw} for row in _about(SHUFFLED, clean[moved], other, tops, ())]
        return (
            rows
            + _regions(net, scored.x, clean, after[moved], tops, n_noise, seed)
            + _alone(net, v, after[moved], names)
        )

    points = [{"model": spec, "kind": kind} for spec in study.specs(models) for kind in (UNIVERSAL, SIGNS, LARGER)]
    return study.joined([sweep(points, graph, over=("models",), per_network=True, desc="labels")])


def majority(before: Tensor, after: Tensor) -> list[tuple[int, int, int, int]]:
    """(i, j, images of i that get j, images of i) for each label i: j its most frequent new label, the first of equals."""
    found = []
    for i in before.unique().tolist():
        targets, counts = after[before == i].unique(return_counts=True)
        best = int(counts.argmax())
        found.append((i, int(targets[best]), int(counts[best]), int(counts.sum())))
    return found


def components(edges: Sequence[tuple[int, ...]]) -> list[set[int]]:
    """Labels that hang together, directions ignored, the largest set first."""
    labels = sorted({label for edge in edges for label in edge[:2]})
    place = {label: k for k, label in enumerate(labels)}
    ends = np.array([[place[i], place[j]] for i, j, *_ in edges]).T
    matrix = coo_array((np.ones(len(edges)), tuple(ends)), shape=(len(labels), len(labels)))
    count, member = connected_components(matrix, directed=False)
    return sorted(({labels[k] for k in np.flatnonzero(member == c)} for c in range(count)), key=len, reverse=True)


def _about(kind: str, before: Tensor, after: Tensor, tops: Sequence[int], names: Sequence[str]) -> list[dict]:
    """The graph and the shares of the most frequent new labels; edges only where there are names."""
    edges = majority(before, after)
    found, degrees = components(edges), np.unique([j for _, j, *_ in edges], return_counts=True)[1]
    reach = np.sort(degrees)[::-1].cumsum()
    sizes = {"edges": len(edges), "labels": sum(map(len, found)), "components": len(found), "largest": len(found[0])}
    sizes |= {"targets": len(degrees), "half": int((reach < len(edges) / 2).sum()) + 1, "in_degree": int(degrees.max())}
    rows: list[dict] = [{"kind": kind, "part": "graph", **sizes, "n": len(after)}]
    for top in tops:
        crossed = {f"crossed_{name}": value for name, value in _share(crossed_hits(after, top)).items() if name != "n"}
        hit = torch.isin(after, most_frequent(after, top))
        rows.append({"kind": kind, "part": "targets", "top": top, **_share(hit), **crossed})
    for i, j, count, n in edges if names else ():
        rows.append({"kind": kind, "part": "edge", "source": names[i], "target": names[j], "count": count, "n": n})
    return rows


def most_frequent(labels: Tensor, k: int) -> Tensor:
    """The k most frequent labels, the first of equals."""
    values, counts = labels.unique(return_counts=True)
    return values[counts.argsort(descending=True, stable=True)[:k]]


def crossed_hits(labels: Tensor, k: int) -> Tensor:
    """Which of the labels are among the k most frequent of the other half: the choice owes nothing to the label itself."""
    hit = torch.zeros(len(labels), dtype=torch.bool)
    for half in range(2):
        hit[half::2] = torch.isin(labels[half::2], most_frequent(labels[1 - half :: 2], k))
    return hit


def _share(hit: Tensor) -> dict[str, float]:
    cells = rate(hit)
    return {"top_share": cells.pop("fooling_rate"), **cells}


def _other_labels(clean: Tensor, own: Tensor, draws: torch.Generator) -> Tensor:
    """For each of ``own`` the clean label of an image drawn among those that have another label."""
    found = torch.empty_like(own)
    for i in own.unique():
        others, mine = clean[clean != i], own == i
        found[mine] = others[torch.randint(len(others), (int(mine.sum()),), generator=draws)]
    return found


def _regions(
    net: Any, x: Tensor, clean: Tensor, after: Tensor, tops: Sequence[int], n_noise: int, seed: int
) -> list[dict]:
    """How often the dominant labels are given to images that nobody perturbed: the scored ones, and two kinds of noise."""
    n = min(n_noise, len(x))
    noise = torch.rand(n, *x.shape[1:], generator=generator(seed, "uniform noise"))
    labels = {
        PHOTOGRAPHS: clean,
        NOISE: evaluate.labels(net, noise.to(x)),
        PHASES: torch.cat([evaluate.labels(net, random_phases(x[k : k + 50], seed + k)) for k in range(0, n, 50)]),
    }
    return [
        {"kind": kind, "part": "regions", "top": top, **_share(torch.isin(given, most_frequent(after, top)))}
        for kind, given in labels.items()
        for top in tops
    ]


def random_phases(x: Tensor, seed: int) -> Tensor:
    """(n, c, h, w): each channel keeps the moduli of its Fourier coefficients and gets the phases of noise; cut to [0, 1].

    The same phases for all channels keep how they go together, hence the colours; the mean, coefficient zero, stays.
    """
    noise = torch.fft.rfft2(torch.rand(len(x), 1, *x.shape[2:], generator=generator(seed, "random phases")).to(x))
    turn = noise / noise.abs()
    turn[..., 0, 0] = 1
    return torch.fft.irfft2(torch.fft.rfft2(x) * turn, s=x.shape[2:]).clamp(0, 1)


def _alone(net: Any, v: Tensor, after: Tensor, names: Sequence[str]) -> list[dict]:
    """What the network sees in the perturbation on mid grey, as it is and stretched to the full range, and in -v."""
    stretched = v / (2 * v.abs().max())
    pictures = {"on grey": v, "stretched": stretched, "minus, stretched": -stretched}
    p = evaluate.probabilities(net, torch.stack([0.5 + w for w in pictures.values()]).clamp(0, 1))
    order = most_frequent(after, len(after)).tolist()
    return [
        {"kind": kind, "part": "alone", "target": names[int(row.argmax())], "confidence": float(row.max())}
        | {"place": order.index(int(row.argmax())) + 1 if int(row.argmax()) in order else math.nan}
        for kind, row in zip(pictures, p, strict=True)
    ]


@evidence
def fig7_label_graph_evidence(table: pd.DataFrame) -> list[dict]:
    """Share of the top labels (chosen on the other half) against its mean under shuffled labels; noise against photographs.

    The most labels that hold less than half of the images under shuffled labels: ten of a thousand classes, not of ten.
    """
    found = []
    for model, rows in by_network(table):
        targets = rows[rows["part"] == "targets"]
        few = rows_of(targets, kind=SHUFFLED).groupby("top")["crossed_top_share"].mean()
        top = max((t for t in few.index if few[t] < 0.5), default=None)
        if top is None:
            continue
        share, null = (_crossed(rows_of(targets, kind=kind, top=top)) for kind in (UNIVERSAL, SIGNS))
        beside = as_null(null) if null else {}
        found.append(claim("dominant_labels", f"{model} (top {top:g})", share, ">", float(few[top]), **beside))
        regions = rows_of(rows, part="regions", top=top).set_index("kind")
        for kind in (NOISE, PHASES):
            cells = {"estimate": regions.loc[kind, "top_share"], **regions.loc[kind, ["low", "high", "n"]]}
            bound = float(regions.loc[PHOTOGRAPHS, "high"])
            found.append(claim("dominant_labels_fill_space", f"{model}: {kind} (top {top:g})", cells, ">", bound))
    return found


def _crossed(row: pd.DataFrame) -> dict[str, float]:
    """The one row's crossed share as an estimate; nothing where no image was fooled."""
    names = {"estimate": "crossed_top_share", "low": "crossed_low", "high": "crossed_high", "n": "n"}
    return {name: float(row[column].iloc[0]) for name, column in names.items()} if len(row) else {}
