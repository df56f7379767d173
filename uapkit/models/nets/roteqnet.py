"""RotEqNet, the rotation-equivariant vector field network of Marcos et al. (ICCV 2017) that [equivariant2019] attacks.

A vector field is a tensor (n, channels, 2, h, w) of components along x (columns, to the right) and y (rows, downwards).
Angles run from x to y. Rotating an input rotates every field in the plane and its vectors with it.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from uapkit import checks


def _cubic(t: Tensor) -> Tensor:
    """Keys' cubic convolution kernel (a = -1/2): 1 at 0, 0 at the other integers."""
    t = t.abs()
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, torch.zeros_like(t)))


def rotation_matrices(size: int, orientations: int) -> Tensor:
    """Bicubic rotations of a size x size filter on a disc: (orientations * size^2, size^2), in the default dtype.

    Row block k maps a filter, flattened, to the same filter rotated by 2 pi k / orientations. Taps farther than
    size / 2 from the centre are masked out before and after, so that every orientation has the same support.
    """
    half = (size - 1) / 2
    axis = torch.arange(size, dtype=torch.float64) - half
    y, x = (a.flatten() for a in torch.meshgrid(axis, axis, indexing="ij"))
    disc = (x.square() + y.square() <= (size / 2) ** 2).double()
    blocks = []
    for k in range(orientations):
        c, s = math.cos(2 * math.pi * k / orientations), math.sin(2 * math.pi * k / orientations)
        from_x, from_y = c * x + s * y, c * y - s * x  # where the rotated tap (x, y) comes from
        weights = _cubic(from_x[:, None] - x) * _cubic(from_y[:, None] - y)
        blocks.append(disc[:, None] * weights * disc)
    return torch.cat(blocks).to(torch.get_default_dtype())


class RotConv(nn.Module):
    """Correlation with every filter in ``orientations`` rotated copies: (n, out, orientations, h', w') responses.

    ``field=False``: input (n, in, h, w). ``field=True``: input (n, in, 2, h, w), and a rotated filter has its support
    *and* its vectors rotated; the response sums the dot products of vectors (the real part of a complex correlation).
    Weight (out, in, 1 or 2, size, size), one bias per output channel. One product with a precomputed interpolation
    matrix turns all filters at once.

    Source: Marcos et al. 2017, Section 3 (rotating convolution). Departure: filters are interpolated bicubically.
    """

    cosine: Tensor
    sine: Tensor
    turn: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, size: int = 9, *, padding: int, field: bool, orientations: int = 17
    ) -> None:
        super().__init__()
        parts = 2 if field else 1
        self.field, self.padding, self.orientations = field, padding, orientations
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, parts, size, size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()
        angle = 2 * math.pi * torch.arange(orientations, dtype=torch.float64) / orientations
        self.register_buffer("turn", rotation_matrices(size, orientations), persistent=False)
        self.register_buffer("cosine", angle.cos().to(self.turn.dtype)[:, None], persistent=False)
        self.register_buffer("sine", angle.sin().to(self.turn.dtype)[:, None], persistent=False)

    def reset_parameters(self) -> None:
        """Draw the weight anew, by He's rule on the disc's taps; the bias starts at zero."""
        _, inside, parts, size, _ = self.weight.shape
        nn.init.normal_(self.weight, std=math.sqrt(2 / (inside * parts * math.pi * size**2 / 4)))
        nn.init.zeros_(self.bias)

    def bank(self) -> Tensor:
        """All rotated filters, (out * orientations, in * parts, size, size)."""
        out, inside, parts, size, _ = self.weight.shape
        turned = (self.weight.flatten(-2) @ self.turn.T).unflatten(-1, (self.orientations, -1))
        if self.field:  # turned: (out, in, 2, orientations, size^2)
            wx, wy = turned.unbind(2)
            turned = torch.stack((self.cosine * wx - self.sine * wy, self.sine * wx + self.cosine * wy), 2)
        return turned.permute(0, 3, 1, 2, 4).reshape(out * self.orientations, inside * parts, size, size)

    def forward(self, x: Tensor) -> Tensor:
        """Responses (n, out, orientations, h', w')."""
        x = x.flatten(1, 2) if self.field else x
        y = F.conv2d(x, self.bank(), self.bias.repeat_interleave(self.orientations), padding=self.padding)
        return y.unflatten(1, (-1, self.orientations))


