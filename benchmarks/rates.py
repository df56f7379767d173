"""What a rate costs beside plain forward passes over the same images, at the same batch size and in the same layout.

Counting, intervals and the checks of images, perturbation and logits are what is left of a row above 1. The network is
past the gate, which looks at it once. Weights are random, and so are the images: speed does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
import torchvision
from torch import Tensor

from benchmarks._ratio import REPEATS, judged, seconds
from uapkit import evaluate
from uapkit.models import wrap
from uapkit.seeds import generator, threads

MANY = 4  # perturbations, networks or norms
WHY = "what is left is checking (finite pixels and logits), adding the perturbation and counting"


def _works(n: int, size: int) -> list[tuple[str, int, float, Callable[[], object]]]:
    """(name, forward passes over all images, target, work), and the pass itself first."""
    model = wrap(torchvision.models.squeezenet1_1(weights=None), name="squeezenet1_1")
    model.channels_last = True
    x = torch.rand(n, 3, size, size, generator=generator(0, "benchmark_images"))
    vs = {str(i): evaluate.random_perturbation(x.shape[1:], eps=0.04, seed=i) for i in range(MANY)}
    clean = evaluate.labels(model, x)
    batch = evaluate.default_batch(size, size)

    @torch.no_grad()
    def plain() -> Tensor:
        parts = (part.contiguous(memory_format=torch.channels_last) for part in x.split(batch))
        return torch.cat([model(part).argmax(1) for part in parts])

    v = vs["0"]
    norms = [0.01 * (i + 1) for i in range(MANY)]
    return [
        ("plain forward pass", 1, 1.0, plain),
        ("fooling_rate, clean labels known", 1, 1.1, lambda: evaluate.fooling_rate(model, x, v, clean=clean)),
        ("fooling_rate", 2, 1.1, lambda: evaluate.fooling_rate(model, x, v)),
        ("probabilities", 1, 1.1, lambda: evaluate.probabilities(model, x, v)),
        (f"transfer of {MANY} perturbations", MANY + 1, 1.05, lambda: evaluate.transfer([model], x, vs)),
        (f"norm_sweep over {MANY} norms", MANY + 1, 1.05, lambda: evaluate.norm_sweep(model, x, v, norms)),
    ]


def run(n: int = 40, size: int = 224, repeats: int = REPEATS) -> pd.DataFrame:
    """One row a kind of rate: CPU seconds, ratio to as many plain passes with its least and most, target, verdict, why."""
    with threads(1):
        (_, _, _, plain), *works = _works(n, size)
        rows = []
        for name, passes, target, work in works:
            plain(), work()
            times = [(passes * seconds(plain), seconds(work)) for _ in range(repeats)]
            row = judged(*zip(*times, strict=True), target, WHY)
            rows.append({"work": name, "images": n, "passes": passes, **row})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    print(run().to_string(index=False))
