"""The rule of verdicts, on evidence whose verdict is known."""

import math

import pandas as pd
import pytest

from uapkit.runner import verdicts

HOLDS, FAILS, UNCLEAR = (0.5, 0.6), (0.1, 0.2), (0.3, 0.5)  # against > 0.4


def evidence(*intervals, nulls=None, sense=">", bound=0.4):
    rows = [{"low": a, "high": b, "sense": sense, "bound": bound} for a, b in intervals]
    for row, null in zip(rows, nulls or [], strict=False):
        row |= {"null_low": null[0], "null_high": null[1]}
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([HOLDS], "confirmed"),
        ([HOLDS, HOLDS], "confirmed"),
        ([HOLDS, FAILS], "partly"),
        ([HOLDS, UNCLEAR], "partly"),
        ([FAILS], "differs"),
        ([FAILS, UNCLEAR], "differs"),
        ([UNCLEAR], "undecided"),
        ([], "not run here"),
        ([(math.nan, math.nan)], "undecided"),
    ],
)
def test_rule(intervals, expected):
    assert verdicts.verdict(evidence(*intervals)) == expected


def test_a_claim_its_null_satisfies_is_not_above_chance():
    assert verdicts.verdict(evidence(HOLDS, nulls=[(0.45, 0.6)])) == "not above chance"
    assert verdicts.verdict(evidence(HOLDS, nulls=[FAILS])) == "confirmed"
    assert verdicts.verdict(evidence(HOLDS, HOLDS, nulls=[(0.45, 0.6), FAILS])) == "partly"
    assert verdicts.verdict(evidence(FAILS, nulls=[FAILS])) == "differs"


def test_senses():
    assert verdicts.holds(0.1, 0.2, "<", 0.3) is True
    assert verdicts.holds(0.4, 0.5, "<", 0.3) is False
    assert verdicts.holds(0.2, 0.4, "<", 0.3) is None
    assert verdicts.holds(0.2, 0.4, "=", 0.3) is True
    assert verdicts.holds(0.2, 0.4, "=", 0.5) is False
    with pytest.raises(ValueError, match="sense"):
        verdicts.holds(0.2, 0.4, ">=", 0.5)


def test_only_verified_values_decide():
    for confidence in ("notes", "memory-high", "reimplementation", "derived"):
        assert verdicts._deciding(confidence, "confirmed") == "not judged"
        assert verdicts._deciding(confidence, "not run here") == "not run here"
    assert verdicts._deciding("verified", "confirmed") == "confirmed"
    assert verdicts._deciding("verified-code", "differs") == "differs"


def level(table, where, value=0.52, confidence="verified"):
    row = {"kind": "level", "where": where, "metric": "fooling_rate", "value": value, "tolerance": 0.005}
    rows = pd.DataFrame([row | {"confidence": confidence, "source": "Table 1"}])
    return verdicts._level_rows(rows, pd.DataFrame(table))


def test_levels_are_judged_only_where_everything_is_the_papers():
    ours = [{"model": "vgg16", "weights": "keras", "fooling_rate": 0.53, "low": 0.50, "high": 0.56}]
    assert level(ours, "model=vgg16;weights=keras")[0]["verdict"] == "confirmed"
    assert level(ours, "model=vgg16;weights=keras", value=0.4)[0]["verdict"] == "differs"
    assert level(ours, "model=vgg16;weights=keras", confidence="notes")[0]["verdict"] == "not judged"
    assert level(ours, "model=vgg16;weights=torchvision") == [], "other weights"
    assert level(ours, "model=vgg16;weights=keras;data=imagenet") == [], "a column that we do not have"
    assert level([{**ours[0], "fooling_rate": math.nan}], "model=vgg16;weights=keras") == [], "not run"


def test_level_tolerance_is_the_papers_rounding():
    exact = [{"model": "a", "fooling_rate": 0.5249, "low": 0.5249, "high": 0.5249}]
    assert level(exact, "model=a")[0]["verdict"] == "confirmed"
    assert level([{**exact[0], "low": 0.526, "high": 0.526}], "model=a")[0]["verdict"] == "differs"


def test_numeric_places_match_as_numbers():
    ours = [{"model": "a", "n_fit": 64, "fooling_rate": 0.5, "low": 0.4, "high": 0.6}]
    assert len(level(ours, "model=a;n_fit=64")) == 1
    assert level(ours, "model=a;n_fit=32") == []
