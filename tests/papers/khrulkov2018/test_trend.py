"""A trend over settings: exact on a line, nothing for a hump, and no reading of one setting."""

import numpy as np
import pytest

from uapkit.papers.khrulkov2018.trend import trend


def test_trend_weighs_settings_by_their_order():
    """Upper half minus lower half; 4, 2, 1 in any order, and the distances between settings do not matter."""
    flags = {1.0: np.array([0, 0, 1, 0]), 2.0: np.array([1, 1, 1, 1]), 100.0: np.array([1, 0, 1, 1])}
    found = trend(dict(reversed(flags.items())))
    assert found.value == pytest.approx(0.75 - 0.25)
    assert found.n == 4
    four = {q: np.full(5, rate) for q, rate in zip((1.0, 2.0, 3.0, 9.0), (0.1, 0.2, 0.3, 0.4), strict=True)}
    assert trend(four).value == pytest.approx((0.75 * 0.4 + 0.25 * 0.3) - (0.25 * 0.2 + 0.75 * 0.1))


def test_a_maximum_in_the_middle_is_no_trend():
    hump = {q: np.full(50, rate) for q, rate in zip((1.0, 2.0, 5.0), (0.4, 0.6, 0.4), strict=True)}
    assert trend(hump).value == 0


def test_one_setting_has_no_trend():
    with pytest.raises(ValueError, match="two settings at least, got 1"):
        trend({1.0: np.zeros(3)})
