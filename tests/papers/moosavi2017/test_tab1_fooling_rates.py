"""Table 1: rates are those of the public attack on images it has not seen, claims are inequalities on a small run."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from uapkit import attacks, evaluate, runner
from uapkit.figures.style import look
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import tab1_fooling_rates as item
from uapkit.papers.moosavi2017.drawing import published_rates
from uapkit.papers.moosavi2017.setting import bench_of

NAME = "moosavi2017/tab1_fooling_rates"
SMALL = {"models": ("mlp_digits",), "n_fit": 24, "n_eval": 120, "seed": 3}
SETTINGS = {"eps": 0.2, "target_rate": 0.8, "max_passes": 1, "seed": 3, "max_iter": 10}


@pytest.fixture(scope="module")
def rates():
    return item.run(**SMALL, blocked=("mlp_digits",), block=8, n_random=2)


def evidence(table):
    return runner.evidence(NAME, Run.of(table))


def test_tab1_fooling_rates(rates):
    held = rows_of(rates, scored_on="held out")
    assert (held["n"] == 120).all()
    bench = bench_of("digits", 24, 120, seed=3)
    model, split = bench.network("mlp_digits"), bench.split("mlp_digits")
    for kind, block in (("UAP", 1), ("UAP, blocked", 8)):
        made = attacks.uap(model, split.fit, block=block, **SETTINGS)
        row = rows_of(held, kind=kind, norm=math.inf).iloc[0]
        assert row["fooling_rate"] == pytest.approx(float(evaluate.fooling_rate(model, split.scored, made.v)))
        on_x = rows_of(rates, kind=kind, norm=math.inf, scored_on="X").iloc[0]
        assert on_x["fooling_rate"] == pytest.approx(made.history[0])
        assert on_x["data"] == "X (24 train)"
        assert on_x["end"] == made.made_by["end"]
    assert (held["l2_norm"].dropna() <= 255 * 0.2 * 28 * 1.0001).all()
    assert (rows_of(held, kind="equal length")["l2_norm"].to_numpy() == rows_of(held, kind="UAP")["l2_norm"]).all()
    for norm in (2.0, math.inf):
        attack = rows_of(held, kind="UAP", norm=norm)
        null = held[held["kind"].str.startswith("random") & (held["norm"] == norm)]
        assert len(null) == 2
        assert attack["low"].min() > null["high"].max(), "the attack beats its null"


def test_nulls_are_marked(rates):
    run = Run.of(rates)
    assert set(run.measured["kind"]) == {"UAP", "UAP, blocked"}
    assert set(run.rows.loc[run.rows["is_null"], "kind"]) == {"random signs", "random direction", "equal length"}


def test_tab1_fooling_rates_claims(rates):
    found = evidence(rates)
    level = rows_of(found, claim="above_77_percent")
    assert (level["high"] == 1).all(), "a small X bounds the rate from below only"
    assert (level["null_high"] < level["estimate"]).all()
    held = rows_of(rates, scored_on="held out", norm=math.inf)
    blocked, plain = (rows_of(held, kind=kind)["fooling_rate"].item() for kind in ("UAP, blocked", "UAP"))
    assert rows_of(found, claim="blocked_fools_more")["estimate"].item() == pytest.approx(blocked - plain)
    gap = rows_of(found, claim="no_overfitting").iloc[-1]
    assert gap["low"] == -1 < gap["estimate"] < gap["high"], "a small X bounds the gap from above only"
    large = rates.assign(n=20_000, end="reached")
    assert rows_of(evidence(large), claim="no_overfitting").iloc[-1]["low"] > -1
    weak = large.assign(fooling_rate=0.15, low=0.14, high=0.16)
    assert rows_of(evidence(weak), claim="no_overfitting")["answer"].eq("open").all(), (
        "no better than its null: no answer"
    )
    assert (rows_of(evidence(large), claim="above_77_percent")["high"] < 1).all()
    cut = rows_of(evidence(large.assign(end="pass limit")), claim="above_77_percent")
    assert (cut["high"] == 1).all(), "a run cut off at its pass limit bounds the rate from below only"
    assert evidence(rates.assign(status="not run here")).empty, "claims about nothing are no claims"


def test_figure_shows_every_rate_and_the_published_ones(rates):
    reported = runner.reported(runner.item(NAME))
    known = rates.assign(model="bvlc_googlenet")
    figure = item.figure(Run.of(known), reported)
    assert [ax.get_title() for ax in figure.axes] == ["norm 2", "norm inf"]
    stars = [
        line.get_xdata()[0] for ax in figure.axes for line in ax.lines if line.get_marker() == look("published").marker
    ]
    assert stars == [0.82, 0.789]
    drawn = sorted(float(x) for ax in figure.axes for bar in ax.containers for x in bar.lines[0].get_xdata())
    assert drawn == pytest.approx(sorted(rates["fooling_rate"]))
    of_attack = figure.axes[1].containers[0].lines[0]
    assert same_color(of_attack.get_color(), look("UAP").colour)
    nothing = pd.DataFrame([{"model": "vgg16", "status": "not run here"}])
    assert item.figure(Run.of(nothing)).axes[0].texts[0].get_text() == "not run here"


def test_published_rates_are_read():
    reported = runner.reported(runner.item(NAME))
    theirs = published_rates(reported)
    assert theirs["bvlc_googlenet", math.inf] == 0.789
    assert theirs["bvlc_googlenet", 2.0] == 0.82
    printed = item.published_table(reported)
    assert printed.set_index(["norm", "scored on"]).loc[("2", "X"), "caffenet"] == 0.854
    assert len(printed) == 4


def test_ours_stand_beside_the_published_rates(rates):
    reported = runner.reported(runner.item(NAME))
    beside = item.beside_published(Run.of(rates.assign(model="bvlc_googlenet")), reported)
    assert beside["published"].tolist() == [0.82, 0.789]
    assert np.isnan(item.beside_published(Run.of(rates), reported, "mlp_digits")["published"]).all()
