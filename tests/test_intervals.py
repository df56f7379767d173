"""Intervals of nominal 95 % hold the truth in 93 to 97 % of simulated cases; closed forms against scipy and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.simulated import from_noise
from uapkit.intervals import Interval, Rate, between_draws, mean_interval, paired_difference
from uapkit.seeds import generator

DRAWS = 2000


def covers(share, high=0.97):
    assert 0.93 <= share <= high, share


@pytest.mark.parametrize("n", [40, 136, 800])
def test_a_rate_is_covered(n):
    """Averaged over true rates from 2 % to 98 %: for one rate alone a discrete count cannot have exactly 95 %."""
    rng = np.random.default_rng(n)
    truth = rng.uniform(0.02, 0.98, DRAWS)
    found = [Rate.of(int(hits), n) for hits in rng.binomial(n, truth)]
    covers(np.mean([r.low <= p <= r.high for r, p in zip(found, truth, strict=True)]))


@pytest.mark.parametrize("n", [3, 5, 20])
def test_a_mean_over_seeds_is_covered(n):
    values = np.random.default_rng(n).normal(3.0, 2.0, (DRAWS, n))
    found = [mean_interval(row.tolist()) for row in values]
    covers(np.mean([i.low <= 3.0 <= i.high for i in found]))


@pytest.mark.slow
@pytest.mark.parametrize("n", [136, 500])
def test_a_difference_on_the_same_images_is_covered(n):
    """Two rates on the same images, which depend on one another as those of two attacks do."""
    rng = torch.Generator().manual_seed(n)
    hits = 0
    for seed in range(600):
        hard = torch.rand(n, generator=rng)
        a, b = (hard + 0.3 * torch.rand(n, generator=rng) < edge for edge in (0.7, 0.5))
        # the truth: P(u + 0.3 w < e) = e - 0.15 for e in [0.3, 1]
        found = paired_difference(a, b, seed=seed, n_boot=400)
        hits += found.low <= 0.2 <= found.high
    covers(hits / 600)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "draws", "spread"), [(500, 3, 0.0), (500, 3, 0.05), (4000, 3, 0.03), (4000, 8, 0.03)])
def test_a_difference_from_a_few_draws_is_covered(n, draws, spread):
    """Noise that fools more or less by the draw; an interval over the images alone would hold the truth half the time or less."""
    covers(from_noise(n, 500, draws=draws, spread=spread) / 500, high=0.985)


def drawn(rows, n, seed=0):
    return torch.rand(rows, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_choice_of_the_draws_widens_by_its_own_interval():
    """By a two-way analysis of variance, done here with sums of squares."""
    x = drawn(4, 30) + torch.tensor([[0.0], [0.5], [0.1], [0.9]])
    total, rows, columns = ((x - x.mean()) ** 2).sum(), 30 * x.mean(1).var() * 3, 4 * x.mean(0).var() * 29
    within, between = (total - rows - columns) / (3 * 29), rows / 3
    half = stats.t.ppf(0.975, 3) * math.sqrt(float((between - within) / 30) / 4)
    assert between_draws(x) == pytest.approx(half)
    own = drawn(1, 30, seed=1)[0]
    found, images = paired_difference(own, x), paired_difference(own, x.mean(0))
    assert found.value == pytest.approx(images.value)
    assert found.high - found.value == pytest.approx(math.hypot(images.high - images.value, half))
    assert found.value - found.low == pytest.approx(math.hypot(images.value - images.low, half))
    turned = paired_difference(x, own)
    assert (turned.low, turned.high) == (pytest.approx(-found.high), pytest.approx(-found.low))


def test_draws_that_differ_no_more_than_images_make_them_widen_nothing():
    x, own = drawn(3, 40), drawn(1, 40, seed=1)[0]
    x += 0.5 - x.mean(1, keepdim=True)
    assert between_draws(x) == 0
    assert between_draws(x[:1]) == between_draws(x[:, :1]) == 0
    assert paired_difference(own, x[:1]) == paired_difference(own, x[0])
    both = paired_difference(x, x + torch.tensor([[0.0], [1.0], [0.3]]))
    assert both.high - both.low == pytest.approx(2 * between_draws(x + torch.tensor([[0.0], [1.0], [0.3]])), rel=1e-2)


@given(n=st.integers(1, 3000), share=st.floats(0, 1))
def test_a_rates_interval_solves_wilsons_equation(n, share):
    """Both ends are the rates p with |hits/n - p| = z sqrt(p (1 - p) / n)."""
    hits = round(share * n)
    found = Rate.of(hits, n)
    z = stats.norm.ppf(0.975)
    for end in (found.low, found.high):
        assert abs(hits / n - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n), rel=1e-6, abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (found.low == 0) == (hits == 0)
    assert (found.high == 1) == (hits == n)
    mirrored = Rate.of(n - hits, n)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_a_means_interval_is_scipys(values):
    found = mean_interval(values)
    if np.std(values) > 1e-6:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9)
    assert found.value == pytest.approx(np.mean(values))
    assert found.n == len(values)


def test_one_value_alone_says_nothing():
    found = mean_interval([2.0])
    assert (found.value, found.n, found.low, found.high) == (2.0, 1, -math.inf, math.inf)
    for bad in ([], [math.nan], [1.0, math.inf]):
        with pytest.raises(ValueError, match="one finite number a run"):
            mean_interval(bad)


@given(seed=st.integers(0, 1000), shift=st.floats(-3, 3), n=st.integers(2, 60))
def test_a_paired_difference_is_antisymmetric_shifts_and_scales(seed, shift, n):
    rng = torch.Generator().manual_seed(seed)
    a, b = torch.rand(n, generator=rng, dtype=torch.float64), torch.rand(n, generator=rng, dtype=torch.float64)
    found = paired_difference(a, b, seed=seed, n_boot=101)
    back = paired_difference(b, a, seed=seed, n_boot=101)
    assert (back.low, back.value, back.high) == pytest.approx((-found.high, -found.value, -found.low))
    moved = paired_difference(a + shift, b, seed=seed, n_boot=101)
    assert (moved.low, moved.high) == pytest.approx((found.low + shift, found.high + shift))
    scaled = paired_difference(3 * a, 3 * b, seed=seed, n_boot=101)
    assert (scaled.low, scaled.high) == pytest.approx((3 * found.low, 3 * found.high))
    assert found.low <= found.high
    assert found.value == pytest.approx(float((a - b).mean()))
    assert found.n == n


def test_the_bootstrap_agrees_with_scipys():
    rng = torch.Generator().manual_seed(0)
    a, b = torch.rand(200, generator=rng, dtype=torch.float64), torch.rand(200, generator=rng, dtype=torch.float64)
    found = paired_difference(a, b, n_boot=20_000)
    theirs = stats.bootstrap(((a - b).numpy(),), np.mean, n_resamples=20_000, method="percentile", rng=0)
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=2e-3)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=2e-3)


def test_resamples_do_not_depend_on_how_many_fit_into_memory():
    """A set so large that only one resample fits at a time, and one just below that."""
    d = torch.arange(2**22 + 1) % 2
    found = paired_difference(d, torch.zeros_like(d), n_boot=3)
    assert found.low < found.high
    assert found.value == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Rate.of(1, 0), "n must be"),
        (lambda: Rate.of(-1, 3), "hits must be"),
        (lambda: Rate.of(4, 3), r"hits must lie in \[0, 3\], got 4"),
        (lambda: paired_difference(torch.ones(3), torch.ones(4)), "same images"),
        (lambda: paired_difference(torch.ones(0), torch.ones(0)), "same images"),
        (lambda: paired_difference(torch.ones(2, 3), torch.ones(2, 2)), "same images"),
        (lambda: paired_difference(torch.ones(1, 2, 2), torch.ones(2)), "same images"),
        (lambda: paired_difference(torch.ones(0, 2), torch.ones(2)), "same images"),
        (lambda: paired_difference(torch.tensor(1.0), torch.tensor(0.0)), "same images"),
        (lambda: paired_difference(torch.ones(2), torch.tensor([1, math.nan])), "finite"),
        (lambda: paired_difference(torch.ones(2), torch.ones(2), n_boot=0), "n_boot must be"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_interval_reads_well():
    one = Interval(0.25, 8, 0.1, 0.4)
    assert repr(one) == "0.25 [0.1, 0.4] (n = 8)"
    assert float(one) == 0.25
    assert one.columns("rate") == {"rate": 0.25, "low": 0.1, "high": 0.4, "n": 8}
    flags = Rate.mean(torch.tensor([True, False, True, True]))
    assert (flags.hits, flags.n, flags.value) == (3, 4, 0.75)


@pytest.mark.parametrize("n_boot", [1, 2, 5])
def test_the_bootstrap_draws_as_many_resamples_as_asked(n_boot):
    """From its own generator, and its ends are quantiles of the resamples' means."""
    d = torch.tensor([0.0, 1.0, 5.0, 2.0], dtype=torch.float64)
    draws = torch.randint(4, (n_boot, 4), generator=generator(3, "paired_difference"))
    low, high = np.quantile(d[draws].mean(1).numpy(), [0.025, 0.975])
    found = paired_difference(d, torch.zeros(4), seed=3, n_boot=n_boot)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.low == found.high) == (n_boot == 1)
