"""Network-free patterns: the spectrum that was asked for, the period that was asked for, norms, seeds, refusals."""

import math

import numpy as np
import pytest
import torch

from uapkit.fourier import mean_wavelength, radial_spectrum
from uapkit.lab.patterns import checkers, gabor, grid, perlin, random_phase, stripes
from uapkit.seeds import generator

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


def test_perlin_noise_is_that_of_the_definition():
    """Point by point: the four corners' gradients times the way to them, blended by Perlin's fifth-degree curve."""
    h, w, period, seed = 9, 14, 6.0, 3
    rng, total = generator(seed, "perlin"), np.zeros((h, w))
    for octave in range(2):
        step = period / 2**octave
        turn = torch.rand(int(h / step) + 2, int(w / step) + 2, generator=rng, dtype=torch.float64) * 2 * math.pi
        for y in range(h):
            for x in range(w):
                i, j = int(y // step), int(x // step)
                fy, fx = y / step - i, x / step - j
                value = 0.0
                for a in (0, 1):
                    for b in (0, 1):
                        slope = math.sin(turn[i + a, j + b]) * (fy - a) + math.cos(turn[i + a, j + b]) * (fx - b)
                        sy, sx = (6 * t**5 - 15 * t**4 + 10 * t**3 for t in (fy, fx))
                        value += slope * (sy if a else 1 - sy) * (sx if b else 1 - sx)
                total[y, x] += value / 2**octave
    total *= 0.5 / np.sqrt(2 * (total**2).sum())
    made = perlin((2, h, w), period=period, eps=0.5, norm=2, seed=seed)
    assert np.allclose(made.numpy(), total, atol=1e-6)
    assert torch.equal(perlin((2, h, w), period=period, octaves=2, eps=0.5, norm=2, seed=seed), made)


@pytest.mark.parametrize("degrees", [None, 40.0])
def test_gabor_noise_is_the_sum_of_its_kernels(degrees):
    h, w, period, seed, density = 7, 10, 4.0, 5, 0.3
    rng, total = generator(seed, "gabor"), np.zeros((h, w))
    reach = math.ceil(2.5 * period)
    angles = [degrees] if degrees is not None else [15.0 * k for k in range(12)]
    for angle in map(math.radians, angles):
        draws = torch.rand(2, h + 2 * reach, w + 2 * reach, generator=rng, dtype=torch.float64)
        for py, px in torch.nonzero(draws[0] < density / len(angles)).tolist():
            sign = -1.0 if draws[1, py, px] < 0.5 else 1.0
            for y in range(h):
                for x in range(w):
                    dy, dx = y + reach - py, x + reach - px
                    if abs(dy) <= reach and abs(dx) <= reach:
                        along = (dx * math.cos(angle) + dy * math.sin(angle)) / period
                        total[y, x] += (
                            sign * math.exp(-(dx**2 + dy**2) / (2 * period**2)) * math.cos(2 * math.pi * along)
                        )
    total *= 0.5 / np.sqrt((total**2).sum())
    made = gabor((1, h, w), period=period, degrees=degrees, density=density, eps=0.5, norm=2, seed=seed)
    assert np.allclose(made[0].numpy(), total, atol=1e-6)


def test_the_radial_spectrum_is_the_mean_power_of_each_ring():
    v = smooth()[:, :12, :16]
    kept, rings = moduli(random_phase(v, eps=1.0, norm=2, seed=1, radial=True)), {}
    for y, fy in enumerate(np.fft.fftfreq(12)):
        for x, fx in enumerate(np.fft.fftfreq(16)):
            rings.setdefault(round(math.hypot(fy, fx) * 12), []).append((y, x))
    power = moduli(v).square()
    mean = torch.zeros_like(power)
    for places in rings.values():
        for y, x in places:
            mean[:, y, x] = sum(power[:, a, b] for a, b in places) / len(places)
    assert torch.allclose(kept / kept.norm(), mean.sqrt() / mean.sqrt().norm(), atol=1e-4)


def test_random_phases_are_the_same_for_all_channels():
    v = smooth()
    noise = torch.fft.fft2(random_phase(v, eps=1.0, norm=2, seed=1).double())
    turned = (noise[:2] * noise[1:].conj()).angle()[moduli(v)[:2] > 1]
    assert turned.abs().max() < 1e-3


def test_the_grid_says_what_each_pattern_is():
    found = list(grid((1, 16, 16), eps=0.1, seed=4, periods=(4,), angles=(0, 45), draws=2))
    assert [(p.family, p.setting) for p in found] == [
        ("stripes", "period 4, 0 degrees"),
        ("stripes", "period 4, 45 degrees"),
        ("checks", "period 4"),
        *[("Perlin noise", "period 4"), ("Gabor noise", "period 4")] * 2,
    ]
    same = {"eps": 0.1, "period": 4}
    shape = (1, 16, 16)
    expected = [stripes(shape, degrees=0, **same), stripes(shape, degrees=45, **same), checkers(shape, **same)]
    expected += [make(shape, seed=seed, **same) for seed in (4, 5) for make in (perlin, gabor)]
    assert all(torch.equal(p.v, v) for p, v in zip(found, expected, strict=True))
    usual = [p.setting for p in grid((1, 16, 16), eps=0.1, seed=0) if p.family in ("stripes", "checks")]
    ways = (", 0 degrees", ", 45 degrees", ", 90 degrees", "")
    assert usual == [f"period {k}{way}" for k in (4, 6, 8, 12, 16) for way in ways]
    euclidean = next(iter(grid((1, 16, 16), eps=0.1, norm=2, seed=0)))
    assert float(euclidean.v.norm()) == pytest.approx(0.1)


def test_stripes_turn_and_shift_as_they_are_told():
    """Against the definition: bright where the way along the normal, in periods, lies in the first half of a period."""
    shape, period, degrees, phase = (1, 11, 13), 5.3, 30.0, 0.2
    made = stripes(shape, period=period, degrees=degrees, phase=phase, eps=1.0)[0]
    for y in range(11):
        for x in range(13):
            along = (x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))) / period + phase
            assert made[y, x] == (1 if along % 1 < 0.5 else -1)
    shifted = checkers((1, 12, 12), period=4, phase=0.5, eps=1.0)
    assert torch.equal(shifted[:, 2:, 2:], checkers((1, 12, 12), period=4, eps=1.0)[:, :-2, :-2])
