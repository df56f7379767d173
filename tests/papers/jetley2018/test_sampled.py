"""Spans among the pixels of images that are sampled down: with all of them the network sees the small images."""

import pytest
import torch

from uapkit import lab, models
from uapkit.papers.jetley2018 import sampled as item
from uapkit.papers.jetley2018.resampling import Resampled


@pytest.fixture(scope="module")
def found():
    bench = lab.Bench("digits", 60, 0, 80, 3, from_training=True)
    return item.rows_sampled_down(bench, "linear_digits", 50, (0.1, 1.0), (100,), 1)


def test_all_directions_are_the_small_images_themselves():
    net, mean = models.load("mlp_digits"), torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(0))
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    small = Resampled(net, 9)
    assert torch.allclose(item.SampledDown(net, torch.eye(81), mean, 9)(x), small(x), atol=1e-4)
    few = item.SampledDown(net, torch.eye(81)[:, :3], mean, 9)
    assert torch.allclose(few(mean[None]), small(mean[None]), atol=1e-4), "of the mean nothing is projected"
    assert not torch.allclose(few(x), small(x), atol=1e-2)


def test_the_curve_ends_at_the_accuracy_on_small_images(found):
    rows, arrays = found
    accuracy = {(row["kind"], row["share"]): row["accuracy"] for row in rows}
    whole = accuracy[item.IMAGES, 1.0]
    assert accuracy[item.FIRST, 1.0] == accuracy[item.CHANCE, 1.0] == whole > 0.5
    assert accuracy[item.CHANCE, 0.1] < accuracy[item.FIRST, 0.1] == pytest.approx(whole, abs=0.03)
    assert {row["d"] for row in rows if row["share"] == 1.0} == {144}, "twelve pixels by twelve"
    flags = arrays[f"right/linear_digits/{item.FIRST}/100/0.1"]
    assert flags.mean() == pytest.approx(accuracy[item.FIRST, 0.1])
