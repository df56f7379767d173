"""Small networks for 28x28 grey images, trained in seconds: (n, 1, 28, 28) to logits (n, 10)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class Linear(nn.Sequential):
    """One affine map: every Jacobian and every decision boundary is known exactly."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(OrderedDict(flatten=nn.Flatten(), fc=nn.Linear(784, classes)))


class MLP(nn.Sequential):
    """Two hidden layers of ReLUs (128, 64)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=nn.Linear(784, 128),
                relu1=nn.ReLU(),
                fc2=nn.Linear(128, 64),
                relu2=nn.ReLU(),
                fc3=nn.Linear(64, classes),
            )
        )


class LeNet(nn.Sequential):
    """MatConvNet's LeNet: two 5x5 convolutions with max pooling, 500 units, and a single ReLU before the classifier.

    Source: [jetley2018] names the network; the layer sizes are MatConvNet's stock example.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(1, 20, 5),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(20, 50, 5),
                pool2=nn.MaxPool2d(2),
                conv3=nn.Conv2d(50, 500, 4),
                relu=nn.ReLU(),
                conv4=nn.Conv2d(500, classes, 1),
                flatten=nn.Flatten(),
            )
        )


class SmallVGG(nn.Sequential):
    """VGG's plan in small: three blocks of two 3x3 convolutions and a max pool, named as Keras names VGG's.

    ``block1_conv1`` is the output after the ReLU, ``block1_conv1.conv`` the one before it.
    """

    def __init__(self, classes: int = 10) -> None:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        channels = 1
        for block, out in enumerate((8, 16, 32), 1):
            for k in (1, 2):
                conv = OrderedDict(conv=nn.Conv2d(channels, out, 3, padding=1), relu=nn.ReLU())
                parts[f"block{block}_conv{k}"] = nn.Sequential(conv)
                channels = out
            parts[f"block{block}_pool"] = nn.MaxPool2d(2)
        parts["flatten"] = nn.Flatten()
        parts["fc1"] = nn.Sequential(OrderedDict(linear=nn.Linear(32 * 3 * 3, 64), relu=nn.ReLU()))
        parts["fc2"] = nn.Linear(64, classes)
        super().__init__(parts)
