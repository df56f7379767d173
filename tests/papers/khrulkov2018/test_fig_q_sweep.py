"""Fooling rate against q: values fall with q, the attack beats its nulls, the claims compare what they say."""

import math

import pytest

from uapkit import lab
from uapkit.papers.khrulkov2018 import fig_q_sweep

SMALL = {"models": ("mlp_digits",), "n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}


@pytest.fixture(scope="module")
def q_table():
    return fig_q_sweep.run(**SMALL, qs=(1.0, 2.0, 4.0, math.inf))


def test_fig_q_sweep(q_table):
    attack = q_table[q_table["kind"] == "singular vector"]
    assert attack["q"].tolist() == [1, 2, 4, math.inf]
    assert attack["layer"].nunique() == 1
    assert attack["singular_value"].is_monotonic_decreasing, "a q-norm falls with q"
    null = q_table[q_table["kind"].isin(["random signs", "untrained network"])]
    assert len(null) == 3
    assert attack["fooling_rate"].max() > null["high"].max(), "the attack beats both nulls"
    assert (q_table["n"] == 120).all()


def test_claims(q_table):
    found = {claim.name: claim for claim in fig_q_sweep.claims(lab.Run.of(q_table))}
    attack = q_table[q_table["kind"] == "singular vector"].set_index("q")
    assert found["rises_with_q"].network == "mlp_digits (q = 1 to 4)", "infinity stands apart"
    gain = attack.loc[4, "fooling_rate"] - attack.loc[1, "fooling_rate"]
    assert found["rises_with_q"].found.value == pytest.approx(gain), "the middle of three has no weight"
    inner = attack.loc[2, "fooling_rate"] - attack.loc[4, "fooling_rate"]
    assert found["maximum_at_inner_q"].found.value == pytest.approx(inner)


def test_claims_about_nothing_are_no_claims(q_table):
    assert not list(fig_q_sweep.claims(lab.Run.of(q_table.assign(status="not run here"))))


def test_figure_has_a_place_for_infinity(q_table):
    ax = fig_q_sweep.figure(lab.Run.of(q_table)).axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "2", "4", "inf"]
