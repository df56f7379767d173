"""What all experiments share: networks and images of a bench, and what the runner keeps between items."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import nn

from uapkit import evaluate, models
from uapkit.experiments.common import Bench, kept_for, tensor_sha256
from uapkit.lab.sweep import resuming, sweep
from uapkit.models.nets.digits import Linear


@pytest.fixture
def store(tmp_path):
    with resuming(tmp_path / "paper" / "item", {"params": {}}) as active:
        yield active


def wrapped(scale: float) -> models.Model:
    torch.manual_seed(0)
    net = Linear()
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(scale)
    return models.wrap(net, input_size=(1, 28, 28), name="own")


def test_a_kept_array_is_computed_once_for_the_same_weights_and_again_for_others(store):
    calls = []

    def compute():
        calls.append(1)
        return {"a": np.arange(3.0)}

    for model in (wrapped(1.0), wrapped(1.0), wrapped(2.0)):
        assert kept_for(model, "thing", {"layer": "logits"}, compute, [evaluate])["a"].tolist() == [0, 1, 2]
    assert len(calls) == 2
    kept_for(wrapped(1.0), "thing", {"layer": "other"}, compute, [evaluate])
    assert len(calls) == 3


def test_what_a_kept_array_cost_stays_with_the_points_that_use_it(tmp_path):
    def compute(k):
        kept_for(wrapped(1.0), "slow", {}, lambda: time.sleep(0.3) or {"a": np.zeros(1)}, [evaluate])
        return [{"value": k}]

    seconds, started = [], time.perf_counter()
    for item in ("first", "second", "second"):
        with resuming(tmp_path / item, {"params": {}}) as store:
            sweep([{"k": 1}], compute)
        seconds.append(store.seconds)
        if item == "first":
            assert 0.3 <= store.seconds <= time.perf_counter() - started, "counted once"
    assert store.reused == 1
    assert seconds[1] >= 0.3
    assert seconds[2] == seconds[1]


def test_the_tag_of_weights_is_known_without_a_run():
    bench = Bench("digits", 4, 0, 4)
    assert bench.weights("cifar10_resnet20[random]") == "random"
    assert bench.weights("lenet_mnist") == models.load("lenet_mnist").card.weights != "default"
    assert bench.weights("vgg16") == "IMAGENET1K_V1", "also where they are missing"
    assert bench.weights("no_network") == "default"


def test_a_network_typed_into_a_notebook_is_never_kept(store):
    class Own(nn.Module):
        __module__ = "typed_here"

        def forward(self, x):
            return x.flatten(1)[:, :10]

    calls = []
    model = models.wrap(Own(), input_size=(1, 28, 28), name="own")
    for _ in range(2):
        kept_for(model, "thing", {}, lambda: calls.append(1) or {"a": np.zeros(1)}, [evaluate])
    assert len(calls) == 2


def test_another_vector_or_another_part_is_scored_anew(store):
    def flags(v, part="scored"):
        return Bench("digits", 8, 8, 64).fooled("linear_digits", v, part)

    none, large = torch.zeros(1, 28, 28), torch.full((1, 28, 28), 5.0)
    large[:, ::2] = -5
    assert not flags(none).any()
    assert flags(large).any()
    assert len(flags(large, "held-in")) == 8


def test_the_checksum_of_a_tensor_sees_numbers_shape_and_type():
    x = torch.arange(6.0)
    sums = {tensor_sha256(t) for t in (x, x.view(2, 3), x.double(), x + 1)}
    assert len(sums) == 4
    assert tensor_sha256(x) == tensor_sha256(x.clone())
