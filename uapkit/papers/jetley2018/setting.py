"""What paper J's items share: networks behind a projection, who is right, DeepFool a block at a time, and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from uapkit import attacks, evaluate, lab, subspace
from uapkit.attacks import DeepFoolResult
from uapkit.data.images import Images
from uapkit.intervals import CONFIDENCE, Interval
from uapkit.seeds import generator

Data = str | Mapping[str, str]
Count = int | Mapping[str, int]
FEW = 0.1  # the share of all dimensions that "few directions" means in the claims
BLOCK = 50  # images whose DeepFool is kept together


class Projected(nn.Module):
    """A network behind a projection: it sees mean + P (x - mean), P = Q Q^T, or I - Q Q^T with ``remove``.

    basis: (d, k) with orthonormal columns; mean: (c, h, w). Source: [jetley2018], projected images.
    """

    basis: Tensor
    mean: Tensor

    def __init__(self, net: nn.Module, basis: Tensor, mean: Tensor, *, remove: bool = False) -> None:
        super().__init__()
        self.net, self.remove = net, remove
        self.channels_last = getattr(net, "channels_last", False)  # twice as fast on a CPU; see evaluate
        self.register_buffer("basis", basis.to(mean))
        self.register_buffer("mean", mean)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w)."""
        part = subspace.project(x - self.mean, self.basis)
        return self.net(x - part if self.remove else self.mean + part)


def mean_image(bench: lab.Bench, network: str) -> Tensor:
    """(c, h, w) mean of the images to fit on, the origin of all projections."""
    return bench.split(network).fit.x.mean(0)


def right(net: nn.Module, images: Images) -> Tensor:
    """(n,) bool: is the predicted label the true one? ValueError for images without labels."""
    if images.y is None:
        raise ValueError(f"accuracy needs true labels, and {images.name} has none; take another set")
    return lab.keep(evaluate.labels, net, images) == images.y.cpu()


def accuracy(flags: Tensor) -> dict[str, float]:
    """accuracy, low, high (Wilson, 95 %) and n of the flags of :func:`right`, as columns."""
    return evaluate.Rate.mean(flags).columns("accuracy")


def deepfool(net: nn.Module, images: Images, **settings: Any) -> DeepFoolResult:
    """:func:`uapkit.attacks.deepfool` on the CPU's side, kept a block of images at a time.

    Items that attack the first images of the same set share the blocks; ``settings`` are DeepFool's.
    """
    blocks = [lab.keep(attacks.deepfool, net, images[i : i + BLOCK], **settings) for i in range(0, len(images), BLOCK)]
    parts = ([getattr(block, field.name) for block in blocks] for field in fields(DeepFoolResult))
    return DeepFoolResult(*(torch.cat(part).cpu() for part in parts))


def lengths(found: DeepFoolResult) -> Tensor:
    """(n,) 2-norms of DeepFool's r, infinite where it fooled nobody."""
    return torch.where(found.success, norms(found.r), math.inf)


def norms(r: Tensor) -> Tensor:
    """(n,) 2-norms of (n, c, h, w)."""
    return r.flatten(1).norm(dim=1)


def bootstrap_median(values: Tensor, *, n_boot: int = 1000, seed: int = 0) -> Interval:
    """Median over images with its 95 % percentile bootstrap; values may be infinite, where an attack failed."""
    draws = torch.randint(len(values), (n_boot, len(values)), generator=generator(seed, "bootstrap of the median"))
    middle = (len(values) - 1) // 2
    medians = values.double()[draws].sort(1).values[:, middle].sort().values
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(medians[round(q * (n_boot - 1))]) for q in (tail, 1 - tail))
    return Interval(float(values.double().sort().values[middle]), len(values), low, high)


def at(rows: pd.DataFrame, kind: str, share: float = FEW) -> pd.Series:
    """The first row of a kind at the share nearest to ``share``."""
    rows = rows[rows["kind"] == kind]
    return rows.loc[(rows["share"] - share).abs().idxmin()]


def told(bench: lab.Bench, table: pd.DataFrame, first: Sequence[str] = ("model", "weights", "data")) -> pd.DataFrame:
    """The item's table with the weights and the images of each row, the columns ``first`` in front."""
    table = bench.told(table)
    first = [column for column in first if column in table]
    return table[[*first, *(column for column in table if column not in first)]]
