"""Pictures that turn at one angular frequency, and pictures that no rotation changes."""

import pytest
import torch

from uapkit.papers.equivariant2019.angular import angular_share, pictured, round_share


@pytest.mark.parametrize("m", [1, 2, 5])
def test_a_steerable_filter_has_one_angular_frequency(m):
    y, x = torch.meshgrid(*[torch.arange(28.0) - 13.5] * 2, indexing="ij")
    r, t = torch.hypot(x, y), torch.atan2(y, x)
    picture = (torch.exp(-((r - 8) ** 2) / 8) * torch.cos(m * t + 0.3))[None]
    share, found = angular_share(picture)
    assert found == m
    assert share > 0.97
    assert pictured(picture.flatten().numpy(), (1, 28, 28))["angular_frequency"] == m
    noise = torch.randn(1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert angular_share(noise)[0] < 0.5


def test_round_share_is_what_no_rotation_changes():
    y, x = torch.meshgrid(*[torch.arange(28.0) - 13.5] * 2, indexing="ij")
    ring, wave = torch.exp(-((torch.hypot(x, y) - 8) ** 2) / 8), torch.cos(2 * torch.atan2(y, x))
    assert round_share(ring[None]) > 0.99
    assert round_share((ring * wave)[None]) < 0.01
    half = round_share((ring * (1 + 2**0.5 * wave))[None])  # cos^2 is one half on average
    assert half == pytest.approx(0.5, abs=0.02)


def test_a_turning_spiral_has_spirals_for_eigenvectors():
    """Images at all angles: pairs of one frequency, whose phase may depend on the radius; not so if all are mirrored, too."""
    r, t = torch.linspace(0.1, 1, 20).double()[:, None], 2 * torch.pi * torch.arange(32).double() / 32

    def moments(*twists):
        turned = [torch.exp(-4 * (r - 0.6) ** 2) * torch.cos(2 * (t - a) + twist * r) for a in t for twist in twists]
        rows = torch.stack(turned).flatten(1)
        return torch.linalg.eigh(rows.T @ rows / len(rows))

    def of_rank(v):
        return torch.linalg.svdvals(v.reshape(20, 32))

    for twists in ((6,), (6, -6)):
        values, vectors = moments(*twists)
        assert values[-1] == pytest.approx(float(values[-2]))
        assert values[-3] < 0.99 * values[-1]
        power = torch.fft.rfft(vectors[:, -1].reshape(20, 32)).abs().square().sum(0)
        assert power[2] / power.sum() == pytest.approx(1)
        second = of_rank(vectors[:, -1])[1]
        assert (second > 0.3) if twists == (6,) else (second < 1e-6), "f(r) cos(m t) is a product, a spiral is none"
