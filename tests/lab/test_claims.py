"""Intervals that claims take: what a rank correlation of few points may decide."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from uapkit import lab
from uapkit.intervals import Interval, Rate, mean_interval, paired_difference
from uapkit.lab import claims, nulls
from uapkit.runner import verdicts


@pytest.mark.parametrize(("points", "answer"), [(3, "open"), (5, "open"), (7, "open"), (8, "yes"), (20, "yes")])
def test_no_rank_correlation_decides_with_fewer_than_eight_points(points, answer):
    rho = lab.rank_correlation(range(points), range(points))
    assert verdicts.answers(lab.claims.evidence_table([lab.claim("c", "a", rho, ">", 0.0)])) == [answer]
    assert math.isnan(rho.value) if points < 4 else rho.value == pytest.approx(1)
    assert rho.n == points


def test_a_row_of_evidence_holds_what_was_claimed():
    found, null = Interval(0.5, 40, 0.4, 0.6), Interval(0.1, 7, 0.05, 0.2)
    row = claims.claim("c", "a net", found, ">", 0.3, null=null, training="sgd").row()
    assert row == {
        "claim": "c",
        "network": "a net",
        "estimate": 0.5,
        "low": 0.4,
        "high": 0.6,
        "sense": ">",
        "bound": 0.3,
        "n": 40,
        "training": "sgd",
        "absence": False,
        "null": 0.1,
        "null_low": 0.05,
        "null_high": 0.2,
    }
    bare = claims.claim("c", "a", Interval(0.5, 0, 0.4, 0.6), "<", 0).row()
    assert bare["absence"] is True, "nothing at all gives 0"
    assert math.isnan(bare["n"]), "nobody counted"
    assert all(math.isnan(bare[name]) for name in ("null", "null_low", "null_high"))
    assert claims.claim("c", "a", found, ">", 0.3, absence=True).row()["absence"] is True
    assert type(bare["bound"]) is float


def test_intervals_come_from_rows_and_hulls():
    rows = pd.DataFrame(
        {"fooling_rate": [0.2, 0.4], "low": [0.1, 0.3], "high": [0.25, 0.6], "n": [50.0, math.nan], "other": [7.0, 9.0]}
    )
    first, second = (claims.from_row(row) for _, row in rows.iterrows())
    assert (first.value, first.n, first.low, first.high) == (0.2, 50, 0.1, 0.25)
    assert second.n == 0
    assert claims.from_row(rows.drop(columns="n").iloc[0]).n == 0
    named = claims.from_row(rows.iloc[0], "other", low="fooling_rate", high="high", n="low")
    assert (named.value, named.n, named.low, named.high) == (7.0, 0, 0.2, 0.25)
    hull = claims.hull(rows)
    assert (hull.value, hull.n, hull.low, hull.high) == (pytest.approx(0.3), 50, 0.1, 0.6)
    assert claims.hull(rows, "other").value == 8.0


def test_rates_means_and_differences_are_those_of_the_intervals():
    flags, others = [True, True, False, True], [False, True, False, False]
    assert claims.rate(torch.tensor(flags)) == Rate.of(3, 4).columns("fooling_rate")
    assert claims.paired(flags, others) == paired_difference(torch.tensor(flags), torch.tensor(others), seed=0)
    drawn = torch.rand(2, 300, generator=torch.Generator().manual_seed(1)) < torch.tensor([[0.6], [0.5]])
    assert claims.paired(*drawn) == paired_difference(*drawn, seed=0)
    draws = [np.array(others), np.array(flags), np.array(others)]
    assert claims.paired(flags, draws) == paired_difference(torch.tensor(flags), torch.tensor(np.stack(draws)), seed=0)
    gains = np.repeat([[0.0], [1.0], [0.4]], 4, axis=1)  # the first seed gains nothing, the second everything
    found = claims.paired_draws(gains + np.stack(draws), draws)
    assert found == paired_difference(torch.tensor(gains), torch.zeros(4), seed=0)
    assert found.high - found.low > 2, "three seeds that differ so much say little"
    assert claims.mean_of(np.array([1, 2, 4])) == mean_interval([1.0, 2.0, 4.0])


def test_a_rank_correlations_interval_is_its_bootstrap_over_pairs():
    made = np.random.default_rng(5)
    x = made.normal(size=12)
    y = x + made.normal(size=12)
    found = claims.rank_correlation(x, y, seed=3, n_boot=50)
    draws = np.random.default_rng(3).integers(0, 12, (50, 12))
    ends = np.percentile([spearmanr(x[d], y[d]).statistic for d in draws], [2.5, 97.5])
    assert (found.low, found.high) == (pytest.approx(ends[0]), pytest.approx(ends[1]))
    assert found.value == pytest.approx(spearmanr(x, y).statistic)
    assert found.n == 12
    assert claims.rank_correlation(x, y) == claims.rank_correlation(x, y, seed=0, n_boot=2000)
    assert claims.rank_correlation(x[:4], y[:4]).value == pytest.approx(spearmanr(x[:4], y[:4]).statistic)
    few = claims.rank_correlation(x[:6], y[:6])
    assert (few.value, few.low, few.high) == (pytest.approx(spearmanr(x[:6], y[:6]).statistic), -1.0, 1.0)
    none = claims.rank_correlation(x[:3], y[:3])
    assert all(math.isnan(end) for end in (none.low, none.high))
    flat = claims.rank_correlation([0.0] * 7 + [1.0], range(8), n_boot=200)
    assert math.isfinite(flat.low), "draws in which all are equal have no ranks and are left out"
    assert math.isfinite(claims.rank_correlation(range(8), [0.0] * 7 + [1.0], n_boot=200).high)


def test_nulls_are_known_by_name_and_drawn_from_name_and_seed():
    assert nulls.is_null("random signs")
    assert not nulls.is_null("singular vector")
    assert [nulls.kind_of(p) for p in (math.inf, float("inf"), 2)] == [
        "random signs",
        "random signs",
        "random direction",
    ]
    drawn = nulls.random((1, 4, 4), eps=0.1, seed=3, name="one")
    assert drawn.abs().flatten().tolist() == pytest.approx([0.1] * 16)
    assert torch.equal(drawn, nulls.random((1, 4, 4), eps=0.1, seed=3, name="one"))
    assert not torch.equal(drawn, nulls.random((1, 4, 4), eps=0.1, seed=3, name="two"))
    assert not torch.equal(drawn, nulls.random((1, 4, 4), eps=0.1, seed=4, name="one"))
    assert float(nulls.random((1, 4, 4), eps=0.1, norm=2, seed=3, name="one").norm()) == pytest.approx(0.1)


def test_options_are_given_by_name():
    """A value more in a row would mean something else to each reader."""
    found = Interval(0.5, 9, 0.4, 0.6)
    for call in (
        lambda: claims.claim("c", "a", found, ">", 0.3, found),
        lambda: claims.rank_correlation([1, 2], [1, 2], 0),
        lambda: nulls.random((1, 2, 2), 0.1),
    ):
        with pytest.raises(TypeError):
            call()
