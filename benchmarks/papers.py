"""The items of ``sizes.yml`` at the papers' own sizes, computed on the device that is here: one job of each item and network.

Random images and weights, made batch by batch, so that any card holds them: speed only, no rate of this table says anything
about a network. X has up to 10,000 images, and as many are scored as the papers score. On a card everything is computed;
without one a fifty-thousandth of the counts, on the first network of each item. ``uapkit bench papers -p device=cuda --save``
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from torch import Tensor

from benchmarks import device as kernels
from benchmarks.sizes import COUNTS
from uapkit import attacks, checks, evaluate
from uapkit.attacks.deepfool import Settings, walk
from uapkit.models import Model
from uapkit.operators import JacobianOperator
from uapkit.seeds import generator
from uapkit.singular import pq_singular

BATCH, X, FIT, ITERATIONS = 64, 10_000, 64, 20
ON_CPU = 2e-5
LAYERS = kernels.LAYERS | {"alexnet": "features.2", "vgg16": "features.9", "resnet152": "layer1"}


@dataclass(frozen=True)
class Random:
    """n random images, (3, side, side) in [0, 1], the same each time they are gone through, never all at once."""

    n: int
    side: int
    device: str

    def __iter__(self) -> Iterator[Tensor]:
        """In batches."""
        for start in range(0, self.n, BATCH):
            random = generator(start, "papers")
            yield torch.rand(min(BATCH, self.n - start), 3, self.side, self.side, generator=random).to(self.device)


def works(model: Model, layer: str, size: Mapping[str, int], side: int, device: str) -> dict[str, Callable[[], int]]:
    """{kernel: what computes its count, and returns it}, of those kernels that the item needs."""
    v = evaluate.random_perturbation((3, side, side), eps=10 / 255, seed=0).to(device)
    settings = Settings(num_classes=kernels.CANDIDATES, max_iter=kernels.STEPS)

    def forward() -> int:
        return len(evaluate.labels(model, Random(size["forward"], side, device), v))

    def power() -> int:
        n, done = min(FIT, size["power"]), 0
        x = torch.cat(list(Random(n, side, device)))
        while done < size["power"]:
            steps = min(ITERATIONS, math.ceil((size["power"] - done) / n))
            found = pq_singular(JacobianOperator(model.until(layer), x), p=math.inf, q=10, max_iter=steps)
            done += n * max(1, found.n_iter)
        return done

    def deepfool() -> int:
        return sum(len(walk(model, x, settings).gradients) for x in Random(size["deepfool"], side, device))

    def visits() -> int:
        n = min(X, size["visits"])
        passes = math.ceil(size["visits"] / n)
        found = attacks.uap(model, Random(n, side, device), eps=10 / 255, max_passes=passes, target_rate=1.0)
        return n * len(found.history)

    every: dict[str, Callable[[], int]] = {"forward": forward, "power": power, "deepfool": deepfool, "visits": visits}
    return {kernel: work for kernel, work in every.items() if size.get(kernel)}


def a_job(size: Mapping[str, Any], share: float) -> dict[str, int]:
    """Counts of one job: those of a network, divided by its jobs; of these the share, one at least."""
    jobs = size["jobs"] / len(size["networks"])
    return {k: max(1, round(share * size[k] / jobs)) for k in COUNTS.values() if k in size}


def run(
    device: str | None = None, items: list[str] | None = None, share: float | None = None, side: int = 224
) -> pd.DataFrame:
    """One row an item, network and kernel: count, wall seconds, how many a second; "speed only" in every row.

    device: cuda, cpu, None for a card where there is one. items: of ``sizes.yml``, None for all. share: of the counts, None
    for all on a card and a fifty-thousandth on a CPU. side: of the images, pixels. ValueError for another item or share.
    """
    device = kernels.here(device)
    sizes = yaml.safe_load(Path(__file__).with_name("sizes.yml").read_text(encoding="utf-8"))
    chosen = [checks.one_of(name, sizes, "item") for name in items] if items is not None else list(sizes)
    share = (
        checks.in_range(share, 0, 1, "share", open_low=True)
        if share is not None
        else 1.0
        if device == "cuda"
        else ON_CPU
    )
    rows = []
    for name in chosen:
        networks = dict.fromkeys(sizes[name]["networks"]) if device == "cuda" else sizes[name]["networks"][:1]
        for network in networks:
            model = kernels.network(network, device)
            counts = a_job(sizes[name], share)
            for kernel, work in works(model, LAYERS[network], counts, side, device).items():
                started = time.perf_counter()
                count = work()
                if device == "cuda":
                    torch.cuda.synchronize()
                took = time.perf_counter() - started
                rate = {"seconds": round(took, 2), "a_second": round(count / took, 2)}
                rows.append({"item": name, "network": network, "kernel": kernel, "count": count, **rate})
    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return pd.DataFrame(rows).assign(share=share, device=where, meaning="speed only")


if __name__ == "__main__":
    print(run(*sys.argv[1:2]).to_string(index=False))
