"""Images: what is held, what is refused, rotations and sizes with known answers."""

import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from uapkit import data
from uapkit.data import Images, as_tensor, rotation_angles
from uapkit.data.images import resize_steps


def some(n=6, c=1, h=8, w=8, seed=0):
    x = torch.rand(n, c, h, w, generator=torch.Generator().manual_seed(seed))
    return Images(x, torch.arange(n) % 3, ("a", "b", "c"), "made/test")


@pytest.mark.parametrize(
    "index", [slice(1, 4), [1, 2, 3], torch.tensor([1, 2, 3]), np.array([1, 2, 3]), torch.arange(6).clamp(1, 3).eq(0)]
)
def test_indexing_gives_images(index):
    images = some()
    if isinstance(index, torch.Tensor) and index.dtype == torch.bool:
        index = torch.tensor([False, True, True, True, False, False])
    part = images[index]
    assert isinstance(part, Images)
    assert torch.equal(part.x, images.x[1:4])
    assert part.y.tolist() == [1, 2, 0]
    assert (part.classes, part.name) == (images.classes, images.name)


def test_integers_and_loops():
    images = some()
    assert images[2].x.shape == images[-4].x.shape == (1, 1, 8, 8)
    assert torch.equal(images[-4].x, images.x[2:3])
    assert [int(one.y) for one in images] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(IndexError, match="image 6 asked for, the set has 6"):
        images[6]
    with pytest.raises(ValueError, match="empty"):
        images[4:4]


def test_sha256_is_that_of_shape_pixels_and_labels():
    images = some()
    by_hand = hashlib.sha256(b"(6, 1, 8, 8)" + images.x.numpy().tobytes() + images.y.numpy().tobytes()).hexdigest()
    assert images.sha256 == by_hand
    assert some().sha256 == by_hand
    assert Images(images.x, images.y).sha256 == by_hand  # names do not enter
    changed = images.x.clone()
    changed[3, 0, 2, 2] = 1 - changed[3, 0, 2, 2]
    others = [Images(changed, images.y), Images(images.x), Images(images.x, images.y + 1), images[:5]]
    assert len({by_hand, *(other.sha256 for other in others)}) == 5
    assert images.sha256[:12] in repr(images)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.full((2, 1, 4, 4), 1.01), ValueError, "allowed is"),
        (torch.full((2, 1, 4, 4), -0.01), ValueError, "allowed is"),
        (torch.full((2, 1, 4, 4), math.nan), ValueError, "not finite"),
        (torch.full((2, 1, 4, 4), math.inf), ValueError, "not finite"),
        (torch.zeros(1, 4, 4), ValueError, "shape"),
        (torch.zeros(0, 1, 4, 4), ValueError, "empty"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), TypeError, "divide bytes by 255"),
        (np.zeros((2, 1, 4, 4), np.float32), TypeError, "floating-point tensor"),
    ],
)
def test_bad_pixels_are_refused(x, error, message):
    for make in (Images, as_tensor):
        with pytest.raises(error, match=message):
            make(x)


def test_bad_labels_are_refused():
    for y in (torch.zeros(5, dtype=torch.long), torch.zeros(6), torch.zeros(6, 1, dtype=torch.long)):
        with pytest.raises(ValueError, match="one integer label an image"):
            Images(some().x, y)


@pytest.mark.parametrize("y", [[0] * 6, np.zeros(6, np.int64), 0])
def test_labels_that_are_no_tensor_are_refused(y):
    with pytest.raises(
        TypeError, match=r"y must be a tensor of one integer label an image, got .*; torch\.as_tensor makes"
    ):
        Images(some().x, y)


def test_whole_numbers_of_any_kind_are_counts():
    images = some()
    assert [len(b) for b in images.batches(4.0)] == [4, 2]
    assert [len(part) for part in images.split(2.0)] == [2, 4]
    assert torch.equal(images.resized(4.0).x, images.resized(4).x)
    assert torch.equal(rotation_angles(3.0, 90, seed=0), rotation_angles(3, 90, seed=0))
    with pytest.raises(ValueError, match=r"n must be an integer of at least 1, got 2\.5"):
        images.split(2.5)


def test_as_tensor_takes_both():
    images = some()
    assert as_tensor(images) is images.x
    assert as_tensor(images.x) is images.x


def test_split_and_batches_cover_the_set():
    images = some()
    first, rest = images.split(2)
    assert torch.equal(torch.cat([first.x, rest.x]), images.x)
    assert [len(b) for b in images.batches(4)] == [4, 2]
    for n in (0, 6, -1):
        with pytest.raises(ValueError, match=r"n must lie in \[1, 5\]"):
            images.split(n)


