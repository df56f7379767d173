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
