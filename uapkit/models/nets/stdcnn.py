"""StdCNN: the plain convolutional network of [equivariant2019], Table 2."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from uapkit import checks


def flat_features(features: nn.Module, shape: tuple[int, int, int]) -> int:
    """Length of the vector that ``features`` makes of one image of shape (c, h, w); ValueError if it is too small."""
    with torch.no_grad():
        try:
            return features(torch.zeros(1, *shape)).numel()
        except RuntimeError:
            raise ValueError(
                f"images of {shape[1]} x {shape[2]} pixels are too small; at least 16 x 16 are needed"
            ) from None


class StdCNN(nn.Sequential):
    """Four valid 3x3 convolutions (10, 10, 20, 20 channels), two 2x2 max-poolings, two fully connected layers.

    Input (n, in_channels, size, size), already normalised; output (n, classes) logits. For 28 x 28 images the sides are
    28, 26, 24, 12, 10, 8, 4 and 4 * 4 * 20 = 320 numbers enter ``fc1``. The layers carry names, in execution order.

    Source: [equivariant2019], Table 2. Raises ValueError for counts below one or images below 16 x 16.
    """

    def __init__(self, in_channels: int = 1, classes: int = 10, size: int = 28) -> None:
        checks.count(in_channels, "in_channels")
        checks.count(classes, "classes")
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(in_channels, 10, 3),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(10, 10, 3),
            relu2=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(10, 20, 3),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(20, 20, 3),
            relu4=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
        )
        width = flat_features(nn.Sequential(layers), (in_channels, size, size))
        layers.update(
            fc1=nn.Linear(width, 50),
            relu5=nn.ReLU(),
            dropout=nn.Dropout(0.5),
            fc2=nn.Linear(50, classes),
        )
        super().__init__(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of normalised images (n, in_channels, size, size)."""
        return super().forward(x)
