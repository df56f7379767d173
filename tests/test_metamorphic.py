"""What must not matter does not matter: order and repetition of images, margins, scale and offset of logits, channels.

Each relation is checked for every algorithm, on a smooth network in float64, so that only rounding may differ.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Plain, matrix, vector
from torch import nn

from uapkit import attacks, curvature, evaluate, fourier, intervals, models, spectra, subspace
from uapkit.operators import JacobianOperator
from uapkit.singular import pq_singular

CHANNELS, SIDE, CLASSES, N = 3, 6, 5, 8
ORDER = torch.tensor([5, 2, 7, 0, 3, 6, 1, 4])
TURN = [2, 0, 1]  # of channels


class Net(nn.Module):
    """Smooth; with margins it looks at the middle only, and it takes its channels, logits and offset as told."""

    def __init__(self, scale=1.0, offset=0.0, margin=0, turn=None):
        super().__init__()
        made = torch.Generator().manual_seed(4)
        self.body = nn.Sequential(nn.Conv2d(CHANNELS, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(96, CLASSES)).double()
        for p in self.body.parameters():
            p.data = torch.randn(p.shape, generator=made, dtype=torch.float64) * 0.4
        self.scale, self.offset, self.margin, self.turn = scale, offset, margin, turn

    def inner(self, x):
        if self.margin:
            x = x[:, :, self.margin : -self.margin, self.margin : -self.margin]
        return self.body[:3](x if self.turn is None else x[:, self.turn])

    def forward(self, x):
        return self.scale * self.body[3](self.inner(x)) + self.offset


def net(**how):
    return models.wrap(Net(**how).eval(), input_size=None)


def images(margin=0, turn=None):
    """What the network ``Net(margin=..., turn=...)`` sees as the images of ``Net()``."""
    x = torch.rand(N, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if turn is not None:
        x = x[:, [turn.index(c) for c in range(CHANNELS)]]
    return nn.functional.pad(x, [margin] * 4, value=0.5)


def middle(v, margin):
    """The part of a direction inside the margins; what stands in them must be zero."""
    inside = v[..., margin:-margin, margin:-margin]
    assert float(v.abs().sum() - inside.abs().sum()) == pytest.approx(0, abs=1e-12)
    return inside


DEEPFOOL = {"num_classes": CLASSES, "max_iter": 30}
BY_IMAGE = {
    "deepfool": lambda m, x: attacks.deepfool(m, x, **DEEPFOOL).r,
    "deepfool linf": lambda m, x: attacks.deepfool(m, x, norm=math.inf, **DEEPFOOL).r,
    "loss_gradient": attacks.loss_gradient,
    "saliency": attacks.saliency,
    "fgsm": lambda m, x: attacks.fgsm(m, x, eps=0.01),
}


def layer_of(model):
    return (
        model.module.inner if hasattr(model, "module") else next(p for p in model.modules() if isinstance(p, Net)).inner
    )


def jacobian_vector(m, x, p=2, q=2):
    return attacks.singular_uap(m, x, layer=layer_of(m), p=p, q=q, norm=2, eps=1.0, max_iter=400, seed=0)


FOR_ALL = {
    "singular_uap": lambda m, x: jacobian_vector(m, x).v,
    "svd_uap": lambda m, x: attacks.svd_uap(m, x, eps=1.0).v,
    "svd_uap deepfool": lambda m, x: attacks.svd_uap(m, x, directions="deepfool", eps=1.0).v,
    "curvature": lambda m, x: curvature.principal_curvatures(
        m, x, target=int(m(x).argmax(1)[0]), k=1, step=None, method="dense"
    ).vectors[:, 0],
}


def same(a, b, signed=True, **tolerance):
    a, b = a.flatten(), b.flatten()
    if not signed and float(a @ b) < 0:
        b = -b
    assert torch.allclose(a, b, **({"rtol": 1e-6, "atol": 1e-8} | tolerance)), float((a - b).abs().max())


@pytest.mark.parametrize("name", BY_IMAGE)
def test_of_a_direction_for_each_image(name):
    find, x = BY_IMAGE[name], images()
    plain = find(net(), x)
    same(find(net(), x[ORDER]), plain[ORDER])
    same(find(net(), torch.cat([x, x])), torch.cat([plain, plain]))
    same(find(net(offset=7.0), x), plain)
    same(middle(find(net(margin=2), images(margin=2)), 2), plain)
    same(find(net(turn=TURN), images(turn=TURN))[:, TURN], plain)


@pytest.mark.parametrize("name", ["deepfool", "deepfool linf"])
def test_deepfool_does_not_see_the_scale_of_logits(name):
    same(BY_IMAGE[name](net(scale=13.0), images()), BY_IMAGE[name](net(), images()))


def test_a_class_score_scales_with_the_logits():
    same(attacks.saliency(net(scale=13.0), images()), 13 * attacks.saliency(net(), images()))


@pytest.mark.parametrize("name", FOR_ALL)
def test_of_one_direction_for_all_images(name):
    find, x = FOR_ALL[name], images()
    plain = find(net(), x)
    loose = {"rtol": 1e-3, "atol": 1e-4}
    same(find(net(), x[ORDER]) if name != "curvature" else plain, plain, signed=False, **loose)
    same(find(net(), torch.cat([x, x])), plain, signed=False, **loose)
    same(find(net(offset=7.0), x), plain, signed=False, **loose)
    if name != "svd_uap":  # the softmax of scaled logits has other gradients
        same(find(net(scale=3.0), x), plain, signed=False, **loose)
    if name != "curvature":  # it is asked at the image's own size
        same(middle(find(net(margin=2), images(margin=2)), 2), plain, signed=False, **loose)
    turned = find(net(turn=TURN), images(turn=TURN)).reshape(CHANNELS, SIDE, SIDE)
    same(turned[TURN], plain.reshape(CHANNELS, SIDE, SIDE), signed=False, **loose)


def test_uap_sees_neither_offset_nor_scale_nor_channels():
    """Its order of images is part of the algorithm; these are not."""

    def found(m, x):
        return attacks.uap(m, x, norm=2, eps=0.6, target_rate=1.0, max_passes=2, num_classes=CLASSES, seed=3).v

    plain = found(net(), images())
    assert float(plain.norm()) > 0
    same(found(net(offset=7.0), images()), plain)
    same(found(net(scale=13.0), images()), plain)
    same(found(net(turn=TURN), images(turn=TURN))[TURN], plain)
    same(middle(found(net(margin=2), images(margin=2)), 2), plain)


def test_a_singular_value_counts_repeated_images_and_scale():
    x = images()
    plain = jacobian_vector(net(), x).made_by["singular_value"]
    assert jacobian_vector(net(), torch.cat([x, x])).made_by["singular_value"] == pytest.approx(plain * math.sqrt(2))
    logits = pq_singular(JacobianOperator(net(), x), p=2, q=3, seed=0, max_iter=300).value
    scaled = pq_singular(JacobianOperator(net(scale=5.0, offset=2.0), x), p=2, q=3, seed=0, max_iter=300).value
    assert scaled == pytest.approx(5 * logits, rel=1e-6)
    repeated = pq_singular(JacobianOperator(net(), torch.cat([x, x])), p=2, q=3, seed=0, max_iter=300).value
    assert repeated == pytest.approx(logits * 2 ** (1 / 3), rel=1e-6)


def test_rates_see_neither_order_nor_repetition_nor_what_keeps_labels():
    x = images()
    v = torch.randn(CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(9), dtype=torch.float64) * 0.3
    plain = evaluate.fooling_rate(net(), x, v)
    assert 0 < plain.hits < N
    assert evaluate.fooling_rate(net(), x[ORDER], v) == plain
    twice = evaluate.fooling_rate(net(), torch.cat([x, x]), v)
    assert (twice.hits, twice.n) == (2 * plain.hits, 2 * N)
    assert evaluate.fooling_rate(net(scale=13.0, offset=-4.0), x, v) == plain
    turned = v[[TURN.index(c) for c in range(CHANNELS)]]
    assert evaluate.fooling_rate(net(turn=TURN), images(turn=TURN), turned) == plain
    padded = nn.functional.pad(v, [2] * 4, value=9.0)
    assert evaluate.fooling_rate(net(margin=2), images(margin=2), padded) == plain


def test_spectra_see_neither_order_nor_signs_nor_length_of_rows():
    rows = torch.randn(20, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    plain = spectra.top_singular(spectra.direction_matrix(rows), 3)
    for other in (rows.flip(0), -rows, rows * torch.rand(20, 1, dtype=torch.float64) + 0 * rows):
        found = spectra.top_singular(spectra.direction_matrix(other), 3)
        same(found.values, plain.values)
        same(found.vectors, plain.vectors)
    turned = spectra.top_singular(spectra.direction_matrix(rows[:, [*range(6, 12), *range(6)]]), 3)
    same(turned.values, plain.values)


def test_products_see_order_repetition_scale_offset_and_channels():
    """The Jacobian's rows belong to images, its columns to pixels: products follow them, and nothing else."""
    x, made = images(), torch.Generator().manual_seed(3)
    v = torch.randn(CHANNELS, SIDE, SIDE, generator=made, dtype=torch.float64)
    plain = JacobianOperator(net(), x)
    out = plain.matvec(v.flatten()).view(N, CLASSES)
    w = torch.randn(N, CLASSES, generator=made, dtype=torch.float64)
    back = plain.rmatvec(w.flatten()).view_as(v)
    turned = JacobianOperator(net(), x[ORDER])
    same(turned.matvec(v.flatten()), out[ORDER])
    same(turned.rmatvec(w[ORDER].flatten()), back)
    twice = JacobianOperator(net(), torch.cat([x, x]))
    same(twice.matvec(v.flatten()), torch.cat([out, out]))
    same(twice.rmatvec(torch.cat([w, w]).flatten()), 2 * back)
    same(JacobianOperator(net(scale=5.0, offset=3.0), x).matvec(v.flatten()), 5 * out)
    inner = JacobianOperator(net(turn=TURN), images(turn=TURN)).rmatvec(w.flatten()).view_as(v)
    same(inner[TURN], back)
    padded = JacobianOperator(net(margin=2), images(margin=2)).rmatvec(w.flatten())
    same(middle(padded.view(CHANNELS, SIDE + 4, SIDE + 4), 2), back)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), p=st.sampled_from([1.5, 2, 3, math.inf]), q=st.sampled_from([1, 2, 5, 10]))
