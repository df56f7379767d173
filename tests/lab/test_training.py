"""What a training gives: weights, curve and record, taken from the network as it is and given to another."""

import json
from dataclasses import FrozenInstanceError, dataclass

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from uapkit.data.images import Images
from uapkit.lab.training import CURVE_IMAGES, MNIST_MEAN, MNIST_STD, Trained, record_of


@dataclass(frozen=True)
class Recipe:
    rate: float = 0.1
    epochs: int = 2


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3))


def trained(net):
    return Trained.of(net, pd.DataFrame({"epoch": [1, 2]}), {"recipe": {"rate": 0.1, "epochs": 2}})


def test_weights_and_buffers_are_taken_as_they_are_now():
    net, x = network(0), torch.rand(8, 1, 8, 8)
    net(x)  # in training mode: the running mean moves
    made = trained(net)
    expected = net.eval()(x)
    net.train()(x)
    with torch.no_grad():
        net[0].weight.zero_()
    other = made.into(network(1))
    assert not other.training
    assert torch.equal(other(x), expected), "neither a later step nor a later batch reaches what was taken"
    assert all(not value.requires_grad and value.is_contiguous() for value in made.state.values())
    with pytest.raises(RuntimeError):
        made.into(nn.Linear(2, 2))


def test_the_file_of_weights_holds_the_recipe(tmp_path):
    made = trained(network(0))
    (path := tmp_path / "w.safetensors").write_bytes(made.weights_bytes())
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["recipe"]) == {"rate": 0.1, "epochs": 2}
    found = load_file(path)
    assert found.keys() == made.state.keys()
    assert all(torch.equal(found[key], made.state[key]) for key in found)
    other = Trained(made.state, made.curve, {"recipe": {"epochs": 2, "rate": 0.1}})
    assert other.weights_bytes() == made.weights_bytes(), "the same recipe in another order is the same file"


@pytest.mark.parametrize(
    ("n", "on_the_curve"), [(5, 5), (CURVE_IMAGES, CURVE_IMAGES), (CURVE_IMAGES + 7, CURVE_IMAGES)]
)
def test_a_record_names_what_was_trained_on_and_counts_what_was_scored(n, on_the_curve):
    train = Images(torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64), name="a/train")
    test = Images(torch.ones(n, 1, 2, 2), torch.zeros(n, dtype=torch.int64), name="a/test")
    rows = [{"seconds": 1.26}, {"seconds": 2.0}]
    assert record_of(Recipe(), train, test, rows, threads=3, note="more") == {
        "recipe": {"rate": 0.1, "epochs": 2},
        "inputs": {"a/train": train.sha256, "a/test": test.sha256},
        "n_test": n,
        "n_test_curve": on_the_curve,
        "seconds": 3.3,
        "threads": 3,
        "device": "cpu",
        "dtype": "float32",
        "note": "more",
    }


def test_what_was_trained_stays_as_it_is():
    made, other = trained(network(0)), trained(network(0))
    assert len({made, other, made}) == 2, "two trainings are never the same one"
    with pytest.raises(FrozenInstanceError):
        made.state = {}
    with pytest.raises(TypeError, match="positional"):
        record_of(None, None, None, [], 1)


def test_constants_are_those_of_the_stored_trainings():
    """A network trained with others would be another one under the same name."""
    assert (MNIST_MEAN, MNIST_STD) == (0.1307, 0.3081), "of the 60,000 training images"
    assert CURVE_IMAGES == 2000
