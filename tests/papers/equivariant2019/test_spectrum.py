"""Moments, shares and angles have known answers; the jackknife is Student's interval of the groups."""

import math

import pytest
import torch

from uapkit.papers.equivariant2019 import spectrum
from uapkit.spectra import random_directions


def test_moments_do_not_depend_on_the_blocks():
    rows = random_directions(50, 8, 0)
    assert torch.allclose(spectrum.moments(rows, 7).sum(0), rows.double().T @ rows.double(), atol=1e-6)


def test_jackknife_of_a_mean_is_students_interval_of_the_groups():
    x = torch.randn(40, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 2
    parts = torch.stack([part.sum() for part in x.tensor_split(10)])[:, None, None]
    counts = torch.full((10, 1, 1), 4.0, dtype=torch.float64)
    value, low, high, error = spectrum.jackknife(lambda s, n: (s / n).numpy().ravel(), parts, counts)
    groups = parts.ravel() / 4
    assert value[0] == pytest.approx(float(x.mean()))
    assert error[0] == pytest.approx(float(groups.std() / math.sqrt(10)))
    assert low[0] < value[0] < high[0]


def test_shares_angles_and_dots_of_planted_subspaces():
    a, b = torch.zeros(6, 6, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64)
    a.diagonal().copy_(torch.tensor([4.0, 3, 2, 1, 0, 0]))
    b.diagonal().copy_(torch.tensor([0.0, 5, 0, 0, 3, 2]))
    assert spectrum.shares(a, 3) == pytest.approx([0.4, 0.7, 0.9])
    assert spectrum.angles(a, b, 2) == pytest.approx([90, 0], abs=1e-6), "they share the second axis"
    assert spectrum.mean_dots(a, b, [1, 2]) == pytest.approx([0, 0.25], abs=1e-9)


def test_held_out_share_is_not_inflated_by_few_rows():
    rows = random_directions(40, 400, 0)
    share, low, high = spectrum.top_share(rows, 5)
    assert low < share < high
    assert share > 0.1, "in sample five directions hold much of forty random rows"
    assert spectrum.held_out_share(spectrum.moments(rows), 5) == pytest.approx(5 / 400, abs=0.01)


def test_principal_subspace_holds_99_per_cent_with_the_fewest_directions():
    scale = torch.tensor([10.0, 3.0, 1.0, 0.1, 0.01])
    rows = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0)) * scale
    basis = spectrum.principal_subspace(rows)
    energy = [float((rows.double() @ basis[:, :m]).square().sum() / rows.double().square().sum()) for m in (1, 2)]
    assert basis.shape == (5, 2)
    assert energy[0] < 0.99 <= energy[1]
