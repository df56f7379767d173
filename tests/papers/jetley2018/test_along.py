"""Directions of curvature and the walk along them."""

import numpy as np
import pytest
import torch

from uapkit import lab, models
from uapkit.figures.style import look
from uapkit.papers.jetley2018.along import direction, positions, scores_along
from uapkit.papers.jetley2018.subspaces import Curved


@pytest.fixture(scope="module")
def found():
    bench = lab.Bench("digits", 120, 0, 10, 0, from_training=True)
    return Curved(bench, 12, k=3).curvatures("mlp_digits", 3)


def test_directions_where_only_the_ends_are_known(found):
    shape = (1, 28, 28)
    flat, value = direction(found, "flat", shape)
    ends = found.vectors
    assert float((ends.T @ flat.flatten()).abs().max()) < 1e-5
    assert np.isnan(value)
    negative, value = direction(found, "negative", shape)
    assert torch.equal(negative.flatten(), ends[:, -1] / ends[:, -1].norm())
    assert value == float(found.values[-1])
    second, value = direction(found, "positive", shape, rank=2)
    assert torch.equal(second.flatten(), ends[:, 1] / ends[:, 1].norm())
    assert not torch.equal(direction(found, "random", shape, seed=1)[0], direction(found, "random", shape, seed=2)[0])
    with pytest.raises(ValueError, match="kind of direction"):
        direction(found, "upward", shape)
    assert look("positive") != look("negative")


def test_scores_along_are_those_of_the_moved_images():
    net, x = models.load("mlp_digits"), torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    v = torch.full((1, 28, 28), 0.1)
    scores = scores_along(net, x, v, np.array([-2.0, 0.0]))
    assert scores.shape == (3, 2, 10)
    torch.testing.assert_close(scores[:, 0], net(x - 0.2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores[:, 1], net(x), atol=1e-5, rtol=1e-5)


def test_positions_hold_zero_and_count_the_papers_steps():
    s = positions((1, 28, 28), 10.0, 6)
    assert len(s) == 7
    assert s[3] == 0
    assert s[-1] == pytest.approx(10 * 0.546875)
    with pytest.raises(ValueError, match="reach"):
        positions((1, 28, 28), 0.0, 6)
