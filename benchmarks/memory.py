"""How memory grows: with the images, the layers, the classes. Peak of a process of its own, less what it took before.

Each size is measured in a new process, whose peak the system keeps. Random images and weights: what is kept does not depend
on them. ``python -m benchmarks.memory``
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from benchmarks.jacobian import MEAN, STD, network
from benchmarks.papers import Random
from uapkit import attacks, evaluate
from uapkit.models import Model, wrap
from uapkit.operators import JacobianOperator, LayerJacobians
from uapkit.seeds import generator
from uapkit.singular import pq_singular

NET, LAYER, SIDE, FEW = "squeezenet1_1", "features.5", 224, 4
ROOT = Path(__file__).parents[1]


def _images(n: int) -> torch.Tensor:
    return torch.rand(n, 3, SIDE, SIDE, generator=generator(0, "memory"))


def _power(model: Model, n: int) -> object:
    return pq_singular(JacobianOperator(model.until(LAYER), _images(n)), p=math.inf, q=10, max_iter=2)


def _layers(model: Model, n: int) -> object:
    outputs = model.layers(kind=("conv", "activation", "pool"))[:n]
    together = LayerJacobians(model, outputs, _images(FEW))
    return [together.at(layer) for layer in outputs]


def _deepfool(model: Model, n: int) -> object:
    return attacks.deepfool(model, _images(FEW), num_classes=n, max_iter=2)


def _rate(model: Model, n: int) -> object:
    v = evaluate.random_perturbation((3, SIDE, SIDE), eps=10 / 255, seed=0)
    return evaluate.fooling_rate(model, Random(n, SIDE, "cpu"), v)


Work = Callable[[Model, int], object]
WORKS: dict[str, tuple[str, Work, tuple[int, ...]]] = {
    "power method": ("images", _power, (8, 32, 128)),
    "Jacobians of many layers": ("layers", _layers, (1, 8, 32)),
    "DeepFool": ("classes", _deepfool, (2, 10, 100)),
    "fooling rate": ("images", _rate, (64, 128, 256)),
}


def _high() -> float:
    """MiB of this process at its peak. Linux's own word for it: the other one is handed down from the starting process."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(one for one in status.read_text(encoding="ascii").splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def peak(work: str, n: int) -> float:
    """MiB at the peak of this process, less the peak before: after one plain pass of a few images."""
    torch.set_num_threads(1)
    model = wrap(network(NET), mean=MEAN, std=STD, input_size=(3, SIDE, SIDE), name=NET)
    model(_images(FEW))
    before = _high()
    kept = WORKS[work][1](model, n)
    after = _high()
    assert kept is not None
    return after - before


def row(work: str, found: dict[int, float]) -> dict[str, object]:
    """One curve. found: MiB at each size; what each more takes is the slope from the least to the greatest size."""
    grows, (first, *_, last) = WORKS[work][0], sorted(found)
    slope = (found[last] - found[first]) / (last - first)
    sizes = ", ".join(f"{n}: {found[n]:.0f}" for n in sorted(found))
    return {"work": work, "grows_with": grows, "MiB": sizes, "MiB_for_each_more": round(slope, 2)}


def run() -> pd.DataFrame:
    """One row a work: MiB at three sizes, and for each image, layer or class more."""

    def measured(work: str, n: int) -> float:
        command = [sys.executable, "-m", "benchmarks.memory", work, str(n)]
        return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    return pd.DataFrame([row(w, {n: measured(w, n) for n in sizes}) for w, (_, _, sizes) in WORKS.items()])


if __name__ == "__main__":
    print(json.dumps(peak(sys.argv[1], int(sys.argv[2]))) if len(sys.argv) > 1 else run().to_string(index=False))
