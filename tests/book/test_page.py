"""What pages show: readable tables, the setting of a run, rows that wait for weights, no markup from data."""

import re

import numpy as np
import pandas as pd
import pytest

from uapkit import runner
from uapkit.book import page
from uapkit.figures import style as plots

NAME = "khrulkov2018/tab1_layers"
ROWS = pd.DataFrame(
    {
        "model": ["a", "a", "vgg19"],
        "weights": ["t", "t", "default"],
        "layer": ["l1", "l2", "block2_pool"],
        "status": ["run", "run", "not run here"],
        "fooling_rate": [0.5, 0.25, np.nan],
        "low": [0.4, 0.2, np.nan],
        "high": [0.6, 0.3, np.nan],
        "n": [100, 100, np.nan],
    }
)
RECORD = {
    "params": {"data": "imagenet-sample", "n_fit": 64, "n_eval": 100},
    "seconds": 12.5,
    "device": "cpu",
    "commit": "c" * 40,
    "dirty": False,
    "threads": 1,
    "dtype": "float32",
    "rows": 3,
    "table_sha256": "d" * 64,
    "inputs": {"imagenet-sample/test": "e" * 64},
    "versions": {"torch": "2"},
}


@pytest.fixture
def full(monkeypatch):
    table = ROWS.copy()
    table.attrs = {"provenance": RECORD, "arrays": {}}
    monkeypatch.setattr(runner, "stored", lambda name: table)
    return table


def test_rate_and_interval_share_a_cell():
    text = page.table(ROWS[["layer", "fooling_rate", "low", "high"]]).data
    assert "0.500\u00a0[0.400,\u00a00.600]" in text
    assert "<td>–</td>" in text, "a missing number is a dash"
    assert ">low<" not in text


def test_what_is_the_same_everywhere_goes_to_the_caption():
    text = page.table(ROWS.iloc[:2][["model", "layer", "n"]], "Run").data
    assert "Run (model a, n 100)" in text
    assert ">model<" not in text


def test_tables_escape_what_they_show():
    assert "<script>" not in page.table(pd.DataFrame({"x": ["<script>", "b"]}), "<b>").data
    assert "<b>" not in page.table(pd.DataFrame({"x": ["a", "b"]}), "<b>").data


def test_setting_names_networks_images_and_n(full, monkeypatch):
    text = page.setting(full, "Stored full run").data
    for part in ("networks a", "imagenet-sample", "64 to fit", "100 to score", "12.5 s on cpu"):
        assert part in text
    assert "vgg19" not in text, "a network that was not run is not named as run"
    assert "no full run is stored" in page.setting(None, "Stored full run").data
    monkeypatch.setitem(RECORD, "params", {"data": "imagenet-sample", "n_fit": 64, "n_repeat": 3})
    assert "to score" not in page.setting(full, "Stored full run").data, (
        "where nothing is scored, n counts something else"
    )


def test_rows_not_run_name_the_command(full):
    text = page.not_run(NAME).data
    first = next(iter(runner.item(NAME).path("full").read_text().splitlines()))
    assert first.removeprefix("# ") in text  # what the full run is, in its own words
    assert "vgg19" in text
    assert f"uapkit run {NAME} --full --save" in text


def test_provenance_shows_commit_inputs_and_versions(full):
    text = page.provenance(NAME).data
    for part in ("c" * 40, "imagenet-sample/test", "version of torch", "parameter n_fit"):
        assert part in text


def test_published_has_one_column_a_quantity():
    text = page.published(NAME).data
    heads = re.findall(r'<th scope="col">(.*?)</th>', text)
    assert {"singular value", "fooling rate"} <= set(heads)
    assert "1165.74" in text
    assert "0.60" in text, "the paper's own digits"
    assert "no number" in page.published("khrulkov2018/fig_examples").data


def test_layers_figure_has_a_panel_a_network_and_the_null():
    table = ROWS.iloc[:2].assign(kind="singular vector", singular_value=[1.0, 2.0])
    null = table.iloc[:1].assign(kind="random signs", fooling_rate=0.1, low=0.05, high=0.15)
    figure = plots.layers(pd.concat([table, null], ignore_index=True))
    (axes,) = figure.axes
    assert [t.get_text().split("\n")[0] for t in axes.get_xticklabels()] == ["l1", "l2"]
    assert "random signs" in axes.get_legend_handles_labels()[1]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.5, 0.25])


def test_pictures_stretch_or_keep_the_scale():
    v = np.array([[[0.1, -0.1]]], dtype=np.float32)
    np.testing.assert_allclose(plots.as_picture(v, stretch=True)[0, :, 0], [1, 0])
    np.testing.assert_allclose(plots.as_picture(v, stretch=False)[0, :, 0], [0.6, 0.4], rtol=1e-6)
    assert plots.as_picture(np.zeros((3, 2, 2), dtype=np.float32), stretch=True).shape == (2, 2, 3)


def test_figures_leave_pyplots_list():
    """A figure that stays open is shown a second time at the end of a notebook's cell."""
    import matplotlib.pyplot as plt

    open_before = plt.get_fignums()
    table = ROWS.iloc[:2].assign(kind="singular vector", singular_value=[1.0, 2.0])
    assert plots.layers(table).axes
    assert plt.get_fignums() == open_before


def test_long_layer_names_break():
    assert plots.broken("features.4.expand3x3_activation") == "features.4.\nexpand3x3_activation"
    assert plots.broken("block2_pool") == "block2_pool"


def test_a_network_with_fewer_images_to_score_is_named():
    run = pd.DataFrame({"model": ["a", "a", "b", "c", "d"], "n": [1000, 30, 1000, 100, float("nan")]})
    assert page._scored(run) == "1000 to score (100 for c)"
    assert page._scored(run[run["model"] != "c"]) == "1000 to score"
    assert page._scored(run[run["model"] == "d"]) == page._scored(run[["model"]]) == ""
