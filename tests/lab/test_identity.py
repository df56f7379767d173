"""Each thing that changes an answer changes the identity; what changes nothing does not; what cannot be told is refused."""

import collections
import copy
import functools
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from uapkit import attacks, data, models
from uapkit.data import Images
from uapkit.intervals import Rate
from uapkit.lab.identity import Unidentified, identity


class Wrapper(nn.Module):
    """A wrapper with a setting of every kind."""

    def __init__(self, net, side=14, remove=False, basis=None, act=torch.relu):
        super().__init__()
        self.net, self.side, self.remove, self.act = net, side, remove, act
        self.names = {"a": (1, 2.0)}
        self.register_buffer("basis", torch.eye(3) if basis is None else basis, persistent=False)

    def forward(self, x):
        return self.net(avg_pool2d(x, 28 // self.side))


def linear(seed=0, classes=10):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes), nn.BatchNorm1d(classes))


def wrapped(**settings):
    return models.wrap(linear(), input_size=(1, 28, 28), name="own", **settings)


def set_mean(net):
    net.mean.fill_(0.1)


def set_std(net):
    net.std.fill_(0.5)


def set_weight(net):
    net.net[1].weight.data[0, 0] += 1e-6


def set_running_mean(net):
    net.net[2].running_mean[0] += 1e-6


def set_dtype(net):
    net.double()


def set_training(net):
    net.net.train()


@pytest.mark.parametrize("change", [set_mean, set_std, set_weight, set_running_mean, set_dtype, set_training])
def test_everything_a_network_computes_with_counts(change):
    net, other = wrapped(), wrapped()
    assert identity(net) == identity(other) == identity(copy.deepcopy(net))
    change(other)
    assert identity(net) != identity(other)


@pytest.mark.parametrize(
    "other",
    [
        {"side": 7},
        {"remove": True},
        {"basis": 2 * torch.eye(3)},
        {"act": torch.tanh},
        {"net": linear(1)},
    ],
)
def test_everything_a_wrapper_is_set_to_counts(other):
    plain = {"net": linear()}
    assert identity(Wrapper(**plain)) == identity(Wrapper(net=linear()))
    assert identity(Wrapper(**plain)) != identity(Wrapper(**{**plain, **other}))


def test_an_attribute_deep_inside_counts():
    a, b = Wrapper(linear()), Wrapper(linear())
    b.names["a"] = (1, 2.5)
    assert identity(a) != identity(b)


def test_the_order_of_layers_that_is_found_on_the_way_does_not_count():
    net, other = wrapped(), wrapped()
    other.layers()
    assert identity(net) == identity(other)


class Sly(nn.Module):
    """A user's module that happens to have an attribute of the name that our classes use."""

    derived = ("scale",)

    def __init__(self, scale):
        super().__init__()
        self.scale = scale


def test_only_classes_of_ours_may_leave_an_attribute_out():
    assert identity(Sly(1.0)) != identity(Sly(2.0))


def test_images_count_pixel_by_pixel_with_labels_and_type():
    x = torch.rand(3, 1, 28, 28)
    y = torch.tensor([0, 1, 2])
    moved, other = x.clone(), y.clone()
    moved[0, 0, 0, 0] += 1e-6
    other[0] = 5
    found = {
        identity(v) for v in (Images(x, y), Images(moved, y), Images(x, other), x, x.double(), x.flatten(1), x[:2])
    }
    assert len(found) == 7
    zeros = [torch.zeros(2, dtype=dtype) for dtype in (torch.float32, torch.int32)]  # the same bytes
    assert identity(zeros[0]) != identity(zeros[1])
    assert identity(Images(x, y)) == identity(Images(x.clone(), y.clone()))


def test_plain_values_count_with_their_type():
    values = [
        0,
        0.0,
        False,
        None,
        "0",
        b"0",
        (),
        [],
        {},
        {0: 1},
        {1: 0},
        (0,),
        [0],
        np.float32(0),
        np.zeros(1),
        -0.0,
        slice(0),
    ]
    assert len({identity(v) for v in values}) == len(values)
    assert identity(float("inf")) != identity(float("-inf"))
    assert identity({1, 2, 3}) == identity({3, 2, 1})


def test_our_dataclasses_and_functions_of_libraries_are_identified():
    assert identity(Rate.of(1, 5)) != identity(Rate.of(2, 5))
    assert identity(torch.relu) != identity(torch.sigmoid)
    assert identity(functools.partial(attacks.deepfool, overshoot=0.02)) != identity(
        functools.partial(attacks.deepfool, overshoot=0.05)
    )
    net = models.load("linear_digits")
    assert identity(net.until("logits")) != identity(models.load("mlp_digits").until("logits"))


def test_something_that_holds_itself_is_identified():
    loop = [1]
    loop.append(loop)
    assert identity(loop) == identity(loop)


def test_hooks_closures_generators_and_typed_classes_are_not_identified():
    hooked = linear()
    hooked.register_forward_hook(lambda *args: None)
    bound = 3.0
    typed = type("Typed", (nn.Module,), {"__module__": "typed_here"})()
    for value in (hooked, Wrapper(linear(), act=lambda x: x * bound), torch.Generator(), typed):
        with pytest.raises(Unidentified):
            identity(value)


def test_the_same_digits_are_the_same_images():
    assert identity(data.load("digits", n=20, seed=1)) == identity(data.load("digits", n=20, seed=1))
    assert identity(data.load("digits", n=20, seed=1)) != identity(data.load("digits", n=20, seed=2))


class Holds:
    """Its state is in its attributes."""

    def __init__(self, value):
        self.value = value


class OwnDeque(collections.deque):
    """Its state is where Python does not see it."""


class OwnBytes(io.BytesIO):
    """So is this one's."""


def test_state_that_lies_outside_of_attributes_is_not_identified():
    """Two of these with other contents have the same attributes: none."""
    for value in (OwnDeque([1]), OwnBytes(b"1"), iter([1, 2])):
        with pytest.raises(Unidentified, match="keeps its state where it cannot be read"):
            identity(value)
    assert identity(Holds(1)) != identity(Holds(2))
    assert identity(Holds(1)) == identity(Holds(1))


def test_tensors_without_plain_numbers_and_functions_made_by_libraries_are_not_identified():
    for tensor in (torch.empty(2, device="meta"), torch.eye(2).to_sparse()):
        with pytest.raises(Unidentified, match="a tensor without numbers"):
            identity(tensor)
    assert torch.nn.functional.max_pool2d.__closure__, "a function that PyTorch makes of two others"
    with pytest.raises(Unidentified):
        identity(torch.nn.functional.max_pool2d)
