"""Figures of stacked directions show the table's own numbers: heights, lines, bands, and only what was run."""

import itertools

import numpy as np
import pandas as pd
import pytest

from uapkit.figures import courses as plots_courses
from uapkit.figures import directions as plots_directions

RATES = {"fooling_rate": 0.2, "low": 0.1, "high": 0.3, "error_low": 0.0, "error_high": 1.0}


def drawn(ax, label):
    """(x, y) of the line with this label."""
    line = next(one for one in ax.lines if one.get_label() == label)
    return list(line.get_xdata()), list(line.get_ydata())


def test_bars_are_as_high_as_the_shares_and_leave_out_what_was_not_run():
    rows = [
        {"status": "run", "model": m, "kind": k, "share": s, "low": s - 0.1, "high": s + 0.1}
        for (m, k), s in zip(itertools.product("ab", ("trained", "random")), (0.5, 0.2, 0.6, 0.3), strict=True)
    ]
    table = pd.DataFrame([*rows, {"status": "not run here", "model": "c"}])
    (ax,) = plots_directions.bars(table, "share").axes
    assert sorted(bar.get_height() for bar in ax.patches) == pytest.approx([0.2, 0.3, 0.5, 0.6])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]


def test_angles_have_the_networks_points_and_the_random_band():
    rows = [
        {"status": "run", "model": "a", "kind": k, "index": j, "principal_angle": v, "low": v - 1, "high": v + 2}
        for k, values in (("trained", (80.0, 60.0)), ("random", (89.0, 82.0)))
        for j, v in enumerate(values, 1)
    ]
    (ax,) = plots_directions.angles(pd.DataFrame(rows)).axes
    assert list(ax.lines[0].get_ydata()) == [80, 60]
    band = ax.collections[-1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (81, 91)


@pytest.fixture
def curves():
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


def test_curves_have_a_panel_a_network_and_dot_the_other_training_seeds(curves):
    ax = plots_courses.curves(curves).axes[0]
    assert drawn(ax, "100 images, held out") == ([0.0, 0.5], [0.05, 0.9])
    assert drawn(ax, "random direction") == ([0.0, 0.5], [0.1, 0.1])
    assert [line.get_linestyle() for line in ax.lines].count(":") == 1, "of seed 1 the cross-fitted curve alone"
    ax = plots_courses.curves(curves, "fooling_rate").axes[0]
    assert drawn(ax, "5000 images, other half") == ([0.0, 0.5], [0.2, 0.2])


def test_by_index_shows_the_largest_norm_and_the_random_band(curves):
    table = curves[curves["fit"] != "other half"].assign(index=[1, 1, 1, 1, 2, 2, 2, 2, np.nan, np.nan])
    axes = plots_courses.by_index(table).axes
    assert list(axes[0].lines[0].get_ydata()) == [0.9]
    assert axes[0].get_ylabel() == "error at 0.5 mean norms"


def test_ranges_follow_the_chosen_sign():
    rows = [
        {
            "status": "run",
            "model": "n",
            "kind": kind,
            "trained_range": r,
            "relative_norm": 0.5,
            "chosen": c,
            "accuracy": 0.9,
            "invariance": r / 180,
            "top_share": 0.1,
            "error_rate": e,
            **RATES,
        }
        for r in (180.0, 0.0)
        for kind, c, e in (
            ("singular vector", True, 0.6),
            ("singular vector", False, 0.2),
            ("random direction", True, 0.1),
        )
    ]
    axes = plots_courses.ranges(pd.DataFrame(rows)).axes
    by_label = {ax.get_ylabel(): ax for ax in axes}
    assert drawn(by_label["invariance"], "n") == ([0.0, 180.0], [0.0, 1.0])
    assert drawn(by_label["error rate"], "n") == ([0.0, 180.0], [0.6, 0.6])
    assert drawn(by_label["error rate"], "n, random direction") == ([0.0, 180.0], [0.1, 0.1])


def test_survival_ends_where_nothing_is_left():
    rows = [
        {
            "status": "run", "model": "n", "attack": "fgsm", "kind": "trained", "sample": sample, "delta": d,
            "survival": s, "bound": b,
        }
        for sample in ("held out", "in sample")
        for d, s, b in ((0.0, 1.0, 0.1), (0.3, 0.2, 0.0), (0.9, 0.0, 0.0))
    ]  # fmt: skip
    ax = plots_directions.survival(pd.DataFrame(rows)).axes[0]
    assert ax.get_xlim() == pytest.approx((0, 0.4))
    assert drawn(ax, "bound of Theorem 1")[1] == [0.1, 0, 0]


def test_training_seeds_share_a_colour_and_one_label():
    curve = pd.DataFrame({"epoch": [1, 2], "test_accuracy": [0.8, 0.9], "train_accuracy": [0.7, 0.8]})
    (ax,) = plots_directions.training({"a": curve, "a_seed1": curve + 0, "b": curve}).axes
    assert drawn(ax, "a, test") == ([1, 2], [0.8, 0.9])
    assert len(ax.lines) == 6
    assert len({line.get_color() for line in ax.lines}) == 2
    assert len(ax.get_legend_handles_labels()[1]) == 4
