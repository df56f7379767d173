"""What paper E's figures share: bars as high as the shares, curves with their baselines, training seeds in one colour."""

import itertools

import numpy as np
import pandas as pd
import pytest

from uapkit.figures.style import look
from uapkit.lab import Run
from uapkit.papers.equivariant2019.drawing import bars, curves, tint

RATES = {"fooling_rate": 0.2, "low": 0.1, "high": 0.3, "error_low": 0.0, "error_high": 1.0}


def drawn(ax, label):
    """(x, y) of the line with this label."""
    line = next(one for one in ax.lines if one.get_label() == label)
    return list(line.get_xdata()), list(line.get_ydata())


def test_bars_are_as_long_as_the_shares_and_leave_out_what_was_not_run():
    rows = [
        {"status": "run", "model": m, "kind": k, "share": s, "low": s - 0.1, "high": s + 0.1}
        for (m, k), s in zip(itertools.product("ab", ("trained", "random")), (0.5, 0.2, 0.6, 0.3), strict=True)
    ]
    table = pd.DataFrame([*rows, {"status": "not run here", "model": "c"}])
    (ax,) = bars(Run.of(table).rows, "share").axes
    assert sorted(bar.get_width() for bar in ax.patches) == pytest.approx([0.2, 0.3, 0.5, 0.6])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]


@pytest.fixture
def table():
    base = {"status": "run", "network": "n", "attack": "gradient", "kind": "singular vector", **RATES}
    rows = [
        base
        | {"model": m, "training_seed": s, "fit": fit, "n_fit": n, "chosen": c, "relative_norm": size, "error_rate": e}
        for (m, s), (fit, n, c), (size, e) in itertools.product(
            (("n", 0), ("n_seed1", 1)),
            (("held out", 100, True), ("held out", 100, False), ("other half", 5000, True)),
            ((0.0, 0.05), (0.5, 0.9)),
        )
    ]
    null = {"attack": np.nan, "kind": "random direction", "fit": np.nan, "n_fit": np.nan, "error_rate": 0.1}
    rows += [rows[0] | null | {"relative_norm": s, "chosen": True} for s in (0.0, 0.5)]
    return pd.DataFrame(rows)


def test_curves_have_a_panel_a_network_and_dot_the_other_training_seeds(table):
    ax = curves(Run.of(table)).axes[0]
    assert drawn(ax, "100 images, held out") == ([0.0, 0.5], [0.05, 0.9])
    assert drawn(ax, "random direction") == ([0.0, 0.5], [0.1, 0.1])
    seeds = [line for line in ax.lines if line.get_label() == "other training seeds"]
    assert [line.get_linestyle() for line in seeds] == [":"], "of seed 1 the cross-fitted curve alone"
    assert drawn(ax, "other training seeds") == ([0.0, 0.5], [0.05, 0.9])
    assert seeds[0].get_color() == look("singular vector").colour
    ax = curves(Run.of(table), "fooling_rate").axes[0]
    assert drawn(ax, "5000 images, other half") == ([0.0, 0.5], [0.2, 0.2])


def test_more_images_are_darker(table):
    ax = curves(Run.of(table)).axes[0]
    few, many = (
        next(line.get_color() for line in ax.lines if line.get_label() == label)
        for label in ("100 images, held out", "5000 images, other half")
    )
    assert all(a >= b for a, b in zip(few, many, strict=True))
    assert few != many
    assert tint("#000000", 0) == (1, 1, 1)


def test_random_draws_are_a_line_of_those_followed_and_a_bar_of_all(table):
    null = table[table["kind"] == "random direction"].iloc[0].to_dict()
    at = {0: ((0.0, 0.02), (0.5, 0.3)), 1: ((0.0, 0.02), (0.5, 0.2)), **{k: ((0.5, 0.1 * k),) for k in range(2, 9)}}
    draws = [null | {"draw": k, "relative_norm": s, "error_rate": e} for k, own in at.items() for s, e in own]
    redraw = {"model": "n", "attack": "gradient", "kind": "redraw", "draw": 0, "relative_norm": 0.5, "error_rate": 0.7}
    rows = table[table["kind"] != "random direction"]
    ax = curves(Run.of(pd.concat([rows, pd.DataFrame([*draws, null | redraw])], ignore_index=True))).axes[0]
    assert drawn(ax, "random direction") == ([0.0, 0.5], [0.02, 0.3]), "not the worst of those at one norm only"
    bar = next(line for line in ax.lines if line.get_linewidth() == 3)
    errors = [e for own in at.values() for s, e in own if s == 0.5]
    assert list(bar.get_ydata()) == pytest.approx(list(np.quantile(errors, [0.025, 0.975])))
    assert drawn(ax, "the smallest sample, redrawn") == ([0.5], [0.7])
