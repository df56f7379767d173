"""Figures from tidy tables: every panel, line and null that the table holds, and nothing where nothing was run."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from uapkit.figures import curves as plots_curves


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rates(**columns):
    n = len(next(iter(columns.values())))
    base = {"model": ["net"] * n, "status": ["run"] * n, "fooling_rate": [0.5] * n, "low": [0.4] * n, "high": [0.6] * n}
    return pd.DataFrame(base | columns)


def test_curves_give_infinity_a_place_and_draw_both_nulls():
    table = rates(
        kind=["singular vector"] * 3 + ["random signs", "untrained network"],
        q=[1.0, 10.0, math.inf, np.nan, np.nan],
        fooling_rate=[0.1, 0.5, 0.6, 0.02, 0.03],
    )
    ax = plots_curves.curves(table, "q").axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10", "inf"]
    labels = {t.get_label() for t in (*ax.lines, *ax.patches, *ax.containers)}
    assert {"singular vector", "random signs", "untrained copy"} <= labels


def test_curves_draw_kinds_without_an_x_as_lines():
    table = rates(kind=["ascent", "ascent", "power method"], step=[0.1, 1.0, np.nan], fooling_rate=[0.1, 0.2, 0.7])
    lines = {line.get_label(): list(line.get_ydata()) for line in plots_curves.curves(table, "step").axes[0].lines}
    assert lines["power method"] == [0.7, 0.7]


def test_curves_draw_the_mean_of_several_draws():
    table = rates(kind=["fixed batch"] * 4, b=[2, 2, 4, 4], fooling_rate=[0.1, 0.3, 0.5, 0.7])
    lines = {line.get_label(): line.get_ydata() for line in plots_curves.curves(table, "b").axes[0].lines}
    assert lines["fixed batch"] == pytest.approx([0.2, 0.6])


def test_matrix_has_the_attacked_networks_as_rows():
    table = rates(built_on=["net", "other", "random signs"], fooling_rate=[0.5, 0.25, 0.0])
    ax = plots_curves.matrix(table).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["net"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["net", "other", "random signs"]
    assert [t.get_text() for t in ax.texts] == ["0.50", "0.25", "0.00"]


def test_convergence_shows_the_published_trace():
    table = pd.DataFrame(
        {
            "model": "net",
            "layer": "l",
            "status": "run",
            "kind": "trained",
            "start": 0,
            "iteration": [0, 1],
            "share": [0.5, 1],
        }
    )
    lines = plots_curves.convergence(table, [1.0, 3.0, 4.0]).axes[0].lines
    assert lines[1].get_ydata() == pytest.approx([0.25, 0.75, 1])


def test_beside_pairs_each_vector_with_its_features():
    arrays = {
        f"{kind}/net/{k}": np.random.default_rng(0).random((1, 8, 8)) for kind in ("v", "activation") for k in range(5)
    }
    figure = plots_curves.beside(arrays)
    assert sum(len(ax.images) for ax in figure.axes) == 10


def test_spectra_draw_one_line_a_layer():
    arrays = {f"spectrum/net/{k}": np.array([[0.1, 0.5], [2.0, 1.0]]) for k in ("conv1", "random signs")}
    assert len(plots_curves.spectra(arrays).axes[0].lines) == 2


@pytest.mark.parametrize(
    "draw", ["values", "networks", "convergence", "matrix", "top5", "linearity", "cost", "strengths"]
)
def test_nothing_run_is_said(draw):
    table = pd.DataFrame({"model": ["vgg19"], "status": ["not run here"]})
    figure = getattr(plots_curves, draw)(table)
    assert [t.get_text() for t in figure.axes[0].texts] == ["not run here"]
