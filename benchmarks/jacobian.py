"""What products with a Jacobian cost beside one forward plus one input-gradient backward pass of the same images.

That pass is the yardstick. Four things are measured by turns, in CPU seconds on one thread: one power iteration (J v and
J^T w); the recording of an operator; a whole run as users make it (recording, the value at the start, five iterations),
divided by five; and the same run as the first work of a process, gate included. Weights are random: speed does not depend
on them. ``python -m benchmarks.jacobian [threads]``
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torchvision
from torch import Tensor, nn

from benchmarks._ratio import REPEATS, judged, seconds
from uapkit.models import wrap
from uapkit.models.nets.cifar_resnet import CifarResNet
from uapkit.models.nets.googlenet_caffe import GoogLeNetCaffe
from uapkit.models.nets.tiny_darknet import TinyDarknet
from uapkit.operators import JacobianOperator
from uapkit.seeds import generator, threads
from uapkit.singular import pq_singular

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NETS: dict[str, Callable[[], nn.Module]] = {
    "squeezenet1_1": lambda: torchvision.models.squeezenet1_1(weights=None),
    "tiny_darknet": TinyDarknet,
    "cifar10_resnet20": CifarResNet,
    "resnet18": lambda: torchvision.models.resnet18(weights=None),
    "vgg19": lambda: torchvision.models.vgg19(weights=None),
    "bvlc_googlenet": GoogLeNetCaffe,
}


def network(name: str) -> nn.Module:
    """With He's random weights, the same each time: under PyTorch's own a deep network answers almost the same to all images."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = NETS[name]()
        for part in net.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
    return net


CASES = [  # network, layer, size, images, target of an iteration: 1 for affine, ReLU-like and pooling layers, else 2
    ("squeezenet1_1", "features.5", 224, 8, 1.0),
    ("tiny_darknet", "pool3", 224, 8, 1.0),
    ("cifar10_resnet20", "layer3", 32, 128, 1.0),
    ("resnet18", "layer1", 224, 8, 1.0),
    ("vgg19", "features.9", 224, 8, 1.0),  # block2_pool
    ("bvlc_googlenet", "inception_3b", 224, 8, 2.0),  # through both local response normalisations
]
RECORDING, RUN = 1.2, 0.6  # targets, of the networks named here
PROMISED = ("squeezenet1_1", "resnet18", "vgg19")
ITERATIONS = 5
ROOT = Path(__file__).parents[1]


class _Case:
    """One network up to a layer, and the works that are measured there."""

    def __init__(self, net: str, layer: str, size: int, n: int, device: str) -> None:
        self.until = wrap(network(net), mean=MEAN, std=STD, name=net).to(device).until(layer)
        self.x = torch.rand(n, 3, size, size, generator=generator(0, "benchmark")).to(device)
        self.device = device

    def yardstick(self) -> Tensor:
        """One forward and one backward pass."""
        leaf = self.x.clone().requires_grad_(True)
        y = self.until(leaf)
        return torch.autograd.grad(y, leaf, torch.ones_like(y))[0]

    def recording(self) -> JacobianOperator:
        """An operator, made anew."""
        return JacobianOperator(self.until, self.x)

    def whole(self) -> int:
        """A run; how many iterations it took."""
        return pq_singular(self.recording(), p=math.inf, q=10, max_iter=ITERATIONS).n_iter

    def seconds(self, work: Callable[[], object]) -> float:
        """Of this work, here."""
        return seconds(work, self.device)


def _rows(net: str, layer: str, size: int, n: int, target: float, repeats: int, device: str) -> list[dict[str, object]]:
    promised = net in PROMISED
    first = _first(net, layer, size, n, repeats) if device == "cpu" and promised else []
    case = _Case(net, layer, size, n, device)
    operator = case.recording()
    random = generator(0, "benchmark_vectors")
    v, w = (torch.randn(k, generator=random).to(device) for k in reversed(operator.shape))
    works: dict[str, Callable[[], object]] = {
        "yardstick": case.yardstick,
        "one iteration": lambda: (operator.matvec(v), operator.rmatvec(w)),
        "recording": case.recording,
        "whole run, an iteration": case.whole,
    }
    for work in works.values():
        work()
    took = {name: [0.0] * repeats for name in works}
    for i in range(repeats):
        for name, work in works.items():
            took[name][i] = case.seconds(work)
    took["whole run, an iteration"] = [s / ITERATIONS for s in took["whole run, an iteration"]]
    yard = took.pop("yardstick")
    targets = {
        "one iteration": target,
        "recording": RECORDING if promised else None,
        "whole run, an iteration": RUN if promised else None,
    }
    step, record = (statistics.median(took[k]) / statistics.median(yard) for k in ("one iteration", "recording"))
    why = (
        f"the two products alone take {step:.2f} of the yardstick, {(1 + 0.5 / ITERATIONS) * step:.2f} with the value at "
        f"the start; recording adds {record / ITERATIONS:.2f}"
    )
    about = {"network": net, "layer": layer, "images": n, "way": operator.way}
    rows = [
        {"work": name, **about, **judged(yard, took[name], limit, why), "MB_an_image": None}
        for name, limit in targets.items()
    ]
    rows[1]["MB_an_image"] = round(operator._products.nbytes / n / 2**20, 2)
    if first:
        rows.append({"work": "the same, first in a process", **about, **judged(*zip(*first, strict=True), None)})
    return rows


def _first(net: str, layer: str, size: int, n: int, repeats: int) -> list[tuple[float, float]]:
    """(yardstick, whole run an iteration) of processes that have imported everything and used nothing yet."""
    command = [sys.executable, "-m", "benchmarks.jacobian", "first", net, layer, str(size), str(n)]
    done = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True) for _ in range(repeats)]
    return [tuple(json.loads(one.stdout.splitlines()[-1])) for one in done]


def _fresh(net: str, layer: str, size: int, n: int) -> tuple[float, float]:
    torch.set_num_threads(1)
    case = _Case(net, layer, size, n, "cpu")
    took = case.seconds(case.whole) / ITERATIONS
    case.yardstick()
    return case.seconds(case.yardstick), took


def run(n_threads: int | None = 1, repeats: int = REPEATS, device: str = "cpu") -> pd.DataFrame:
    """Four rows a network: seconds, ratio to the yardstick with its least and most, target, verdict (ok or MISS), why."""
    with threads(n_threads):
        return pd.DataFrame([row for case in CASES for row in _rows(*case, repeats=repeats, device=device)])


if __name__ == "__main__":
    if sys.argv[1:2] == ["first"]:
        print(json.dumps(_fresh(*sys.argv[2:4], *map(int, sys.argv[4:6]))))
    else:
        print(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1).to_string(index=False))
