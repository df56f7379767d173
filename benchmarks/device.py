"""The kernels on the device that is here: forward passes, power iterations, DeepFool and UAP on ImageNet-shaped networks.

Random images and weights: speed only; no rate of this table says anything about a network. On a card (``cuda``) the
networks and the numbers of images are the large ones; without one the same path runs small on the CPU.

``python -m benchmarks.device [cuda|cpu]``, or ``uapkit bench device -p device=cuda --save``, which stores the table that the
sizes of the papers' own runs are computed from.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
import torchvision
from torch import Tensor

from benchmarks._ratio import REPEATS, seconds
from uapkit import attacks, evaluate
from uapkit.attacks.deepfool import Settings, walk
from uapkit.models import Model, wrap
from uapkit.operators import JacobianOperator
from uapkit.seeds import generator
from uapkit.singular import pq_singular

KEPT = 0.999  # share of the signs of v that a shorter number format must keep to be used
CANDIDATES, STEPS = 10, 10  # DeepFool's, as inside UAP
ITERATIONS = 5
LAYERS = {"squeezenet1_1": "features.5", "googlenet": "inception3b", "resnet50": "layer1", "vgg19": "features.9"}


@dataclass(frozen=True)
class Scale:
    """networks; images scored, images of the power method and of DeepFool, images that UAP visits; pixels a side."""

    networks: tuple[str, ...]
    scored: int
    fit: int
    visits: int
    side: int


CARD = Scale(("squeezenet1_1", "googlenet", "resnet50", "vgg19"), 2048, 64, 512, 224)
SMALL = Scale(("squeezenet1_1",), 16, 2, 2, 224)


def here(device: str | None = None) -> str:
    """The device to run on: ``cuda`` where there is a card, else ``cpu``. ValueError for a card that is not there."""
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"device must be cuda or cpu, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device is here; leave device out, and the small run on the CPU is made")
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def network(name: str, device: str) -> Model:
    """A torchvision network with random weights, on the device."""
    made = torchvision.models.get_model(name, weights=None, **({"init_weights": True} if name == "googlenet" else {}))
    return wrap(made.eval(), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), name=name).to(device)


def _rows(name: str, scale: Scale, device: str, repeats: int) -> list[dict[str, object]]:
    model, layer = network(name, device), LAYERS[name]
    x = torch.rand(scale.scored, 3, scale.side, scale.side, generator=generator(0, "device")).to(device)
    fit, visited = x[: scale.fit], x[: scale.visits]
    v = evaluate.random_perturbation(x.shape[1:], eps=10 / 255, seed=0).to(device)
    settings, evaluations = Settings(num_classes=CANDIDATES, max_iter=STEPS), 0.0

    def deepfool() -> None:
        nonlocal evaluations
        evaluations = float(walk(model, fit, settings).gradients.double().mean())

    def power() -> None:
        pq_singular(JacobianOperator(model.until(layer), fit), p=math.inf, q=10, max_iter=ITERATIONS)

    def uap() -> None:
        attacks.uap(model, visited, eps=10 / 255, max_passes=1, target_rate=1.0)

    works: dict[str, tuple[int, str, Callable[[], object]]] = {
        "forward": (len(x), "images", lambda: evaluate.labels(model, x, v)),
        "power": (len(fit) * ITERATIONS, "iterations of an image", power),
        "deepfool": (len(fit), "images", deepfool),
        "uap": (len(visited), "visits", uap),
    }
    rows = []
    for kernel, (count, unit, work) in works.items():
        work()  # the gate, the kernels' own choices, memory
        rates = [count / seconds(work, device) for _ in range(repeats)]
        rows.append(
            {
                "network": name,
                "kernel": kernel,
                "unit": unit,
                "count": count,
                "a_second": statistics.median(rates),
                "least": min(rates),
                "most": max(rates),
                "repeats": repeats,
                "gradients_each": evaluations if kernel == "deepfool" else None,
            }
        )
    kept = signs_kept(model, layer, fit)
    rows.append(
        {
            "network": name,
            "kernel": "bfloat16",
            "unit": "share of the signs of v that it keeps",
            "count": x[0].numel(),
            "a_second": None,
            "signs_kept": kept,
            "mixed": "could be used" if kept >= KEPT else "refused",
        }
    )
    return rows


def signs_kept(model: Model, layer: str, x: Tensor, dtype: torch.dtype = torch.bfloat16) -> float:
    """Share of pixels at which one power iteration under autocast gives v the sign that it has in full precision."""
    until = model.until(layer)
    operator = JacobianOperator(until, x)
    start = torch.rand(operator.shape[1], generator=generator(0, "signs"), dtype=torch.float32, device="cpu")
    w = operator.matvec((start - 0.5).sign().to(x.device))
    w = w.sign() * (w.abs() / w.abs().max()) ** 9  # psi_10, as in the iteration
    full = operator.rmatvec(w)
    leaf = x.detach().clone().requires_grad_(True)
    with torch.enable_grad(), torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
        y = until(leaf)
    (short,) = torch.autograd.grad(y, leaf, w.view_as(y).to(y.dtype))
    return float((short.sum(0).flatten().sign() == full.sign()).float().mean())


def run(
    device: str | None = None, networks: tuple[str, ...] | list[str] | None = None, repeats: int = REPEATS
) -> pd.DataFrame:
    """One row a network and kernel: how many a second, with least and most; device and "speed only" in every row.

    device: cuda, cpu, or None for a card where there is one. networks: some of :data:`LAYERS`. Seconds are wall seconds on
    a card, which every row waits for, and CPU seconds of one thread without.
    """
    device = here(device)
    scale = CARD if device == "cuda" else SMALL
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if device == "cpu" else threads)
    try:
        rows = [row for name in networks or scale.networks for row in _rows(name, scale, device, repeats)]
    finally:
        torch.set_num_threads(threads)
    name = torch.cuda.get_device_name() if device == "cuda" else "one core of a CPU"
    return pd.DataFrame([{"device": name, **row, "meaning": "speed only"} for row in rows])


if __name__ == "__main__":
    print(run(*sys.argv[1:2]).to_string(index=False))
