"""Tiny Darknet: 3x3 and 1x1 convolutions with batch norm and leaky ReLU, and no fully connected layer.

Source: J. Redmon's Darknet, ``tiny.cfg``.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

# output channels; negative: a 1x1 convolution; 0: max pooling
PLAN = (16, 0, 32, 0, -16, 128, -16, 128, 0, -32, 256, -32, 256, 0, -64, 512, -64, 512, -128)


class TinyDarknet(nn.Sequential):
    """(n, 3, h, w) of RGB in [0, 1] to logits (n, 1000): conv1, pool1, ..., conv15, fc (a 1x1 convolution), mean."""

    def __init__(self, classes: int = 1000) -> None:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        channels, convs, pools = 3, 0, 0
        for step in PLAN:
            if step == 0:
                pools += 1
                parts[f"pool{pools}"] = nn.MaxPool2d(2, 2, ceil_mode=True)
                continue
            convs += 1
            size, out = (1 if step < 0 else 3), abs(step)
            conv = nn.Conv2d(channels, out, size, padding=size // 2, bias=False)
            parts[f"conv{convs}"] = nn.Sequential(conv, nn.BatchNorm2d(out, eps=1e-3), nn.LeakyReLU(0.1))
            channels = out
        parts["fc"] = nn.Conv2d(channels, classes, 1)
        parts["avgpool"], parts["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        super().__init__(parts)