def test_the_power_method_sees_neither_order_nor_signs_nor_zeros_of_rows(seed, p, q):
    a, start = matrix(seed, 7, 5), vector(seed + 1, 5)
    rows, columns = torch.randperm(7, generator=torch.Generator().manual_seed(seed)), torch.tensor([3, 0, 4, 2, 1])
    signs = torch.tensor([1.0, -1, 1, -1, -1, 1, 1], dtype=torch.float64)
    plain = pq_singular(Plain(a), p=p, q=q, v0=start, max_iter=8)
    for other, at, factor in (
        (a[rows], slice(None), 1),
        (a * signs[:, None], slice(None), 1),
        (torch.cat([a, torch.zeros_like(a)]), slice(None), 1),
        (-3 * a, slice(None), 3),
        (a[:, columns], columns, 1),
        (torch.cat([a, a]), slice(None), 2 ** (1 / q)),
    ):
        found = pq_singular(Plain(other), p=p, q=q, v0=start[at], max_iter=8)
        both = list(zip(found.history, plain.history, strict=False))  # rounding may end one a step earlier
        assert len(both) >= max(map(len, (found.history, plain.history))) - 2
        assert [a for a, _ in both] == pytest.approx([factor * b for _, b in both], rel=1e-8)
        assert found.value == pytest.approx(factor * plain.value, rel=1e-8)
        same(found.v, plain.v[at], atol=1e-5)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 4))
