"""The benchmark's own promises: a row above its target says MISS, and every case names a layer that is there."""

import importlib.util
from pathlib import Path

import pytest

path = Path(__file__).parents[2] / "benchmarks" / "jacobian.py"
spec = importlib.util.spec_from_file_location("benchmark_jacobian", path)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


@pytest.mark.parametrize(("target", "verdict"), [(1e-9, "MISS"), (1e9, "ok")])
def test_misses_are_called_misses(target, verdict):
    row = benchmark._row("cifar10_resnet20", "layer1.0", 32, 2, target, repeats=1, device="cpu")
    assert row["verdict"] == verdict
    assert row["ratio"] > 0
    assert row["way"] == "replay"


def test_cases_are_those_that_were_promised():
    targets = {net: target for net, *_, target in benchmark.CASES}
    assert targets.pop("bvlc_googlenet") == 2
    assert targets == dict.fromkeys(["squeezenet1_1", "tiny_darknet", "cifar10_resnet20", "resnet18", "vgg19"], 1)
    for net, layer, *_ in benchmark.CASES:
        assert dict(benchmark.wrap(benchmark.NETS[net]()).net.named_modules()).get(layer) is not None
