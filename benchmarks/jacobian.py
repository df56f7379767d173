"""What one power iteration costs: J v and J^T w against one forward plus one input-gradient backward, same batch.

Weights are random: speed does not depend on them. Both are run in turn, several times, and the median of the ratios is
printed with its target; a row above its target says MISS. ``python -m benchmarks.jacobian [threads]``
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import pandas as pd
import torch
import torchvision
from torch import Tensor, nn

from uapkit.models import wrap
from uapkit.models.nets.cifar_resnet import CifarResNet
from uapkit.models.nets.googlenet_caffe import GoogLeNetCaffe
from uapkit.models.nets.tiny_darknet import TinyDarknet
from uapkit.operators import JacobianOperator
from uapkit.seeds import generator

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NETS: dict[str, Callable[[], nn.Module]] = {
    "squeezenet1_1": lambda: torchvision.models.squeezenet1_1(weights=None),
    "tiny_darknet": TinyDarknet,
    "cifar10_resnet20": CifarResNet,
    "resnet18": lambda: torchvision.models.resnet18(weights=None),
    "vgg19": lambda: torchvision.models.vgg19(weights=None),
    "bvlc_googlenet": GoogLeNetCaffe,
}
CASES = [  # network, layer, size, images, target: 1 for affine, ReLU-like and pooling layers, 2 for any other
    ("squeezenet1_1", "features.5", 224, 16, 1.0),
    ("tiny_darknet", "pool3", 224, 16, 1.0),
    ("cifar10_resnet20", "layer3", 32, 128, 1.0),
    ("resnet18", "layer1", 224, 16, 1.0),
    ("vgg19", "features.9", 224, 8, 1.0),  # block2_pool
    ("bvlc_googlenet", "inception_3b", 224, 16, 2.0),  # through both local response normalisations
]


def _seconds(run: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _row(net: str, layer: str, size: int, n: int, target: float, repeats: int, device: str) -> dict[str, object]:
    until = wrap(NETS[net](), mean=MEAN, std=STD, name=net).to(device).until(layer)
    random = generator(0, "benchmark")
    x = torch.rand(n, 3, size, size, generator=random).to(device)
    operator = JacobianOperator(until, x)
    v, w = (torch.randn(k, generator=random).to(device) for k in reversed(operator.shape))
    cotangent = w.view_as(until(x))

    def reference() -> Tensor:
        leaf = x.clone().requires_grad_(True)
        return torch.autograd.grad(until(leaf), leaf, cotangent)[0]

    def iteration() -> tuple[Tensor, Tensor]:
        return operator.matvec(v), operator.rmatvec(w)

    reference(), iteration()
    times = [(_seconds(reference, device), _seconds(iteration, device)) for _ in range(repeats)]
    ratio = statistics.median(b / a for a, b in times)
    return {
        "network": net,
        "layer": layer,
        "images": n,
        "way": operator.way,
        "forward_backward_s": round(statistics.median(a for a, _ in times), 4),
        "iteration_s": round(statistics.median(b for _, b in times), 4),
        "ratio": round(ratio, 3),
        "target": target,
        "verdict": "ok" if ratio <= target else "MISS",
    }


def run(threads: int | None = None, repeats: int = 7, device: str = "cpu") -> pd.DataFrame:
    """One row a network: seconds, ratio (median over interleaved repeats), target, verdict (ok or MISS)."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        return pd.DataFrame([_row(*case, repeats=repeats, device=device) for case in CASES])
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    print(run(int(sys.argv[1]) if len(sys.argv) > 1 else None).to_string(index=False))
