"""The three networks of paper E: what is equivariant is so to machine precision, and the table's numbers are met."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from uapkit.models.nets.gcnn import GCNN, P4ConvP4, P4ConvZ2, P4MaxPool
from uapkit.models.nets.roteqnet import (
    Magnitude,
    OrientationPool,
    RotConv,
    RotEqNet,
    VectorBatchNorm,
    VectorMaxPool,
    rotation_matrices,
)
from uapkit.models.nets.stdcnn import StdCNN
from uapkit.seeds import generator

EXACT = 1e-12  # float64, features of order one


@pytest.fixture
def double() -> Iterator[None]:
    """Networks built inside are float64, their precomputed filters included."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed, "test_images"), dtype=torch.float64)


def built(make: Any, seed: int = 0, **kwargs: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(**kwargs).eval()


def upto(net: nn.Module, layer: str) -> nn.Sequential:
    """The layers up to and including ``layer``."""
    names = [name for name, _ in net.named_children()]
    return nn.Sequential(*list(net.children())[: names.index(layer) + 1])


def turned_p4(y: Tensor, r: int) -> Tensor:
    """What rotating the input by r * 90 degrees must do to a p4 map."""
    return torch.rot90(y, r, (-2, -1)).roll(r, 2)


def turned_field(field: Tensor, quarter: int) -> Tensor:
    """A vector field (n, c, 2, h, w) rotated by quarter turns from x to y (y points down)."""
    moved = torch.rot90(field, quarter, (-1, -2))
    c, s = round(math.cos(quarter * math.pi / 2)), round(math.sin(quarter * math.pi / 2))
    return torch.stack((c * moved[:, :, 0] - s * moved[:, :, 1], s * moved[:, :, 0] + c * moved[:, :, 1]), 2)


# --- GCNN ---


@settings(max_examples=25, deadline=None)
@given(side=st.integers(5, 14), r=st.integers(1, 3), seed=st.integers(0, 99))
def test_p4_convolutions_commute_with_quarter_turns_on_any_grid(side: int, r: int, seed: int) -> None:
    first = built(P4ConvZ2, seed, in_channels=2, out_channels=3, kernel_size=3).double()
    second = built(P4ConvP4, seed, in_channels=3, out_channels=2, kernel_size=3).double()
    x = noise(2, 2, side, side, seed=seed)
    y, y_turned = first(x), first(torch.rot90(x, r, (-2, -1)))
    torch.testing.assert_close(y_turned, turned_p4(y, r), rtol=0, atol=EXACT)
    torch.testing.assert_close(second(y_turned), turned_p4(second(y), r), rtol=0, atol=EXACT)
    assert (second(y) - turned_p4(second(y), r)).abs().max() > 1e-3  # the maps themselves do change


@pytest.mark.parametrize("size", [28, 20])  # every pooling sees an even side: 26 and 10, or 18 and 6
@pytest.mark.parametrize("r", [1, 2, 3])
def test_gcnn_is_equivariant_at_every_layer(size: int, r: int) -> None:
    net = built(GCNN, size=size).double()
    x = noise(2, 1, size, size)
    y, z = x, torch.rot90(x, r, (-2, -1))
    seen = 0
    for name, layer in net.named_children():
        if name == "flatten":
            break
        y, z = layer(y), layer(z)
        torch.testing.assert_close(z, turned_p4(y, r), rtol=0, atol=EXACT)
        seen += 1
    assert seen == 10


def test_p4_pooling_of_an_odd_grid_is_not_equivariant_because_it_drops_one_edge() -> None:
    y = noise(1, 2, 4, 5, 5)
    assert not torch.equal(P4MaxPool()(turned_p4(y, 1)), turned_p4(P4MaxPool()(y), 1))
    assert torch.equal(P4MaxPool()(turned_p4(y[..., :4, :4], 1)), turned_p4(P4MaxPool()(y[..., :4, :4]), 1))


@pytest.mark.parametrize("kind", [True, "max", "mean"])
def test_pooling_over_rotations_leaves_a_plane_that_only_turns(kind: bool | str) -> None:
    net = built(GCNN, pool_rotations=kind).double()
    plane = upto(net, "pool_rotations")
    x = noise(2, 1, 28, 28)
    y = plane(x)
    assert y.shape == (2, 20, 4, 4)
    torch.testing.assert_close(plane(torch.rot90(x, 1, (-2, -1))), torch.rot90(y, 1, (-2, -1)), rtol=0, atol=EXACT)


def test_p4_convolution_equals_its_definition() -> None:
    """y_r(p) = b + sum over i, s, q of x_s(p + q) w_{s-r}(rotated back by r quarter turns), by plain loops."""
    conv = built(P4ConvP4, in_channels=2, out_channels=1, kernel_size=3).double()
    x = noise(1, 2, 4, 3, 3)
    for r in range(4):
        total = conv.bias[0].detach().clone()
        for i in range(2):
            for s in range(4):
                w = conv.weight[0, i, (s - r) % 4]
                for row in range(3):
                    for column in range(3):
                        a, b = row, column
                        for _ in range(r):  # rot90 once: new[row, column] = old[column, 2 - row]
                            a, b = b, 2 - a
                        total = total + x[0, i, s, row, column] * w[a, b]
        torch.testing.assert_close(conv(x)[0, 0, r, 0, 0], total, rtol=0, atol=EXACT)


def test_parameters_and_widths_of_table_2() -> None:
    std, g, pooled = built(StdCNN), built(GCNN), built(GCNN, pool_rotations=True)
    assert (std.fc1.in_features, g.fc1.in_features, pooled.fc1.in_features) == (320, 1280, 320)

    def count(net: nn.Module, *layers: str) -> int:
        return sum(p.numel() for layer in layers for p in net.get_submodule(layer).parameters())

    convolutions = ("conv1", "conv2", "conv3", "conv4")
    assert count(std, *convolutions) == 100 + 910 + 1820 + 3620
    assert count(g, *convolutions) == 100 + (10 * 10 * 4 * 9 + 10) + (10 * 20 * 4 * 9 + 20) + (20 * 20 * 4 * 9 + 20)
    assert sum(p.numel() for p in std.parameters()) == 6450 + 320 * 50 + 50 + 510
    assert sum(p.numel() for p in g.parameters()) == 25350 + 1280 * 50 + 50 + 510


@pytest.mark.parametrize("make", [StdCNN, GCNN, RotEqNet])
def test_shapes_and_determinism(make: type[nn.Module]) -> None:
    x = noise(3, 1, 28, 28).float()
    net, twin, other = built(make, 5), built(make, 5), built(make, 6)
    assert net(x).shape == (3, 10)
    assert torch.equal(net(x), twin(x))
    assert not torch.equal(net(x), other(x))
    assert built(make, in_channels=3, classes=7)(noise(2, 3, 28, 28).float()).shape == (2, 7)
    assert list(net.state_dict()) == list(make().state_dict())  # nothing precomputed is stored


def test_planes_shrink_as_in_the_table() -> None:
    for net, sides in (
        (StdCNN(), {"conv1": 26, "conv2": 24, "pool1": 12, "conv3": 10, "conv4": 8, "pool2": 4}),
        (GCNN(), {"conv1": 26, "conv2": 24, "pool1": 12, "conv3": 10, "conv4": 8, "pool2": 4}),
        (RotEqNet(), {"rotconv1": 28, "pool1": 14, "rotconv2": 14, "pool2": 7, "rotconv3": 1}),
    ):
        x, found = torch.zeros(2, 1, 28, 28), {}
        for name, layer in net.named_children():
            x = layer(x)
            if name in sides:
                found[name] = x.shape[-1]
        assert found == sides


@pytest.mark.parametrize("make", [StdCNN, GCNN])
def test_bad_arguments_are_named(make: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="8 x 8 pixels are too small"):
        make(size=8)
    with pytest.raises(ValueError, match="classes"):
        make(classes=0)


def test_unknown_rotation_pooling_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="'mean'"):
        GCNN(pool_rotations="meen")


