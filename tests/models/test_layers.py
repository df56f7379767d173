"""Layers have names, names have aliases, and nothing past a layer is computed."""

import threading

import pytest
import torch
from torch import nn
from torch.func import jvp, vjp
from torch.fx.experimental.proxy_tensor import make_fx
from torchvision.models import get_model

from uapkit.models import wrap


class Bomb(nn.Module):
    def forward(self, x):
        raise AssertionError("a layer past the asked one was computed")


class Shared(nn.Module):
    """One ReLU called three times, and a bomb at the end."""

    def __init__(self, end=None):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.relu, self.pool, self.end = nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), end or nn.Flatten()

    def forward(self, x):
        x = self.relu(self.a(x))
        x = self.relu(self.b(x) + x)
        return self.end(self.relu(self.pool(x) - 0.1))


def shared(**kwargs):
    torch.manual_seed(0)
    return wrap(Shared(**kwargs), input_size=(2, 5, 5), name="shared")


def names(name):
    """A torchvision network without numbers: shapes only."""
    with torch.device("meta"):
        net = get_model(name, weights=None).eval()
    size = 224 if name.startswith("vgg") else 64
    return wrap(net, input_size=(3, size, size), name=name)


X = torch.rand(4, 2, 5, 5, generator=torch.Generator().manual_seed(1))


def test_layers_come_in_execution_order_and_repeated_calls_are_counted():
    model = shared()
    assert model.layers() == ["a", "relu", "b", "relu:2", "pool", "relu:3", "end", "logits"]
    assert model.layers(kind="activation") == ["relu", "relu:2", "relu:3"]
    assert model.layers(kind=("conv", "pool")) == ["a", "b", "pool"]
    with pytest.raises(ValueError, match="'conv'"):
        model.layers(kind="convolution")


def test_until_gives_each_layers_output():
    model = shared()
    net, relu = model.net, torch.relu
    first = net.a(X)
    second = relu(net.b(relu(first)) + relu(first))
    assert torch.equal(model.until("a")(X), first)  # before the in-place ReLU behind it
    assert torch.equal(model.until("relu:2")(X), second)
    assert torch.equal(model.until("relu:3")(X), relu(second.mean((2, 3), keepdim=True) - 0.1))
    assert torch.equal(model.until("logits")(X), model(X))


def test_nothing_past_the_layer_is_computed():
    model = wrap(Shared(end=Bomb()))
    for layer in ("a", "relu", "b", "relu:2", "pool", "relu:3"):
        model.until(layer)(X)
    with pytest.raises(AssertionError, match="past"):
        model.until("logits")(X)
    assert all(not m._forward_hooks for m in model.modules())


def test_a_call_that_does_not_happen_is_an_error():
    with pytest.raises(ValueError, match="called only 3 times"):
        wrap(Shared()).until("relu:4")(X)
    with pytest.raises(ValueError, match="unknown layer of shared 'relu:4'"):
        shared().until("relu:4")