def test_float32_and_the_original_stays():
    x = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    assert Images(x).x.dtype == torch.float32
    images = some()
    before = images.x.clone()
    images.rotated(90, seed=0)
    images.resized(5)
    assert torch.equal(images.x, before)
    assert images.to("cpu").sha256 == images.sha256


@pytest.mark.parametrize(("h", "w"), [(8, 8), (7, 7)])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4, -1])
def test_quarter_turns_are_exact(h, w, quarters):
    images = some(h=h, w=w, c=3)
    turned = images.rotated([90.0 * quarters] * 6)
    assert torch.allclose(turned.x, torch.rot90(images.x, quarters, (2, 3)), atol=2e-6)


def test_oblong_images_turn_without_shear():
    images = some(h=10, w=20)
    assert torch.allclose(images.rotated([180.0] * 6).x, images.x.flip(2, 3), atol=1e-5)
    inner = images.x[:, :, :, 5:15]
    turned = images.rotated([90.0] * 6).x
    assert torch.allclose(turned[:, :, :, 5:15], torch.rot90(inner, 1, (2, 3)), atol=1e-5)
    assert turned[:, :, :, :5].abs().max() == 0  # zeros come in from outside


def test_each_image_turns_by_its_own_angle():
    images = some()
    angles = [0.0, 90.0, 17.0, -33.0, 180.0, 271.5]
    together = images.rotated(angles).x
    for i, angle in enumerate(angles):
        assert torch.allclose(together[i : i + 1], images[i].rotated([angle]).x, atol=1e-6)


def test_a_small_turn_moves_a_spot_counter_clockwise():
    x = torch.zeros(1, 1, 41, 41)
    x[0, 0, 20, 35] = 1.0  # to the right of the centre
    turned = Images(x).rotated([30.0]).x[0, 0]
    rows, columns = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    row, column = float((turned * rows).sum() / turned.sum()), float((turned * columns).sum() / turned.sum())
    assert row == pytest.approx(20 - 15 * math.sin(math.pi / 6), abs=0.2)
    assert column == pytest.approx(20 + 15 * math.cos(math.pi / 6), abs=0.2)


@given(degrees=st.floats(0, 180), seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_random_angles_are_in_range_nested_and_repeatable(degrees, seed):
    angles = rotation_angles(40, degrees, seed)
    assert angles.abs().max() <= degrees
    assert torch.equal(angles[:7], rotation_angles(7, degrees, seed))


def test_random_rotation_is_the_one_of_rotation_angles():
    images = some(n=40)
    theta = rotation_angles(40, 180, seed=3)
    assert torch.equal(images.rotated(180, seed=3).x, images.rotated(theta).x)
    assert not torch.equal(images.rotated(180, seed=4).x, images.rotated(theta).x)
    assert theta.min() < -90
    assert theta.max() > 90
    assert torch.equal(data.rotated(images, 180, 3).x, images.rotated(theta).x)


def test_bad_rotations_are_refused():
    with pytest.raises(ValueError, match="needs a seed"):
        some().rotated(30)
    with pytest.raises(ValueError, match=r"one angle an image is needed, shape \(6,\), got \(2,\)"):
        some().rotated([1.0, 2.0])
    with pytest.raises(ValueError, match="degrees must lie in"):
        some().rotated(-5, seed=0)


@pytest.mark.parametrize(
    ("size", "mode", "steps"),
    [
        (224, "crop", ((341, 256), False)),
        (227, "crop", ((341, 256), False)),
        (112, "crop", ((170, 128), False)),
        (299, "crop", ((456, 342), False)),
        (224, "squash", ((224, 224), True)),
        (224, "squash256", ((256, 256), True)),
    ],
)
def test_resize_steps(size, mode, steps):
    assert resize_steps(341, 256, size, mode) == steps


def test_resized_keeps_what_it_says():
    images = some(c=3, h=16, w=24)
    squashed = images.resized(8)
    assert squashed.shape == (3, 8, 8)
    expected = interpolate(images.x, (8, 8), mode="bicubic", antialias=True).clamp(0, 1)
    assert torch.equal(squashed.x, expected)
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    assert Images(ramp).resized(32, "crop").x.min() > 1 / 32  # the margins are gone
    assert Images(ramp).resized(32, "squash").x.min() < 1 / 32
    for mode in ("crop", "squash256"):
        assert images.resized(10, mode).shape == (3, 10, 10)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="unknown resize mode 'corp'; the nearest names are 'crop'"):
        some().resized(8, "corp")
    with pytest.raises(ValueError, match="size must be an integer of at least 1"):
        some().resized(0)
    with pytest.raises(ValueError, match="at most 4096, got 1000000"):
        some().resized(10**6)
