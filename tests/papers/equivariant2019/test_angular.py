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
