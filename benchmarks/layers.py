"""What it costs to record the Jacobians of many layers: each layer by itself against all of them in one forward pass.

Weights are random: speed does not depend on them. Times are CPU seconds on one thread, apart and together by turns.
"""

from __future__ import annotations

import pandas as pd
import torch

from benchmarks._ratio import REPEATS, judged, seconds
from benchmarks.jacobian import MEAN, STD, network
from uapkit.models import wrap
from uapkit.operators import JacobianOperator, LayerJacobians
from uapkit.seeds import generator, threads

CASES = [("squeezenet1_1", 224, 8), ("tiny_darknet", 224, 8), ("cifar10_resnet20", 32, 64), ("bvlc_googlenet", 224, 8)]
TARGET = 0.5


def _row(net: str, size: int, n: int, count: int, repeats: int) -> dict[str, object]:
    model = wrap(network(net), mean=MEAN, std=STD, input_size=(3, size, size), name=net)
    outputs = model.layers(kind=("conv", "activation", "pool"))
    layers = outputs[:: max(1, len(outputs) // count)]
    x = torch.rand(n, 3, size, size, generator=generator(0, "benchmark"))

    def apart() -> list[JacobianOperator]:
        return [JacobianOperator(model.until(layer), x) for layer in layers]

    def together() -> list[JacobianOperator]:
        all_layers = LayerJacobians(model, layers, x)
        return [all_layers.at(layer) for layer in layers]

    ways = {operator.way for operator in together()}
    apart_s, together_s = zip(*((seconds(apart), seconds(together)) for _ in range(repeats)), strict=True)
    why = "the last layers' own verifications are what is left" if ways == {"replay"} else "some layers run by autograd"
    row = judged(apart_s, together_s, TARGET, why)
    return {"network": net, "layers": len(layers), "images": n, "way": ", ".join(sorted(ways)), **row}


def run(count: int = 12, repeats: int = REPEATS) -> pd.DataFrame:
    """One row a network, at about ``count`` of its layers: ratio with its least and most, target, verdict (ok or MISS)."""
    with threads(1):
        return pd.DataFrame([_row(*case, count=count, repeats=repeats) for case in CASES])


if __name__ == "__main__":
    print(run().to_string(index=False))