def test_subspaces_see_neither_basis_nor_common_rotation(seed, k):
    u, w, turn = matrix(seed, 9, k), matrix(seed + 1, 9, 3), subspace.orthonormal(matrix(seed + 2, 9, 9))
    plain, x = subspace.principal_angles(u, w), matrix(seed + 3, 4, 9)
    mix = matrix(seed + 4, k, k) + 4 * torch.eye(k, dtype=torch.float64)
    assert subspace.principal_angles(u @ mix, -w.flip(1)) == pytest.approx(plain, abs=1e-4)
    assert subspace.principal_angles(turn @ u, turn @ w) == pytest.approx(plain, abs=1e-4)
    wider = [torch.cat([m, torch.zeros(3, m.shape[1], dtype=m.dtype)]) for m in (u, w)]
    assert subspace.principal_angles(*wider) == pytest.approx(plain, abs=1e-4)
    onto = subspace.project(x, subspace.orthonormal(u))
    same(subspace.project(x, subspace.orthonormal(u @ mix)), onto)
    same(subspace.project(x @ turn.T, subspace.orthonormal(turn @ u)), onto @ turn.T)


def test_a_radial_spectrum_sees_neither_shift_nor_flip_nor_sign_nor_channels():
    v = torch.randn(CHANNELS, 12, 12, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    frequency, power = fourier.radial_spectrum(v)
    for other in (v.roll((3, 5), (1, 2)), v.flip(2), v.mT, -v, v + 0.7, v[TURN], torch.cat([v, v])):
        same(fourier.radial_spectrum(other)[0], frequency)
        same(fourier.radial_spectrum(other)[1], power)
    same(fourier.radial_spectrum(3 * v)[1], 9 * power)
    assert fourier.mean_wavelength(3 * v) == pytest.approx(fourier.mean_wavelength(v))


def test_intervals_see_neither_order_nor_common_offset():
    a = torch.rand(40, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    plain = intervals.mean_interval(a)
    moved = intervals.mean_interval(a.flip(0) + 2)
    ends = [plain.value + 2, plain.low + 2, plain.high + 2]
    assert [moved.value, moved.low, moved.high] == pytest.approx(ends, abs=1e-12)
    flags = a > 0.6
    assert intervals.Rate.mean(flags) == intervals.Rate.mean(flags.flip(0))
    other = intervals.Rate.mean(~flags)
    one = intervals.Rate.mean(flags)
    assert (other.low, other.high) == (pytest.approx(1 - one.high), pytest.approx(1 - one.low))
