"""Intervals that claims take: what a rank correlation of few points may decide."""

import math

import pytest

from uapkit import lab
from uapkit.runner import verdicts


@pytest.mark.parametrize(("points", "answer"), [(3, "open"), (5, "open"), (7, "open"), (8, "yes"), (20, "yes")])
def test_no_rank_correlation_decides_with_fewer_than_eight_points(points, answer):
    rho = lab.rank_correlation(range(points), range(points))
    assert verdicts.answers(lab.claims.evidence_table([lab.claim("c", "a", rho, ">", 0.0)])) == [answer]
    assert math.isnan(rho.value) if points < 4 else rho.value == pytest.approx(1)
    assert rho.n == points
