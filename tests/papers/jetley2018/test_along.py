"""Directions of curvature and the walk along them."""

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import lab, models
from uapkit.figures.style import look
from uapkit.intervals import Rate
from uapkit.lab import Run
from uapkit.papers.jetley2018.along import claims_over_walk, direction, positions, scores_along
from uapkit.papers.jetley2018.subspaces import Curved


@pytest.fixture(scope="module")
def found():
    bench = lab.Bench("digits", 120, 0, 10, 0, from_training=True)
    return Curved(bench, 12, k=3).curvatures("mlp_digits", 3)


def test_directions_where_only_the_ends_are_known(found):
    shape = (1, 28, 28)
    with pytest.raises(ValueError, match="whole eigenbasis"):
        direction(found, "flat", shape)  # what is orthogonal to both ends is not flat but random
    ends = found.vectors
    assert np.isnan(direction(found, "random", shape)[1])
    negative, value = direction(found, "negative", shape)
    assert torch.equal(negative.flatten(), ends[:, -1] / ends[:, -1].norm())
    assert value == float(found.values[-1])
    second, value = direction(found, "positive", shape, rank=2)
    assert torch.equal(second.flatten(), ends[:, 1] / ends[:, 1].norm())
    assert not torch.equal(direction(found, "random", shape, seed=1)[0], direction(found, "random", shape, seed=2)[0])
    with pytest.raises(ValueError, match="kind of direction"):
        direction(found, "upward", shape)
    assert look("positive") != look("negative")


WALK = {  # rates of a kind at s = -2, -1, 0, 1, 2, of 100 images each of two classes
    "positive": (0.9, 0.6, 0.0, 0.1, 0.2),
    "random": (0.3, 0.1, 0.0, 0.0, 0.1),
}


def walk(vouched=True, **rates):
    """A run of one network, two classes alike, whose directions are vouched for or not."""
    about = {"model": "net", "rank": 1, "n": 100, "converged": True, "overlap_halves": 0.5 if vouched else 0.2}
    rows = [
        {**about, "target": target, "kind": kind, "s": s, "rate": rate}
        for target in (0, 1)
        for kind, values in (WALK | rates).items()
        for s, rate in zip((-2, -1, 0, 1, 2), values, strict=True)
    ]
    return Run.of(pd.DataFrame(rows))


def told(run, sense=">", bound=0.5):
    claims = claims_over_walk(run, "positive", ("rate", ["n"], False), ("beside", sense), ("far", sense, bound))
    return {(one.name, one.network): one for one in claims}


def test_a_walk_is_judged_as_a_whole_and_beside_a_random_direction():
    found = told(walk())
    left, right = (found["far", f"net (s {side} 0)"] for side in "<>")
    assert (left.found.value, left.found.n, left.null.value) == (0.9, 200, 0.3)
    assert right.found.value == 0.2
    middle = told(walk(positive=(0.2, 0.9, 0, 0, 0)))["far", "net (s < 0)"]
    assert middle.found.value == 0.9, "the furthest place of the way, not its end"
    beside = found["beside", "net (s < 0)"]
    assert beside.found.value == pytest.approx(0.75)
    null = [Rate.of(round(200 * rate), 200).high for rate in (0.3, 0.1)]
    assert beside.bound == pytest.approx(sum(null) / 2), "above the whole interval of the random direction"
    calm = told(walk(), sense="<", bound=0.05)
    assert calm["far", "net (s < 0)"].found.value == pytest.approx(0.75), "a rate that should be small: its mean"
    assert calm["beside", "net (s < 0)"].bound < 0.2


def test_directions_that_other_images_do_not_have_decide_nothing():
    assert not told(walk(vouched=False))
    unsure = walk().table.assign(converged=False)
    assert not told(Run.of(unsure))


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
