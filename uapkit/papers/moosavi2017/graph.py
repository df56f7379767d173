"""The graph of labels that fooled images make, and how few labels they end at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from uapkit import lab


def majority(before: Tensor, after: Tensor) -> list[tuple[int, int, int, int]]:
    """(i, j, images of i that get j, images of i) for each label i: j its most frequent new label, the first of equals."""
    edges = []
    for i in before.unique().tolist():
        targets, counts = after[before == i].unique(return_counts=True)
        best = int(counts.argmax())
        edges.append((i, int(targets[best]), int(counts[best]), int(counts.sum())))
    return edges


def components(edges: Sequence[tuple[int, ...]]) -> list[set[int]]:
    """Labels that hang together, directions ignored, the largest set first."""
    labels = sorted({label for edge in edges for label in edge[:2]})
    place = {label: k for k, label in enumerate(labels)}
    ends = np.array([[place[i], place[j]] for i, j, *_ in edges]).T
    matrix = coo_array((np.ones(len(edges)), tuple(ends)), shape=(len(labels), len(labels)))
    count, member = connected_components(matrix, directed=False)
    return sorted(({labels[k] for k in np.flatnonzero(member == c)} for c in range(count)), key=len, reverse=True)


def sizes(edges: Sequence[tuple[int, ...]]) -> dict[str, int]:
    """edges, labels, components, largest (labels in the largest component), targets, half, in_degree of a graph.

    targets: labels that an edge leads to; half: how many of them take half of the edges; in_degree: the most edges to
    one label.
    """
    parts, degrees = components(edges), np.unique([j for _, j, *_ in edges], return_counts=True)[1]
    reach = np.sort(degrees)[::-1].cumsum()
    return {
        "edges": len(edges),
        "labels": sum(map(len, parts)),
        "components": len(parts),
        "largest": len(parts[0]),
        "targets": len(degrees),
        "half": int((reach < len(edges) / 2).sum()) + 1,
        "in_degree": int(degrees.max()),
    }


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


def top_share(hit: Tensor) -> dict[str, float]:
    """top_share, low, high (Wilson, 95 %) and n of flags, as columns."""
    cells = lab.rate(hit)
    return {"top_share": cells.pop("fooling_rate"), **cells}


def other_labels(clean: Tensor, own: Tensor, draws: torch.Generator) -> Tensor:
    """For each of ``own`` the clean label of an image drawn among those that have another label."""
    drawn = torch.empty_like(own)
    for i in own.unique():
        others, mine = clean[clean != i], own == i
        drawn[mine] = others[torch.randint(len(others), (int(mine.sum()),), generator=draws)]
    return drawn
