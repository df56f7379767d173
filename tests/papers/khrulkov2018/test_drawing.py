"""Curves and pickers that several items share: every line and null that the table holds, and vectors as they are stored."""

import importlib
import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from uapkit import runner
from uapkit.figures.style import look
from uapkit.lab import Run, beside
from uapkit.papers.khrulkov2018 import drawing
from uapkit.papers.khrulkov2018.ext_patterns import noise_like


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


def test_curves_draw_a_null_of_another_item_across_with_its_interval():
    run = rates(kind=["singular vector"] * 2, q=[1.0, 10.0], fooling_rate=[0.1, 0.5])
    null = beside.Null("best pattern", "checks", np.array([[True, True, True, False]]), True)
    ax = drawing.curves(run, "q", beside={"net": null, "other": null}).axes[0]
    line = lines_of(ax)["best pattern"]
    assert list(line.get_ydata()) == [0.75, 0.75]
    assert line.get_color() == look("checks").colour
    low, high = null.rate.low, null.rate.high
    assert any(np.allclose(patch.get_extents().get_points()[:, 1], ax.transData.transform([(0, low), (0, high)])[:, 1])
               for patch in ax.patches)  # fmt: skip


ITEMS = (
    ("tab1_layers", "layer"),
    ("fig_q_sweep", "q"),
    ("fig_batch_size", "batch_size"),
    ("fig_against_uap", "n_images"),
    ("tab4_transfer", "built_on"),
    ("fig_convergence", "layer"),
    ("ext_p_sweep", "p"),
    ("ext_gradient_ascent", "step"),
)


@pytest.mark.parametrize(("slug", "setting"), ITEMS)
def test_stored_rows_stand_beside_the_strongest_pattern(slug, setting):
    """Each measured row of a network with patterns once, its rate that of the table where all its images are shared."""
    item = importlib.import_module(f"uapkit.papers.khrulkov2018.{slug}")
    run, patterns = (runner.stored_run(f"khrulkov2018/{name}") for name in (slug, "ext_patterns"))
    found = item.against_patterns(run, patterns)
    assert set(found["model"]) == set(patterns.rows["model"]) & set(run.rows["model"])
    settings = list(found.columns)[: list(found.columns).index("fooling_rate")]
    assert not found.duplicated(settings).any()
    np.testing.assert_allclose(found["difference"], found["fooling_rate"] - found["null_rate"], atol=1e-9)
    best = patterns.where(model="tiny_darknet", kind=list(beside.PATTERNS)).sort_values("held_in_rate").iloc[-1]
    mine = found[found["model"] == "tiny_darknet"]
    assert set(mine["null"]) == {f"{best['kind']}, {best['setting']}"}
    rows = run.where(model="tiny_darknet")
    rows = rows[rows[setting].notna()] if slug != "fig_convergence" else rows.sort_values("iteration")
    for row in mine.to_dict("records"):
        same = rows[(rows[setting] == row[setting]) & rows["fooling_rate"].notna() & ~rows["is_null"]]
        for name in ("kind", "norm"):
            same = same[same[name] == row[name]] if name in row else same
        same = same.groupby("start")["fooling_rate"].last() if slug == "fig_convergence" else same["fooling_rate"]
        if slug == "fig_convergence":
            assert abs(row["fooling_rate"] - same.mean()) < 0.02, "its table has 832 images, the patterns' 800"
        elif setting != "step" or row["step"] == row["step"]:
            assert row["fooling_rate"] == pytest.approx(same.mean(), abs=1e-6)
    assert item.against_patterns(run, None).empty


def test_noise_with_a_vectors_spectrum_is_that_of_the_very_vector():
    run, patterns = (runner.stored_run(f"khrulkov2018/{name}") for name in ("tab1_layers", "ext_patterns"))
    network = "mobilenet_v2[tflite_int8]"
    first, second = (run.flags("fooled", network, layer) for layer in ("features.0.2", "features.5.conv.0.2"))
    noise = noise_like(run, patterns, network, first)  # features.0 there is features.0.2 here
    draws = patterns.where(model=network, kind="random phase", layer="features.0")["fooling_rate"]
    assert noise.rate.value == pytest.approx(draws.mean(), abs=1e-6)
    assert noise.what == "random phase, features.0"
    assert noise_like(run, patterns, network, second) is None
    assert noise_like(run, None, network, first) is None


@pytest.mark.parametrize(("slug", "place"), [("fig_q_sweep", "10"), ("ext_p_sweep", "inf")])
def test_noise_with_the_spectrum_stands_at_the_x_of_its_vector(slug, place):
    item = importlib.import_module(f"uapkit.papers.khrulkov2018.{slug}")
    run, patterns = (runner.stored_run(f"khrulkov2018/{name}") for name in (slug, "ext_patterns"))
    axes = {ax.get_title(): ax for ax in item.figure(run, patterns).axes}
    labels = [t.get_text() for t in axes["Tiny Darknet"].get_xticklabels()]
    bar = next(bar for bar in axes["Tiny Darknet"].containers if bar.get_label() == "random phase")
    draws = patterns.where(model="tiny_darknet", kind="random phase", layer="conv1")["fooling_rate"]
    assert bar.lines[0].get_xydata()[0].tolist() == pytest.approx([labels.index(place), draws.mean()], abs=1e-6)
    others = {ax.get_title(): ax for ax in item.figure(run, without_googlenet(patterns)).axes}
    assert "random phase" not in {bar.get_label() for bar in others["GoogLeNet"].containers}
    assert "random phase" in {bar.get_label() for bar in others["Tiny Darknet"].containers}


def without_googlenet(run):
    """The run as if it had not measured GoogLeNet."""
    return replace(run, table=run.table[run.table["model"] != "bvlc_googlenet"])


def test_table_1_and_table_4_draw_the_pattern_where_it_was_measured():
    patterns = runner.stored_run("khrulkov2018/ext_patterns")
    layers, transfer = (
        importlib.import_module(f"uapkit.papers.khrulkov2018.{slug}") for slug in ("tab1_layers", "tab4_transfer")
    )
    run = runner.stored_run("khrulkov2018/tab1_layers")
    assert all("best pattern" in lines_of(ax) for ax in layers.figure(run, patterns).axes)
    drawn = layers.figure(run, without_googlenet(patterns))
    with_pattern = [ax.get_title() for ax in drawn.axes if "best pattern" in lines_of(ax)]
    assert "GoogLeNet" not in with_pattern
    assert len(with_pattern) == len(drawn.axes) - 1
    ax = transfer.figure(runner.stored_run("khrulkov2018/tab4_transfer"), patterns).axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()][-1] == "best pattern"
    numbers = [t.get_text() for t in ax.texts]
    null = beside.strongest_pattern(run, patterns, "tiny_darknet")
    assert f"{null.rate.value:.2f}" in numbers
    alone = transfer.figure(runner.stored_run("khrulkov2018/tab4_transfer")).axes[0]
    assert "best pattern" not in {t.get_text() for t in alone.get_xticklabels()}
