"""Curves and pickers that several items share: every line and null that the table holds, and vectors as they are stored."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from uapkit import runner
from uapkit.figures.style import look
from uapkit.lab import Run
from uapkit.papers.khrulkov2018 import drawing


def rates(**columns):
    n = len(next(iter(columns.values())))
    base = {"model": ["net"] * n, "status": ["run"] * n, "fooling_rate": [0.5] * n, "low": [0.4] * n, "high": [0.6] * n}
    return Run.of(pd.DataFrame(base | columns))


def lines_of(ax):
    return {line.get_label(): line for line in ax.lines}


def test_curves_give_infinity_a_place_and_draw_both_nulls():
    run = rates(
        kind=["singular vector"] * 3 + ["random signs", "untrained network"],
        q=[1.0, 10.0, math.inf, np.nan, np.nan],
        fooling_rate=[0.1, 0.5, 0.6, 0.02, 0.03],
    )
    ax = drawing.curves(run, "q").axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10", "inf"]
    labels = {t.get_label() for t in (*ax.lines, *ax.patches, *ax.containers)}
    assert {"singular vector", "random signs", "untrained copy"} <= labels
    assert lines_of(ax)["untrained copy"].get_color() == look("untrained network").colour


def test_curves_draw_kinds_without_an_x_across():
    run = rates(
        kind=["gradient ascent", "gradient ascent", "power method"],
        step=[0.1, 1.0, np.nan],
        fooling_rate=[0.1, 0.2, 0.7],
    )
    assert list(lines_of(drawing.curves(run, "step").axes[0])["power method"].get_ydata()) == [0.7, 0.7]


def test_curves_draw_the_mean_of_several_draws():
    run = rates(kind=["fixed batch"] * 4, b=[2, 2, 4, 4], fooling_rate=[0.1, 0.3, 0.5, 0.7])
    assert lines_of(drawing.curves(run, "b").axes[0])["fixed batch"].get_ydata() == pytest.approx([0.2, 0.6])


def test_a_kind_without_a_look_is_refused():
    with pytest.raises(ValueError, match="no look for 'something new'"):
        drawing.curves(rates(kind=["something new"], q=[1.0]), "q")


def test_nothing_run_is_said():
    run = Run.of(pd.DataFrame({"model": ["vgg19"], "status": ["not run here"]}))
    assert [t.get_text() for t in drawing.curves(run, "q").axes[0].texts] == ["not run here"]


def states(widget):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', widget.html, re.S).group(1))


def test_stored_gallery_is_picked_by_layer():
    run = runner.stored_run("khrulkov2018/fig1_gallery")
    widget = drawing.vectors(run, by="layer")
    rows = run.where(kind="vector")
    assert widget.states == len(rows)
    assert len(widget.html) < 500_000
    assert f"{rows['singular_value'].iloc[0]:.4g}" in states(widget)["states"][0]["words"]


def of_q(qs, arrays, **more):
    table = pd.DataFrame({"model": "m", "layer": "1", "status": "run", "kind": "vector", "q": qs, **more})
    return Run(table, {f"v/m/q = {q:g}": v for q, v in zip(qs, arrays, strict=True)})


def test_vectors_by_q_shows_infinity():
    run = of_q([1.0, np.inf], np.ones((2, 1, 5, 5)), singular_value=[1.5, 2.5])
    data = states(drawing.vectors(run, by="q"))
    assert data["controls"][1]["values"] == ["1", "∞"]
    assert data["states"][1]["words"].endswith("singular value: <strong>2.5</strong>")


def test_many_large_vectors_are_shown_by_their_middle():
    v = np.arange(3 * 224 * 224, dtype=float).reshape(3, 224, 224)
    assert np.array_equal(drawing.middle_of(v, 160), v[:, 32:192, 32:192])
    assert drawing.middle_of(v[:, :28, :28], 160).shape == (3, 28, 28)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (30, 3, 224, 224))
    widget = drawing.vectors(of_q(np.arange(30.0), signs), by="q")
    assert len(widget.html) < 500_000
    assert "middle 160 x 160" in widget.html
