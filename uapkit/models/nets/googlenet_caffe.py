"""GoogLeNet as released for Caffe (bvlc_googlenet): no batch norm, two normalisation layers, true 5x5 branches.

torchvision's ``googlenet`` is another network (batch norm, 3x3 in place of 5x5). Source: Szegedy et al. (2014) and the
layer sizes of bvlc_googlenet's prototxt; every ReLU and pool is a module of its own, so that each has a name.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# channels of the branches: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Inception(nn.Module):
    """Four parallel branches, concatenated over channels: (n, c, h, w) to (n, c1 + c3 + c5 + pooled, h, w)."""

    def __init__(self, channels: int, c1: int, r3: int, c3: int, r5: int, c5: int, pooled: int) -> None:
        super().__init__()
        self.c1x1, self.relu_1x1 = nn.Conv2d(channels, c1, 1), nn.ReLU()
        self.c3x3_reduce, self.relu_3x3_reduce = nn.Conv2d(channels, r3, 1), nn.ReLU()
        self.c3x3, self.relu_3x3 = nn.Conv2d(r3, c3, 3, padding=1), nn.ReLU()
        self.c5x5_reduce, self.relu_5x5_reduce = nn.Conv2d(channels, r5, 1), nn.ReLU()
        self.c5x5, self.relu_5x5 = nn.Conv2d(r5, c5, 5, padding=2), nn.ReLU()
        self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.pool_proj, self.relu_pool_proj = nn.Conv2d(channels, pooled, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The concatenated branches."""
        one = self.relu_1x1(self.c1x1(x))
        three = self.relu_3x3(self.c3x3(self.relu_3x3_reduce(self.c3x3_reduce(x))))
        five = self.relu_5x5(self.c5x5(self.relu_5x5_reduce(self.c5x5_reduce(x))))
        pooled = self.relu_pool_proj(self.pool_proj(self.pool(x)))
        return torch.cat([one, three, five, pooled], 1)


class GoogLeNetCaffe(nn.Module):
    """(n, 3, h, w) of RGB 0 to 255 minus (123, 117, 104) to logits (n, 1000)."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU()
        self.pool1, self.norm1 = _pool(), _norm()
        self.conv2_reduce, self.relu2_reduce = nn.Conv2d(64, 64, 1), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(64, 192, 3, padding=1), nn.ReLU()
        self.norm2, self.pool2 = _norm(), _pool()
        channels = 192
        for name, (c1, r3, c3, r5, c5, pooled) in BLOCKS.items():
            self.add_module(f"inception_{name}", Inception(channels, c1, r3, c3, r5, c5, pooled))
            channels = c1 + c3 + c5 + pooled
        self.pool3, self.pool4 = _pool(), _pool()
        self.pool5, self.flatten, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.norm1(self.pool1(self.relu1(self.conv1(x))))
        x = self.pool2(self.norm2(self.relu2(self.conv2(self.relu2_reduce(self.conv2_reduce(x))))))
        for name in BLOCKS:
            x = self.get_submodule(f"inception_{name}")(x)
            if name in ("3b", "4e"):
                x = (self.pool3 if name == "3b" else self.pool4)(x)
        return self.fc(self.dropout(self.flatten(self.pool5(x))))

    def aliases(self) -> dict[str, str]:
        """Caffe's layer names; a convolution's name is its output before the ReLU, which overwrites Caffe's blob."""
        names = {
            "conv1/7x7_s2": "conv1",
            "conv1/relu_7x7": "relu1",
            "pool1/3x3_s2": "pool1",
            "pool1/norm1": "norm1",
            "conv2/3x3_reduce": "conv2_reduce",
            "conv2/relu_3x3_reduce": "relu2_reduce",
            "conv2/3x3": "conv2",
            "conv2/relu_3x3": "relu2",
            "conv2/norm2": "norm2",
            "pool2/3x3_s2": "pool2",
            "pool3/3x3_s2": "pool3",
            "pool4/3x3_s2": "pool4",
            "pool5/7x7_s1": "pool5",
            "pool5/drop_7x7_s1": "dropout",
            "loss3/classifier": "fc",
        }
        for block in BLOCKS:
            at = f"inception_{block}"
            for part in ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5"):
                names[f"{at}/{part}"] = f"{at}.c{part}"
                names[f"{at}/relu_{part}"] = f"{at}.relu_{part}"
            for part in ("pool", "pool_proj", "relu_pool_proj"):
                names[f"{at}/{part}"] = f"{at}.{part}"
            names[f"{at}/output"] = at
        return names


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
