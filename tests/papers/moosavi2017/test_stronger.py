"""The stronger nulls of paper M: noise with a spectrum on the same photographs is paired, patterns of paper K are only drawn."""

import math

import numpy as np
import pytest

from uapkit import runner
from uapkit.papers.moosavi2017 import ext_stall, fig6_set_size, fig8_norms, tab1_fooling_rates, tab2_transfer
from uapkit.papers.moosavi2017.stronger import LABELS, listed, stronger

STALL, PATTERNS = "moosavi2017/ext_stall", "khrulkov2018/ext_patterns"
NETWORK = "squeezenet1_1[gluon]"


@pytest.fixture(scope="module")
def stall():
    return runner.stored_run(STALL)


@pytest.fixture(scope="module")
def patterns():
    return runner.stored_run(PATTERNS)


@pytest.fixture(scope="module")
def table1():
    return runner.stored_run("moosavi2017/tab1_fooling_rates")


def test_noise_is_of_the_norm_and_a_pattern_only_of_the_infinity_norm(table1, stall, patterns):
    found = stronger(table1, stall, patterns)
    for norm, kinds in ((2.0, ["random phases"]), (math.inf, ["random phases", "best pattern"])):
        assert [null.kind for null in found[NETWORK, norm]] == kinds
        draws = stall.where(model=NETWORK, norm=norm, kind="random phases")["fooling_rate"]
        assert found[NETWORK, norm][0].rate.value == pytest.approx(draws.mean(), abs=1e-6)
    assert [null.paired for null in found[NETWORK, math.inf]] == [True, False]
    assert not found["cifar10_resnet20", 2.0][0].paired, "2000 of the 10,000 test images"
    assert ("cifar10_resnet20_adv", 2.0) not in found
    assert stronger(table1, None) == {}
    assert set(stronger(table1, stall, patterns, norms=[2.0])) <= {(n, 2.0) for n in table1.rows["model"]}


def test_the_list_says_which_null_was_scored_on_the_same_images(table1, stall, patterns):
    shown = listed(stronger(table1, stall, patterns)).set_index(["model", "norm", "null"])
    assert shown.loc[(NETWORK, 2.0, LABELS["random phases"]), "same_images"] == "yes"
    pattern = shown[[name.startswith("checks") for name in shown.index.get_level_values("null")]]
    assert pattern["same_images"].tolist() == ["no"]
    assert (shown["low"] < shown["fooling_rate"]).all()


@pytest.mark.parametrize("item", [tab1_fooling_rates, fig6_set_size, fig8_norms])
def test_rows_beside_noise_are_differences_on_the_same_images(item, stall):
    run = runner.stored_run(item.__name__.replace("uapkit.papers.", "").replace(".", "/"))
    found = item.beyond(run, stall)
    assert len(found)
    np.testing.assert_allclose(found["difference"], found["fooling_rate"] - found["null_rate"], atol=1e-9)
    assert item.beyond(run, None).empty
    if item is fig8_norms:
        mean = run.where(model=NETWORK, size=1.0).groupby("kind")["fooling_rate"].mean()
        mine = found[found["model"] == NETWORK].set_index("kind")["fooling_rate"]
        np.testing.assert_allclose(mine.sort_index(), mean.sort_index(), atol=1e-6)


def test_table_1_draws_each_null_in_its_panel(table1, stall, patterns):
    nulls = stronger(table1, stall, patterns)
    drawn = tab1_fooling_rates.figure(table1, None, nulls)
    for ax, norm in zip(drawn.axes, (2.0, math.inf), strict=True):
        xs = [float(bar.lines[0].get_xdata()[0]) for bar in ax.containers if bar.get_label() in LABELS.values()]
        wanted = [null.rate.value for (_, at), some in nulls.items() if at == norm for null in some]
        assert sorted(xs) == pytest.approx(sorted(wanted))


def test_the_other_figures_draw_them_too(stall, patterns):
    sizes, norms, transfer = (
        runner.stored_run(f"moosavi2017/{name}") for name in ("fig6_set_size", "fig8_norms", "tab2_transfer")
    )
    assert fig6_set_size.norm_of(sizes) == math.inf
    nulls = stronger(sizes, stall, patterns, norms=[math.inf])
    axes = {ax.get_title(): ax for ax in fig6_set_size.figure(sizes, beside=nulls).axes}
    lines = {line.get_label(): line.get_ydata()[0] for line in axes["SqueezeNet 1.1"].lines}
    assert {label: lines[label] for label in LABELS.values()} == {
        LABELS[null.kind]: null.rate.value for null in nulls[NETWORK, math.inf]
    }
    of_2 = stronger(norms, stall, norms=[2.0])
    ax = next(ax for ax in fig8_norms.figure(norms, of_2).axes if ax.get_title() == "SqueezeNet 1.1")
    bar = next(bar for bar in ax.containers if bar.get_label() == LABELS["random phases"])
    assert bar.lines[0].get_xydata()[0].tolist() == pytest.approx([2000, of_2[NETWORK, 2.0][0].rate.value])
    of_inf = stronger(transfer, stall, patterns, norms=[math.inf])
    ax = tab2_transfer.figure(transfer, of_inf).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()][-2:] == list(LABELS.values())


def test_ball_and_sphere_stand_on_the_same_images(stall):
    found = tab1_fooling_rates.ball_and_sphere(stall)
    ends = stall.where(kind=ext_stall.SPHERE, row=ext_stall.END)
    assert len(found) == len(ends), "every network and norm that has a sphere has a ball on the same X"
    np.testing.assert_allclose(found["gain"], found["sphere"] - found["ball"], atol=1e-6)
    assert (found["gain_low"] <= found["gain"]).all()
    row = found[(found["model"] == NETWORK) & (found["norm"] == 2)].iloc[0]
    ball = stall.where(model=NETWORK, norm=2.0, kind="UAP", row="end", n_images=row["n_images"]).iloc[0]
    assert (row["ball"], row["ball_visits"]) == pytest.approx((ball["fooling_rate"], ball["visits"]))


def test_the_page_on_stalling_draws_the_noise_that_it_measured(stall):
    ax = next(ax for ax in ext_stall.figure(stall).axes if ax.get_title() == "SqueezeNet 1.1, norm inf")
    line = next(line for line in ax.lines if line.get_label() == LABELS["random phases"])
    draws = stall.where(model=NETWORK, norm=math.inf, kind="random phases")["fooling_rate"]
    assert line.get_ydata()[0] == pytest.approx(draws.mean())
