"""One forward pass for the Jacobians of many layers: the same products, bit by bit, and the network is not run again."""

import pytest
import torch
from torch import nn

from uapkit import models
from uapkit.operators import JacobianOperator, LayerJacobians, jacobian
from uapkit.operators.replay import record as replay
from uapkit.seeds import generator

LAYERS = {
    "vgg_digits": ["block1_conv1", "block1_pool", "block2_pool", "logits"],
    "cifar10_resnet20": [
        "conv1",
        "layer1.0",
        "layer2.0.bn1",
        "layer3",
    ],  # batch norm goes into the kernels, or stays apart
}


def same(a, b):
    random = generator(0, "direction")
    v, w = torch.randn(a.shape[1], generator=random), torch.randn(a.shape[0], generator=random)
    return a.shape == b.shape and torch.equal(a.matvec(v), b.matvec(v)) and torch.equal(a.rmatvec(w), b.rmatvec(w))


def network(name):
    model = models.load(name, weights="random")
    return model, torch.rand(5, *model.input_size, generator=generator(1, "images"))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("keep_bytes", [0, 1, 2**31])
def test_each_layer_has_the_products_of_its_own_operator(name, keep_bytes, monkeypatch):
    monkeypatch.setattr(LayerJacobians, "keep_bytes", keep_bytes)
    model, x = network(name)
    layers = [layer for layer in model.layers() if layer in LAYERS[name]]
    assert len(layers) == 4, model.layers()
    together = LayerJacobians(model, layers[::-1], x, chunk=2)
    assert [known is not None for known in together._forward.known] == [
        keep_bytes > 0,
        keep_bytes > 1,
        keep_bytes > 1,
    ]
    for layer in layers:
        own = JacobianOperator(model.until(layer), x, chunk=2)
        assert own.way == together.at(layer).way == "replay"
        assert same(own, together.at(layer)), layer


class InPlace(nn.Module):
    """A ReLU in place behind a convolution, and at the end a look at the values, which cannot be traced."""

    def __init__(self, looks):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.relu, self.b, self.looks = nn.Conv2d(3, 4, 3), nn.ReLU(True), nn.Conv2d(4, 5, 3), looks
        self.end = nn.Flatten()
        self.runs = []

    def forward(self, x):
        self.runs.append(len(x))
        y = self.end(self.b(self.relu(self.a(x))))
        return y * 2 if self.looks and float(y.sum()) > 0 else y


def test_the_network_is_run_once_for_all_layers():
    model = models.wrap(InPlace(looks=False), input_size=(3, 8, 8), name="net")
    x, layers = torch.rand(6, 3, 8, 8, generator=generator(1, "images")), ["a", "relu", "b", "end"]
    together = LayerJacobians(model, layers, x, chunk=3)
    together.at("a")
    assert all(known is not None for known in together._forward.known), "so few activations are kept"
    model.net.runs.clear()
    ops = {layer: together.at(layer) for layer in layers}
    assert model.net.runs == [1] * 4, "only one image of each layer is looked at again, to verify the products"
    for op in ops.values():
        op.rmatvec(op.matvec(torch.rand(op.shape[1])))
    assert len(model.net.runs) == 4
    assert all(same(JacobianOperator(model.until(layer), x, chunk=3), ops[layer]) for layer in layers)


def test_layers_that_cannot_be_recorded_together_are_recorded_apart():
    model = models.wrap(InPlace(looks=True), input_size=(3, 8, 8), name="net", trust=["alone"])
    x = torch.rand(4, 3, 8, 8, generator=generator(1, "images"))
    together = LayerJacobians(model, ["a", "b", "logits"], x)
    assert together._forward is None
    assert [together.at(layer).way for layer in ("b", "logits")] == ["replay", "general"]
    other = LayerJacobians(model, ["a", "b"], x)
    assert other._forward is not None
    for layer in ("a", "relu", "b", "logits"):  # two of them were not named
        assert same(JacobianOperator(model.until(layer), x), other.at(layer)), layer
    with pytest.raises(ValueError, match="unknown layer of net 'c'"):
        LayerJacobians(model, ["a", "c"], x)
    with pytest.raises(ValueError, match="unknown layer of net 'c'"):
        other.at("c")


def test_products_that_are_wrong_are_not_used(monkeypatch):
    model, x = network("vgg_digits")
    together = LayerJacobians(model, LAYERS["vgg_digits"], x)
    right = JacobianOperator(model.until("block1_pool"), x)
    for known in together._forward.known:  # the activations of other images
        for node, value in known.values.items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                known.values[node] = value.flip(0) * -1
    made = []
    monkeypatch.setattr(jacobian, "General", lambda *_: made.append(1))
    assert same(right, together.at("block1_pool"))
    assert not made


def test_an_operation_is_recorded_once_for_all_layers(monkeypatch):
    model, x = network("cifar10_resnet20")
    recorded = []
    record = replay.recorded_link
    monkeypatch.setattr(replay, "recorded_link", lambda call, *rest: recorded.append(call.node) or record(call, *rest))
    together = LayerJacobians(model, LAYERS["cifar10_resnet20"], x, chunk=len(x))
    for layer in LAYERS["cifar10_resnet20"] * 2:
        together.at(layer)
    assert len(recorded) == len(set(recorded)) > 10


def test_an_image_that_rounds_otherwise_alone_does_not_cost_a_recording(monkeypatch):
    model, x = network("vgg_digits")
    together = LayerJacobians(model, LAYERS["vgg_digits"], x)
    together.at("logits")
    agrees, looked = replay.Replay.agrees, []

    def rounds_otherwise(self, fn, images=None):
        looked.append(images)
        return images is None and agrees(self, fn, images)

    monkeypatch.setattr(replay.Replay, "agrees", rounds_otherwise)
    monkeypatch.setattr(jacobian, "Forward", None)
    monkeypatch.setattr(jacobian, "General", None)
    assert together.at("block1_pool").way == "replay"
    assert looked == [1, None]
