"""A Network-in-Network for 32 x 32 colour images, after Lin, Chen and Yan (2014), small enough to train on a CPU."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from uapkit import checks


class NIN(nn.Sequential):
    """Three blocks of a spatial convolution and two 1 x 1 convolutions, each with batch norm and ReLU.

    Input (n, 3, 32, 32), already normalised; output (n, classes) logits: the last block has one map a class, averaged
    over the image. ``width``: maps of the first block; the second has twice and the third three times as many.

    Source: [jetley2018] names the network. Its sizes are those of Lin et al., 192 maps and 5 x 5 filters, which cost nearly
    thirty times as much at the default width; these are ours, and so is batch norm in place of dropout. ValueError for a width
    below one.
    """

    def __init__(self, width: int = 24, classes: int = 10) -> None:
        checks.count(width, "width")
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        channels = 3
        for block, out in enumerate((width, 2 * width, 3 * width), 1):
            for k, side in enumerate((3, 1, 1), 1):
                last = (block, k) == (3, 3)
                name, maps = f"{block}_{k}", classes if last else out
                parts[f"conv{name}"] = nn.Conv2d(channels, maps, side, padding=side // 2, bias=last)
                if not last:
                    parts[f"bn{name}"] = nn.BatchNorm2d(maps)
                    parts[f"relu{name}"] = nn.ReLU()
                channels = maps
            if block < 3:
                parts[f"pool{block}"] = nn.MaxPool2d(3, 2, 1)
        parts["avgpool"], parts["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        super().__init__(parts)
