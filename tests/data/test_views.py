import pytest
import torch

from uapkit.data.views import crops, viewed

X = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_view_is_drawn_by_its_seed_and_leaves_other_draws_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = viewed(crops(16), X, 1, "pass 1")
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first, viewed(crops(16), X, 1, "pass 1"))
    assert not torch.equal(first, viewed(crops(16), X, 1, "pass 2"))
    assert not torch.equal(first, viewed(crops(16), X, 2, "pass 1"))
    assert first.shape == X.shape
    assert 0 <= float(first.min()) <= float(first.max()) <= 1


def test_each_image_has_its_own_view():
    same = X[:1].expand(4, -1, -1, -1)
    out = viewed(crops(16), same, 0, "one")
    assert all(not torch.equal(out[0], other) for other in out[1:])


def test_views_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match=r"shape of its image, \(3, 16, 16\), got \(3, 8, 16\)"):
        viewed(lambda image: image[:, ::2], X, 0, "x")
    with pytest.raises(ValueError, match="leave normalisation out"):
        viewed(lambda image: image - 0.5, X, 0, "x")