# --- RotEqNet ---


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("orientations", [4, 8])
@pytest.mark.parametrize("side", [12, 13])
def test_rotating_convolutions_commute_with_quarter_turns(orientations: int, side: int) -> None:
    """With a multiple of four orientations a quarter turn is exact: it permutes the orientations."""
    first = built(RotConv, in_channels=1, out_channels=3, padding=4, field=False, orientations=orientations)
    second = built(RotConv, in_channels=3, out_channels=2, padding=4, field=True, orientations=orientations)
    pool = OrientationPool(orientations)
    x = noise(2, 1, side, side)
    for quarter in (1, 2, 3):
        x_turned = torch.rot90(x, quarter, (-1, -2))
        y, y_turned = first(x), first(x_turned)
        shifted = torch.rot90(y, quarter, (-1, -2)).roll(quarter * orientations // 4, 2)
        torch.testing.assert_close(y_turned, shifted, rtol=0, atol=EXACT)
        field, field_turned = pool(y), pool(y_turned)
        torch.testing.assert_close(field_turned, turned_field(field, quarter), rtol=0, atol=EXACT)
        z, z_turned = second(field), second(field_turned)
        shifted = torch.rot90(z, quarter, (-1, -2)).roll(quarter * orientations // 4, 2)
        torch.testing.assert_close(z_turned, shifted, rtol=0, atol=1e-11)


@pytest.mark.usefixtures("double")
def test_logits_with_eight_orientations_are_invariant_under_quarter_turns() -> None:
    """28 -> 14 -> 7 pools even sides only; with 17 orientations a quarter turn is not among them."""
    net = built(RotEqNet, orientations=8)
    x = noise(2, 1, 28, 28)
    torch.testing.assert_close(net(torch.rot90(x, 1, (-2, -1))), net(x), rtol=1e-9, atol=1e-9)
    net = built(RotEqNet, orientations=17)
    assert (net(torch.rot90(x, 1, (-2, -1))) - net(x)).abs().max() > 1e-3


def smooth(n: int, side: int = 28, seed: int = 0) -> Tensor:
    """Sums of broad Gaussian bumps within the disc: rotating them by interpolation loses little."""
    g = generator(seed, "smooth_images")
    axis = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    radius = 6 * torch.rand(n, 5, generator=g, dtype=torch.float64).sqrt()
    angle = 2 * math.pi * torch.rand(n, 5, generator=g, dtype=torch.float64)
    height = torch.randn(n, 5, generator=g, dtype=torch.float64)

    def image(turn: float) -> Tensor:
        cx, cy = radius * (angle + turn).cos(), radius * (angle + turn).sin()
        d2 = (axis - cx[..., None, None]) ** 2 + (axis[:, None] - cy[..., None, None]) ** 2
        return (height[..., None, None] * (-d2 / (2 * 2.0**2)).exp()).sum(1, keepdim=True)

    return torch.stack([image(0.0), image(math.radians(20)), image(math.radians(73)), image(math.radians(145))])


@pytest.mark.usefixtures("double")
@torch.no_grad()
def test_roteqnet_is_nearly_equivariant_under_any_rotation() -> None:
    """Mean lengths of the fields at four depths, of smooth images turned exactly by 20, 73 and 145 degrees.

    Filters are smoothed, so that interpolation is not the limit; what remains is 17 orientations and the 2x2 pooling.
    Tolerances: share of the spread between different images. A plain network moves by more than the whole spread.
    """
    net = built(RotEqNet)
    axis = torch.arange(9.0)
    blur = torch.softmax(-(axis[:, None] - axis).square() / 2, 1)
    for module in net.modules():
        if isinstance(module, RotConv):
            module.weight.copy_(blur @ module.weight @ blur.T)
    images = smooth(6)

    def change(features: nn.Module) -> float:
        def summary(x: Tensor) -> Tensor:
            y = features(x)
            return (Magnitude()(y) if y.ndim == 5 else y).flatten(2).mean(2)

        upright, *turned = (summary(x) for x in images)
        spread = (upright - upright.mean(0)).norm(dim=1).mean()
        return max(float((t - upright).norm(dim=1).mean() / spread) for t in turned)

    for depth, tolerance in {"orient1": 0.01, "pool1": 0.06, "orient2": 0.1, "magnitude": 0.5}.items():
        assert change(upto(net, depth)) < tolerance, depth
    assert change(nn.Sequential(upto(built(StdCNN), "fc1"), nn.Unflatten(1, (-1, 1, 1)))) > 0.9


@pytest.mark.usefixtures("double")
def test_interpolation_matrices_are_rotations() -> None:
    size, k = 9, 8
    blocks = rotation_matrices(size, k).unflatten(0, (k, size**2))
    axis = torch.arange(size) - (size - 1) / 2
    disc = (axis.square() + axis.square()[:, None] <= (size / 2) ** 2).double().flatten()
    torch.testing.assert_close(blocks[0], torch.diag(disc), rtol=0, atol=EXACT)
    w = noise(size, size) * disc.view(size, size)
    quarter = (blocks[2] @ w.flatten()).view(size, size)
    torch.testing.assert_close(quarter, torch.rot90(w, 1, (-1, -2)), rtol=0, atol=EXACT)
    bump = torch.exp(-((axis - 1.5) ** 2 + (axis[:, None] - 0.5) ** 2) / (2 * 1.2**2))  # centre (1.5, 0.5)
    c = math.cos(math.pi / 4)
    moved = torch.exp(
        -((axis - c) ** 2 + (axis[:, None] - 2 * c) ** 2) / (2 * 1.2**2)
    )  # the centre turned by 45 degrees
    error = ((blocks[1] @ bump.flatten()) - moved.flatten())[disc.bool()]
    assert error.abs().max() < 0.03


def test_orientation_pooling_points_to_the_strongest_response_and_cuts_at_zero() -> None:
    y = torch.full((1, 2, 17, 1, 1), -1.0)
    y[0, 0, 5] = 3.0
    field = OrientationPool()(y)
    angle = 2 * math.pi * 5 / 17
    torch.testing.assert_close(field[0, 0, :, 0, 0], 3 * torch.tensor([math.cos(angle), math.sin(angle)]))
    assert torch.equal(field[0, 1], torch.zeros(2, 1, 1))


def test_vector_pooling_keeps_the_longest_vector_whole() -> None:
    field = noise(2, 3, 2, 6, 6)
    pooled = VectorMaxPool()(field)
    windows = field.unfold(3, 2, 2).unfold(4, 2, 2).flatten(-2)  # (n, c, 2, 3, 3, 4)
    best = windows.square().sum(2, keepdim=True).argmax(-1, keepdim=True).expand(-1, -1, 2, -1, -1, 1)
    assert torch.equal(pooled, windows.gather(-1, best)[..., 0])


def test_vector_batch_norm_scales_lengths_and_keeps_directions() -> None:
    norm = VectorBatchNorm(3, eps=0.0).double().train()
    field = noise(8, 3, 2, 5, 5) * torch.tensor([0.1, 1.0, 7.0], dtype=torch.float64)[:, None, None, None]
    out = norm(field)
    torch.testing.assert_close(Magnitude()(out).var((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(out / Magnitude()(out)[:, :, None], field / Magnitude()(field)[:, :, None])
    for _ in range(200):
        norm(field)
    torch.testing.assert_close(norm.eval()(field), out, rtol=1e-6, atol=1e-6)


def test_gradients_are_finite_where_all_vectors_vanish() -> None:
    x = torch.zeros(2, 1, 28, 28, requires_grad=True)
    built(RotEqNet)(x).sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("make", [StdCNN, GCNN, RotEqNet])
def test_forward_and_reverse_derivatives_agree(make: type[nn.Module]) -> None:
    net = built(make)
    x, v, w = noise(2, 1, 28, 28), noise(2, 1, 28, 28, seed=1), noise(2, 10, seed=2)
    pushed = torch.func.jvp(net, (x,), (v,))[1]
    pull = torch.func.vjp(net, x)[1]
    torch.testing.assert_close((pushed * w).sum(), (pull(w)[0] * v).sum(), rtol=1e-9, atol=1e-12)
