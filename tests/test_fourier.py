"""Radially averaged spectra of patterns whose wavelength is known."""

import pytest
import torch

from uapkit.fourier import mean_wavelength, radial_spectrum


@pytest.mark.parametrize("period", [4, 8, 16])
def test_stripes_have_their_period(period):
    x = torch.arange(64.0)
    stripes = torch.cos(2 * torch.pi * x / period).expand(3, 64, 64)
    frequency, power = radial_spectrum(stripes)
    assert float(1 / frequency[power.argmax()]) == pytest.approx(period)
    assert mean_wavelength(stripes) == pytest.approx(period, rel=1e-6)


def test_noise_is_flat_and_fine():
    noise = torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(0))
    _, power = radial_spectrum(noise)
    assert float(power[40:].mean() / power[10:40].mean()) == pytest.approx(1, abs=0.1)
    assert mean_wavelength(noise) == pytest.approx(3, abs=0.2)


def test_direction_and_offset_do_not_matter():
    x = torch.arange(32.0)
    stripes = torch.cos(2 * torch.pi * x / 8).expand(1, 32, 32)
    assert mean_wavelength(stripes.mT + 5) == pytest.approx(mean_wavelength(stripes), rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 64, 48), (2, 33, 60)])
def test_the_power_of_noise_is_its_variance_at_every_frequency(shape):
    noise = 3 + 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    frequency, power = radial_spectrum(noise)
    side = min(shape[1:])
    assert frequency.tolist() == pytest.approx([k / side for k in range(1, side // 2 + 1)])
    assert float(power[4:].mean()) == pytest.approx(4, rel=0.15)