def test_until_works_inside_other_runs_and_threads():
    model = shared()
    expected = {layer: model.until(layer)(X) for layer in ("a", "relu:2", "pool")}
    inner = []

    def nested(*_):
        inner.append(0)
        if len(inner) == 1:
            inner.append(model.until("pool")(X))

    handle = model.net.b.register_forward_hook(nested)
    assert torch.equal(model.until("relu:2")(X), expected["relu:2"])
    handle.remove()
    assert torch.equal(inner[-1], expected["pool"])
    wrong = []

    def work(layer):
        for _ in range(30):
            wrong.extend([layer] * (not torch.equal(model.until(layer)(X), expected[layer])))

    threads = [threading.Thread(target=work, args=(layer,)) for layer in expected for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_until_under_function_transforms_and_tracing():
    model = shared().double()
    f, x, v = model.until("relu:2"), X.double(), torch.ones_like(X).double()
    forward = jvp(f, (x,), (v,))[1]
    out, pull = vjp(f, x)
    assert torch.allclose((forward * out).sum(), (v * pull(out)[0]).sum())
    step = (f(x + 1e-7 * v) - f(x - 1e-7 * v)) / 2e-7
    assert torch.allclose(step, forward, atol=1e-6)
    assert torch.equal(make_fx(f)(x)(x + v), f(x + v))


@pytest.mark.parametrize(
    ("name", "pools", "block3"),
    [("vgg16", (4, 9, 16, 23, 30), (11, 13, 15)), ("vgg19", (4, 9, 18, 27, 36), (11, 13, 15, 17))],
)
def test_keras_names_of_vgg(name, pools, block3):
    model = names(name)
    assert [model.aliases[f"block{i}_pool"] for i in range(1, 6)] == [f"features.{i}" for i in pools]
    assert [model.aliases[f"block3_conv{i}"] for i in range(1, len(block3) + 1)] == [f"features.{i}" for i in block3]
    x = torch.zeros(2, 3, 224, 224, device="meta")
    for layer, shape in {
        "block1_conv1": (64, 224, 224),
        "block2_pool": (128, 56, 56),
        "block3_conv1": (256, 56, 56),
    }.items():
        cut = model.until(layer)
        assert cut(x).shape[1:] == shape
        assert isinstance(cut.module, nn.MaxPool2d if "pool" in layer else nn.ReLU)
    listed = model.layers()
    assert listed.index("block2_pool") == listed.index("features.9") + 1
    assert set(model.aliases) <= set(listed)


def test_keras_names_of_resnet50():
    model = names("resnet50")
    known = {  # the dictionary of the papers' experiments
        "conv1": "conv1",
        "bn_conv1": "bn1",
        "res2a_branch2a": "layer1.0.conv1",
        "bn2a_branch2a": "layer1.0.bn1",
        "res3c_branch2a": "layer2.2.conv1",
        "bn5a_branch2c": "layer4.0.bn3",
        "activation_8": "layer1.2.relu",
        "res4f_branch2b": "layer3.5.conv2",
        "bn5a_branch1": "layer4.0.downsample.1",
    }
    assert {k: model.aliases[k] for k in known} == known
    activations = [a for a in model.layers() if a.startswith("activation_")]
    assert activations == [f"activation_{i}" for i in range(1, 50)]
    assert [model.aliases[a] for a in activations] == model.layers(kind="activation")
    convs = [model.aliases[a] for a in model.layers() if a in model.aliases and a.startswith("res")]
    assert sorted(["conv1", *convs]) == sorted(model.layers(kind="conv"))
    assert names("resnext50_32x4d").aliases == {}
    assert model.until("activation_8")(torch.zeros(2, 3, 64, 64, device="meta")).shape == (2, 64, 16, 16)


def test_unknown_layer_suggests_the_nearest():
    model = names("vgg16")
    with pytest.raises(ValueError, match="block2_pool"):
        model.until("block2_pol")
    with pytest.raises(ValueError, match=r"nearest names are 'features\.30'"):
        model.until("features.300")


def test_without_input_size_the_modules_are_listed_as_defined():
    assert wrap(Shared()).layers() == ["a", "b", "relu", "pool", "end", "logits"]


def test_several_layers_in_one_run():
    model = shared()
    layers = ["relu:2", "a", "pool", "logits", "relu"]
    found = model.several(layers)(X)
    assert len(found) == 5
    assert all(torch.equal(y, model.until(layer)(X)) for y, layer in zip(found, layers, strict=True))
    bomb = wrap(Shared(end=Bomb()))
    first, second = bomb.several(["relu:3", "a"])(X)  # nothing past the last of them
    assert torch.equal(first, bomb.until("relu:3")(X))
    assert torch.equal(second, bomb.until("a")(X))
    assert all(not m._forward_hooks for m in bomb.modules())
    with pytest.raises(ValueError, match=r"relu:4.*was not called so often"):
        wrap(Shared()).several(["a", "relu:4"])(X)
    with pytest.raises(ValueError, match="unknown layer of shared 'relu:4'"):
        shared().several(["a", "relu:4"])