class OrientationPool(nn.Module):
    """Responses (n, c, orientations, h, w) to a vector field (n, c, 2, h, w).

    The vector's length is the largest response, cut at zero; its direction is the orientation that attains it.
    Source: Marcos et al. 2017, Section 3 (orientation pooling).
    """

    directions: Tensor

    def __init__(self, orientations: int = 17) -> None:
        super().__init__()
        angle = 2 * math.pi * torch.arange(orientations, dtype=torch.float64) / orientations
        directions = torch.stack((angle.cos(), angle.sin()))
        self.register_buffer("directions", directions.to(torch.get_default_dtype()), persistent=False)

    def forward(self, y: Tensor) -> Tensor:
        """Pool the third axis into two components."""
        length, k = y.max(2)
        length = length.relu()
        return torch.stack((length * self.directions[0][k], length * self.directions[1][k]), 2)


class Magnitude(nn.Module):
    """Lengths (n, c, h, w) of a vector field (n, c, 2, h, w); the gradient at a zero vector is zero."""

    def forward(self, field: Tensor) -> Tensor:
        """Euclidean length over the third axis."""
        return torch.linalg.vector_norm(field, dim=2)


class VectorMaxPool(nn.Module):
    """The longest vector of every 2x2 window: (n, c, 2, h, w) to (n, c, 2, h // 2, w // 2)."""

    def forward(self, field: Tensor) -> Tensor:
        """Pool the last two axes."""
        with torch.no_grad():  # only the places are needed; the gradient flows through the gathered vectors
            _, place = F.max_pool2d(field.square().sum(2), 2, return_indices=True)
        pooled = field.flatten(-2).gather(-1, place.flatten(-2)[:, :, None].expand(-1, -1, 2, -1))
        return pooled.unflatten(-1, place.shape[-2:])


class VectorBatchNorm(nn.Module):
    """Divide a vector field by the standard deviation of its lengths, per channel; directions stay.

    In training the deviation over batch and plane, otherwise the running one (momentum 0.1, as torch's batch norm).
    One learned scale per channel and no shift, which would break equivariance. Source: Marcos et al. 2017, Section 3.
    """

    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def reset_parameters(self) -> None:
        """Scale and running deviation as before any training: 1."""
        nn.init.ones_(self.weight)
        nn.init.ones_(self.running_var)

    def forward(self, field: Tensor) -> Tensor:
        """Same shape as the input (n, c, 2, h, w)."""
        if self.training:
            var = torch.linalg.vector_norm(field, dim=2).var((0, 2, 3), correction=0)
            with torch.no_grad():
                self.running_var.lerp_(var, self.momentum)
        else:
            var = self.running_var
        return field * (self.weight / (var + self.eps).sqrt())[:, None, None, None]


class RotEqNet(nn.Sequential):
    """Three rotating 9x9 convolutions (6, 16, 32 vector fields), then the lengths through a two-layer 1x1 head.

    Input (n, in_channels, 28, 28), already normalised; output (n, classes) logits. Sides 28, 14, 7, 1: the third
    convolution (padding 1) covers the whole plane, so logits are invariant as far as 17 orientations and the
    interpolation of filters allow. Head: 1x1 convolution to 128, ReLU, batch norm, dropout, 1x1 convolution to classes.

    Source: Marcos et al., "Rotation equivariant vector field networks", ICCV 2017, their network for rotated MNIST.
    Departures: bicubic filters, no averaging over rotated copies at test time. Raises ValueError for counts below one.
    """

    def __init__(
        self, in_channels: int = 1, classes: int = 10, *, orientations: int = 17, dropout: float = 0.7
    ) -> None:
        checks.count(in_channels, "in_channels")
        checks.count(classes, "classes")
        checks.count(orientations, "orientations", 2)
        k = orientations
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            rotconv1=RotConv(in_channels, 6, padding=4, field=False, orientations=k),
            orient1=OrientationPool(k),
            pool1=VectorMaxPool(),
            norm1=VectorBatchNorm(6),
            rotconv2=RotConv(6, 16, padding=4, field=True, orientations=k),
            orient2=OrientationPool(k),
            pool2=VectorMaxPool(),
            norm2=VectorBatchNorm(16),
            rotconv3=RotConv(16, 32, padding=1, field=True, orientations=k),
            orient3=OrientationPool(k),
            magnitude=Magnitude(),
            conv4=nn.Conv2d(32, 128, 1),
            relu4=nn.ReLU(),
            norm4=nn.BatchNorm2d(128),
            dropout=nn.Dropout(checks.in_range(dropout, 0, 1, "dropout")),
            conv5=nn.Conv2d(128, classes, 1),
            flatten=nn.Flatten(),
        )
        super().__init__(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of normalised images (n, in_channels, 28, 28)."""
        return super().forward(x)
