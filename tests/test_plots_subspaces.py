"""Figures of spans and defences: every line that the table holds, the right axes, and a word where nothing was run."""

import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from uapkit.figures import subspaces as plots


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def spans(**columns):
    kinds = ["S_hi", "S_lo", "random", "random", "principal components"]
    base = {"model": "net", "status": "run", "kind": kinds * 2, "d": [8] * 5 + [80] * 5, "draw": [0, 0, 0, 1, 0] * 2}
    return pd.DataFrame(base | columns)


def labels(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_accuracy_averages_draws_and_keeps_their_hull():
    table = spans(accuracy=[0.9, 0.1, 0.2, 0.4, 0.8] * 2, low=0.1, high=0.95)
    figure = plots.accuracy(table)
    assert {"S_hi", "S_lo", "random", "principal components"} == labels(figure)
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines["random"] == pytest.approx([0.3, 0.3])
    assert figure.axes[0].get_xscale() == "log"


def test_confined_draws_infinite_norms_as_gaps():
    table = spans(norm=[1.0, math.inf, 3.0, 3.0, 2.0] * 2, norm_low=0.5, norm_high=4.0, image_norm=[5.0] * 10)
    whole = {"model": "net", "status": "run", "kind": "unconfined", "d": 784, "draw": 0, "norm": 1.0, "image_norm": 9.0}
    figure = plots.confined(pd.concat([table, pd.DataFrame([whole])], ignore_index=True))
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines["S_lo"] == []
    assert lines["S_hi"] == [1.0, 1.0]
    assert figure.axes[0].get_yscale() == "log"


def test_tradeoff_leaves_out_what_nobody_can_fool_and_tells_filled_from_open():
    rows = [
        ("none", 1.0),
        ("without attack directions", math.inf),
        ("without attack directions", 3.0),
        ("down-sampling", 1.2),
    ]
    rows.append(("only attack directions", 1.0))
    table = pd.DataFrame(rows, columns=["defence", "gain"]).assign(
        model="net", status="run", loss=0.1, loss_low=0.0, loss_high=0.2
    )
    table = table.assign(gain_low=table["gain"] * 0.9, gain_high=table["gain"] * 1.1)
    figure = plots.tradeoff(table)
    assert labels(figure) == {"without attack directions", "down-sampling", "only attack directions"}
    points = {c.get_label(): c.lines[0] for c in figure.axes[0].containers}
    assert list(points["without attack directions"].get_xdata()) == [3.0]
    assert points["only attack directions"].get_markerfacecolor() == "white"


def test_downsampling_has_a_line_for_each_factor_and_the_null():
    table = pd.DataFrame(
        [(k, d, f) for k in ("deepfool", "random direction") for d in (227, 100) for f in (1, 10)],
        columns=["kind", "d_low", "f"],
    ).assign(model="net", status="run", fooling_rate=0.5, low=0.4, high=0.6, accuracy=0.7)
    assert {"f = 1", "f = 10", "random direction, largest f"} <= labels(plots.downsampling(table))


def test_direct_stands_beside_the_transferred_attack():
    table = pd.DataFrame(
        [(k, d) for d in (200, 100) for k in ("direct", "transferred", "random direction")], columns=["kind", "d_low"]
    ).assign(model="net", status="run", fooling_rate=0.5, low=0.4, high=0.6, norm_ratio=1.25)
    figure = plots.direct(table)
    assert labels(figure) == {"direct", "transferred", "random direction"}
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == [
        "net\n200: norm × 1.25",
        "net\n100: norm × 1.25",
    ]


def test_energy_draws_only_the_spans_that_are_there():
    table = pd.concat([spans(attack=a, norm_share=0.5, chance=0.1) for a in ("uap", "random signs")], ignore_index=True)
    found = labels(plots.energy(table))
    assert "uap in S_hi" in found
    assert "random signs in S_hi" in found
    assert not any("curvature" in label for label in found)


def test_overlap_shows_chance():
    table = spans(overlap=[0.9, 0.1, 0.2, 0.4, 0.8] * 2, overlap_low=0.0, overlap_high=1.0, chance=0.1)
    assert "chance, d / D" in labels(plots.overlap(table))


def test_nothing_run_says_so():
    table = pd.DataFrame({"model": ["alexnet"], "status": ["not run here"]})
    assert plots.downsampling(table).axes[0].texts[0].get_text() == "not run here"
