"""The network of paper M's two drawings: small enough to be trained in a second, in the plane or in space."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from uapkit import models
from uapkit.data.images import Images
from uapkit.models import Model
from uapkit.models.training import fit
from uapkit.seeds import child_seed


class Toy(nn.Sequential):
    """Two hidden layers of ReLUs between d numbers and three classes."""

    def __init__(self, d: int, width: int = 32) -> None:
        layers = OrderedDict(
            flatten=nn.Flatten(), fc1=nn.Linear(d, width), relu1=nn.ReLU(), fc2=nn.Linear(width, width)
        )
        super().__init__(OrderedDict(**layers, relu2=nn.ReLU(), fc3=nn.Linear(width, 3)))


def toy(d: int, classes: Tensor, x: Tensor, epochs: int, seed: int) -> Model:
    """A network trained on points x (n, d) of the unit cube; ``classes`` are theirs (n,)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "weights"))
        net = models.wrap(Toy(d), mean=0.5, std=0.3, name="toy network", input_size=(d, 1, 1))
    if epochs:
        points = Images(x.view(-1, d, 1, 1), classes, name="toy points")
        fit(net, points, epochs=epochs, lr=0.01, optimizer="adam", batch_size=100, seed=seed)
    return net
