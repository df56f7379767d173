"""The resampling network against Pillow, and the images that it is tried on."""

import numpy as np
import pytest
import torch
from PIL import Image

from uapkit import lab, models
from uapkit.lab.identity import identity
from uapkit.papers.jetley2018.resampling import (
    Resampled,
    attacked,
    defended,
    images_of,
    random_directions,
    side_of,
)


@pytest.mark.parametrize("side", [7, 13, 20])
def test_resampling_is_pillows_bicubic(side):
    x = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(side))
    low = Image.fromarray(x[0, 0].numpy(), mode="F").resize((side, side), Image.Resampling.BICUBIC)
    there = np.asarray(low.resize((28, 28), Image.Resampling.BICUBIC))
    ours = Resampled(torch.nn.Flatten(), side).resampled(x)[0, 0].numpy()
    assert np.abs(ours - there).max() < 1e-5


def test_resampling_keeps_constants_and_its_own_size_and_passes_gradients():
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low = Resampled(torch.nn.Flatten(), 5)
    assert torch.equal(Resampled(torch.nn.Flatten(), 16).resampled(x), x)
    assert torch.allclose(low.resampled(torch.full_like(x, 0.3)), torch.full_like(x, 0.3), atol=1e-6)
    v = torch.rand_like(x)
    image, pull = torch.func.vjp(low.resampled, x)
    assert torch.allclose((image * v).sum(), (x * pull(v)[0]).sum(), rtol=1e-6), "linear: the gradient is its adjoint"


def test_defended_network_is_a_model():
    low = defended(models.load("mlp_digits"), 9)
    assert low(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert not low.training


def test_each_size_is_a_network_of_its_own():
    net = models.load("mlp_digits")
    assert identity(Resampled(net, 7)) == identity(Resampled(net, 7)) != identity(Resampled(net, 8))


def test_only_images_that_deepfool_fools_are_kept():
    bench = lab.Bench("digits", 1, 0, 20, seed=1)
    few, all_of_them = (attacked(bench, "mlp_digits", steps) for steps in (1, 50))
    assert (len(all_of_them.images), all_of_them.share) == (20, 1)
    assert 0 < len(few.images) < 20, "one step does not reach every boundary"
    assert few.share == len(few.images) / 20 == len(few.r) / 20
    assert side_of(100, few.images) == 12
    with pytest.raises(ValueError, match="n_eval"):
        attacked(lab.Bench("digits", 1, 0, 1), "mlp_digits", 50)


def test_pictures_of_a_folder_are_cropped_to_the_networks_input(tmp_path):
    pixels = np.arange(40, dtype=np.uint8)[None].repeat(30, 0) * 6  # a ramp from left to right, wider than it is high
    for k in range(3):
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    bench = lab.Bench(str(tmp_path), 1, 0, 2)
    (name,) = bench.names([models.wrap(torch.nn.Flatten(), input_size=(3, 28, 28), name="mine")])
    found = images_of(bench, name).x
    assert found.shape == (2, 3, 28, 28)
    assert float(found[0, 0, 0, 0]) > 4 * 6 / 255, "the middle is kept, not the left edge"


def test_random_directions_have_the_norms_of_the_attacks():
    r = torch.rand(5, 1, 4, 4)
    v = random_directions(r, seed=0)
    assert torch.allclose(v.flatten(1).norm(dim=1), r.flatten(1).norm(dim=1))
    assert not torch.allclose(v[0], v[1])
