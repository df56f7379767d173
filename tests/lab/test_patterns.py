"""Network-free patterns: the spectrum that was asked for, the period that was asked for, norms, seeds, refusals."""

import math

import pytest
import torch

from uapkit.fourier import mean_wavelength, radial_spectrum
from uapkit.lab.patterns import checkers, gabor, grid, perlin, random_phase, stripes

SHAPE = (3, 48, 64)


def smooth(seed=0):
    torch.manual_seed(seed)
    x = torch.nn.functional.interpolate(torch.randn(1, 3, 8, 8), size=SHAPE[1:], mode="bicubic")[0]
    return x + torch.linspace(0, 6 * math.pi, SHAPE[2]).sin()


def moduli(v):
    return torch.fft.fft2(v.double()).abs()


def test_random_phase_keeps_every_modulus_and_no_phase():
    v = smooth()
    noise = random_phase(v, eps=float(v.double().norm()), norm=2, seed=1)
    assert torch.allclose(moduli(noise), moduli(v), rtol=1e-4, atol=1e-3)
    assert abs(float((noise.double() * v.double()).sum() / v.double().norm() ** 2)) < 0.5
    assert not torch.allclose(noise, random_phase(v, eps=float(v.double().norm()), norm=2, seed=2), atol=0.1)


def test_random_phase_of_the_radial_spectrum_keeps_the_rings_and_no_direction():
    v = stripes(SHAPE, period=8, eps=1.0)
    noise = random_phase(v, eps=float(v.double().norm()), norm=2, seed=1, radial=True)
    assert torch.allclose(radial_spectrum(noise)[1].log1p(), radial_spectrum(v)[1].log1p(), atol=0.6)
    down = moduli(noise)[:, :, 0].square().sum()
    assert down > 100 * moduli(v)[:, :, 0].square().sum(), "stripes have no energy across their direction, rings have"


def test_two_valued_noise_is_about_as_smooth_as_what_it_imitates():
    v = smooth()
    assert mean_wavelength(random_phase(v, eps=0.1, seed=0)) == pytest.approx(mean_wavelength(v.sign()), rel=0.3)
    assert mean_wavelength(random_phase(v, eps=0.1, seed=0)) > 2 * mean_wavelength(torch.randn(SHAPE).sign())


@pytest.mark.parametrize("period", [4, 6, 8])
def test_stripes_repeat_with_their_period_and_are_half_bright(period):
    v = stripes((1, 48, 48), period=period, eps=0.5)
    assert torch.equal(v[..., period:], v[..., :-period])
    assert torch.equal(v[..., period // 2 :], -v[..., : -(period // 2)])
    assert torch.equal(v, v[:, :1].expand_as(v)), "0 degrees: they run down"
    across = stripes((1, 48, 48), period=period, degrees=90, eps=0.5)
    assert torch.equal(across, v.transpose(1, 2))
    assert torch.equal(stripes((1, 48, 48), period=period, phase=0.5, eps=0.5), -v)


def test_a_checkerboard_of_single_pixels():
    v = checkers((1, 4, 4), period=2, eps=1.0)
    assert v[0].tolist() == [[1, -1, 1, -1], [-1, 1, -1, 1]] * 2


PATTERNS = {
    "random phase": lambda eps, norm: random_phase(smooth(), eps=eps, norm=norm, seed=0),
    "radial": lambda eps, norm: random_phase(smooth(), eps=eps, norm=norm, seed=0, radial=True),
    "stripes": lambda eps, norm: stripes(SHAPE, period=5.5, degrees=30, eps=eps, norm=norm),
    "checks": lambda eps, norm: checkers(SHAPE, period=6, eps=eps, norm=norm),
    "perlin": lambda eps, norm: perlin(SHAPE, period=12, eps=eps, norm=norm, seed=0),
    "gabor": lambda eps, norm: gabor(SHAPE, period=6, eps=eps, norm=norm, seed=0),
}


@pytest.mark.parametrize("norm", [2.0, math.inf])
@pytest.mark.parametrize("name", PATTERNS)
def test_norm_shape_type_and_seed(name, norm):
    v = PATTERNS[name](0.3, norm)
    assert v.shape == SHAPE
    assert v.dtype == torch.float32
    assert float(torch.linalg.vector_norm(v.double(), norm)) == pytest.approx(0.3, rel=1e-5)
    assert torch.equal(v, PATTERNS[name](0.3, norm))
    assert norm == 2.0 or v.abs().unique().tolist() == [pytest.approx(0.3)]


@pytest.mark.parametrize("make", [perlin, gabor])
def test_noise_has_about_the_wavelength_asked_for(make):
    fine, coarse = (mean_wavelength(make((1, 96, 96), period=p, eps=1.0, norm=2, seed=0)) for p in (6, 24))
    assert coarse > 2 * fine


def test_gabor_noise_of_one_direction_has_its_energy_there():
    v = gabor((1, 64, 64), period=8, degrees=0, eps=1.0, norm=2, seed=0)
    power = moduli(v)[0].square()
    assert power[:8, :].sum() + power[-8:, :].sum() > 0.9 * power.sum()
    assert power[:, :4].sum() < 0.05 * power.sum()


def test_the_grid_names_every_pattern_once_a_draw():
    found = list(grid((1, 32, 32), eps=0.1, seed=0, periods=(4, 8), angles=(0, 90), draws=2))
    assert len(found) == 2 * (2 + 1 + 2 * 2)
    assert {p.family for p in found} == {"stripes", "checks", "Perlin noise", "Gabor noise"}
    assert all(p.v.shape == (1, 32, 32) for p in found)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stripes(SHAPE, period=1, eps=0.1), "period must"),
        (lambda: perlin(SHAPE, period=0.5, eps=0.1, seed=0), "period must"),
        (lambda: gabor(SHAPE, period=8, density=0, eps=0.1, seed=0), "density must"),
        (lambda: stripes((8, 8), period=4, eps=0.1), r"shape must be \(c, h, w\)"),
        (lambda: random_phase(torch.ones(3, 8, 8), eps=0.1, seed=0), "constant in every channel"),
        (lambda: stripes(SHAPE, period=4, eps=-1), "eps must"),
    ],
)
def test_bad_settings_are_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()
