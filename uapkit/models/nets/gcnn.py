"""GCNN: the network of [equivariant2019], Table 2, equivariant under rotations by 90 degrees (the group p4).

A p4 feature map is a tensor (n, channels, 4, h, w); index r of its third axis belongs to the rotation by r * 90 degrees
in the sense of ``torch.rot90(..., r, (-2, -1))``. Rotating an input once rotates every map once in the plane and shifts
its third axis cyclically by one.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from uapkit import checks
from uapkit.models.nets.stdcnn import flat_features


def _turned(weight: Tensor, r: int) -> Tensor:
    return torch.rot90(weight, r, (-2, -1))


class _P4Conv(nn.Module):
    """What both p4 convolutions share: a weight (out, *fan_in), one bias per output channel, a planar convolution."""

    def __init__(self, out_channels: int, *fan_in: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, *fan_in))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, by torch's own rule for convolutions."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def _convolve(self, x: Tensor, turned: list[Tensor]) -> Tensor:
        """Correlate planes x (n, i, h, w) with four turned copies of the weight, each (out, i, k, k)."""
        bank = torch.stack(turned, 1)
        y = F.conv2d(x, bank.flatten(0, 1), self.bias.repeat_interleave(4))
        return y.unflatten(1, (-1, 4))


class P4ConvZ2(_P4Conv):
    """Valid convolution from planar images (n, in, h, w) to p4 maps (n, out, 4, h - k + 1, w - k + 1).

    Output r is the correlation with the kernel rotated by r * 90 degrees; weight (out, in, k, k), bias (out).
    Source: group convolution of a planar signal, as the layer P4ConvZ2 of [equivariant2019], Table 2.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(out_channels, in_channels, kernel_size, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in, h, w) to (n, out, 4, h', w')."""
        return self._convolve(x, [_turned(self.weight, r) for r in range(4)])


class P4ConvP4(_P4Conv):
    """Valid convolution from p4 maps (n, in, 4, h, w) to p4 maps (n, out, 4, h - k + 1, w - k + 1).

    Output r is the correlation with the kernel rotated by r * 90 degrees in the plane and shifted by r along its own
    rotation axis; weight (out, in, 4, k, k), bias (out).
    Source: group convolution on p4, as the layer P4ConvP4 of [equivariant2019], Table 2.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(out_channels, in_channels, 4, kernel_size, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in, 4, h, w) to (n, out, 4, h', w')."""
        return self._convolve(x.flatten(1, 2), [_turned(self.weight.roll(r, 2), r).flatten(1, 2) for r in range(4)])


class P4MaxPool(nn.Module):
    """2x2 max-pooling in the plane, within each of the four rotations: (n, c, 4, h, w) to (n, c, 4, h // 2, w // 2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool the last two axes."""
        return F.max_pool2d(x.flatten(1, 2), 2).unflatten(1, (-1, 4))


class RotationPool(nn.Module):
    """Maximum or mean over the rotation axis: (n, c, 4, h, w) to (n, c, h, w)."""

    def __init__(self, kind: str = "max") -> None:
        super().__init__()
        self.kind = checks.one_of(kind, ("max", "mean"), "pooling over rotations")

    def forward(self, x: Tensor) -> Tensor:
        """Pool the third axis."""
        return x.amax(2) if self.kind == "max" else x.mean(2)


class GCNN(nn.Sequential):
    """StdCNN with p4 convolutions in place of planar ones: 10, 10, 20, 20 channels of four rotations each.

    Input (n, in_channels, size, size), already normalised; output (n, classes) logits. Every layer up to ``pool2`` is
    equivariant under rotations by 90 degrees (``pool1`` and ``pool2`` where they see even sides, as for 28 x 28). The
    paper's table does not pool over rotations, so 4 * 4 * 20 * 4 = 1280 numbers enter ``fc1`` and the logits are *not*
    invariant; ``pool_rotations=True`` (or "max", "mean") is the other reading: a layer ``pool_rotations`` between
    ``pool2`` and ``flatten`` leaves 320 numbers. That still feeds a rotated grid to ``fc1``: not invariant either.

    Source: [equivariant2019], Table 2. Raises ValueError for counts below one or images below 16 x 16.
    """

    def __init__(
        self, in_channels: int = 1, classes: int = 10, size: int = 28, *, pool_rotations: bool | str = False
    ) -> None:
        checks.count(in_channels, "in_channels")
        checks.count(classes, "classes")
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=P4ConvZ2(in_channels, 10, 3),
            relu1=nn.ReLU(),
            conv2=P4ConvP4(10, 10, 3),
            relu2=nn.ReLU(),
            pool1=P4MaxPool(),
            conv3=P4ConvP4(10, 20, 3),
            relu3=nn.ReLU(),
            conv4=P4ConvP4(20, 20, 3),
            relu4=nn.ReLU(),
            pool2=P4MaxPool(),
        )
        if pool_rotations:
            layers["pool_rotations"] = RotationPool("max" if pool_rotations is True else pool_rotations)
        layers["flatten"] = nn.Flatten()
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
