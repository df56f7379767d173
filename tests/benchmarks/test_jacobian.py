"""The benchmark's own promises: a row above its target says MISS and why, and every case names a layer that is there."""

import importlib
import sys

import pytest

from uapkit.runner.catalogue import project_root

sys.path.insert(0, str(project_root()))
benchmark = importlib.import_module("benchmarks.jacobian")
ratio = importlib.import_module("benchmarks._ratio")


@pytest.mark.parametrize(("target", "verdict"), [(1e-9, "MISS"), (1e9, "ok")])
def test_misses_are_called_misses(target, verdict):
    rows = benchmark._rows("cifar10_resnet20", "layer1.0", 32, 2, target, repeats=2, device="cpu")
    assert [row["work"] for row in rows] == ["one iteration", "recording", "whole run, an iteration"]
    assert rows[0]["verdict"] == verdict
    assert rows[1]["verdict"] == ""
    assert ("the two products alone" in rows[0]["why"]) == (verdict == "MISS")
    assert all(0 < row["least"] <= row["ratio"] <= row["most"] for row in rows)
    assert rows[1]["MB_an_image"] > 0
    assert {row["way"] for row in rows} == {"replay"}


def test_a_ratio_is_the_middle_of_ratios_taken_by_turns():
    row = ratio.judged([1.0, 2.0, 4.0], [3.0, 2.0, 8.0], 1.5, "why")
    assert (row["ratio"], row["least"], row["most"], row["repeats"]) == (2.0, 1.0, 3.0, 3)
    assert (row["verdict"], row["why"], row["target"]) == ("MISS", "why", "<= 1.5")
    assert ratio.judged([1.0], [1.5], 1.5, "why")["why"] == ""


def test_cases_are_those_that_were_promised():
    targets = {net: target for net, *_, target in benchmark.CASES}
    assert targets.pop("bvlc_googlenet") == 2
    assert set(targets.values()) == {1}
    assert {*benchmark.PROMISED} <= {*targets}
    assert (benchmark.RECORDING, benchmark.RUN, benchmark.ITERATIONS) == (1.2, 0.6, 5)
    for net, layer, *_ in benchmark.CASES:
        assert dict(benchmark.wrap(benchmark.NETS[net]()).net.named_modules()).get(layer) is not None


def test_random_networks_answer_differently_and_are_the_same_each_time():
    """Under PyTorch's own weights GoogLeNet answers all images alike, to rounding: late layers then cannot be replayed."""
    x = benchmark.torch.rand(2, 3, 64, 64, generator=benchmark.torch.Generator().manual_seed(0))
    with benchmark.torch.no_grad():
        one, again = (benchmark.network("bvlc_googlenet").eval()(x) for _ in range(2))
    assert benchmark.torch.equal(one, again)
    assert (one[0] - one[1]).std() > 0.01 * one.std()
    benchmark.torch.manual_seed(0)
    with benchmark.torch.no_grad():
        own = benchmark.NETS["bvlc_googlenet"]().eval()(x)
    assert (own[0] - own[1]).std() < 1e-4 * own.std(), "why the weights are not PyTorch's own"
