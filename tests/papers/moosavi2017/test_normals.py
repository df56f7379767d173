"""Minimal perturbations as paper M's items take them: DeepFool's own, and what a linear network must give."""

import pytest
import torch

from uapkit import models
from uapkit.attacks import deepfool
from uapkit.papers.moosavi2017.normals import all_values, minimal
from uapkit.papers.moosavi2017.setting import bench_of


def test_normals_of_a_linear_network_span_its_classes():
    """Each normal is a difference of two rows of the weights: rank at most classes - 1, whatever the images."""
    images = bench_of("digits", 80, 1).split("linear_digits").fit
    found = minimal(models.load("linear_digits"), images, k=20, n_groups=4)
    share = found.values[:9].square().sum() / found.values.square().sum()
    assert float(share) == pytest.approx(1, abs=1e-5)
    w = models.load("linear_digits").net.fc.weight
    basis = torch.linalg.qr((w[1:] - w[:1]).T)[0]
    first = found.vectors[0]
    assert float((basis @ (basis.T @ first) - first).norm()) < 1e-3


def test_minimal_keeps_deepfools_own_perturbations():
    images, net = bench_of("digits", 12, 1).split("mlp_digits").fit, models.load("mlp_digits")
    found, r = minimal(net, images, k=3, n_groups=2), deepfool(net, images.x)
    assert bool(r.success.all())
    assert torch.allclose(found.single, r.r.flatten(1)[:10], atol=1e-6)
    assert torch.allclose(found.total, r.r.sum(0).flatten(), atol=1e-5)
    assert torch.allclose(found.lengths, r.r.flatten(1).norm(dim=1), rtol=1e-5)
    with pytest.raises(ValueError, match="too few for n_groups = 13"):
        minimal(net, images, k=3, n_groups=13)


def test_all_values_are_singular_values():
    for shape in ((5, 9), (9, 5)):
        a = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(all_values(a), torch.linalg.svdvals(a.double()), atol=1e-8)
