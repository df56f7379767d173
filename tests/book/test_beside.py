"""What a page says of nulls from another page: right counts, names where they are few; and the page depends on both runs."""

import json

import pandas as pd
import pytest

from uapkit.book import beside, depends
from uapkit.runner import project_root


def found(*stands, model="tiny_darknet"):
    rows = []
    for k, word in enumerate(stands):
        about = {"model": model, "kind": "UAP", "q": 5.0 + k, "fooling_rate": 0.5, "null": "checks", "null_rate": 0.4}
        ends = {"difference": 0.1 + k, "difference_low": 0.05 + k, "difference_high": 0.15 + k, "n": 9}
        rows.append({**about, **ends, "stands": word})
    return pd.DataFrame(rows)


def test_rows_are_counted_and_the_few_above_are_named():
    said = beside.told(found("above", "below", "below", "open"), ["tiny_darknet", "bvlc_googlenet", "bvlc_googlenet"])
    assert "of 4 rows 1 stays above it (Tiny Darknet, UAP, q 5), 2 lie below it, 1 is open." in said
    assert said.count("GoogLeNet: no such null on the same images.") == 1
    assert "Tiny Darknet: no such null" not in said
    assert 'href="../khrulkov2018/ext_patterns.html"' in said
    assert "of 1 row none stays above it, none lies below it, 1 is open." in beside.told(
        found("open"), ["tiny_darknet"]
    )


def test_many_rows_above_are_only_counted():
    said = beside.told(found(*["above"] * 5), ["tiny_darknet"], "noise <1>", "moosavi2017/ext_stall", redo=True)
    assert "of 5 rows 5 stay above it, none lies below it, none is open." in said
    assert "Beside noise &lt;1&gt;:</strong> (to be redone)" in said
    assert 'href="../moosavi2017/ext_stall.html"' in said


def test_no_row_is_said_too():
    said = beside.told(pd.DataFrame(), ["vgg16"])
    assert "no network of this run has this null" in said
    assert beside.differences(pd.DataFrame()).data == ""


@pytest.mark.parametrize("settings", [("model", "q"), ("model", "kind", "q")])
def test_the_table_shows_settings_and_differences_in_five_columns(settings):
    frame = found("above", "below")
    shown = beside.differences(frame[[*settings, *frame.columns[3:]]]).data
    head = shown.split("</thead>")[0]
    assert head.count("<th ") == 5
    assert "difference" in head
    assert "0.10\xa0[0.05,\xa00.15]" in shown


def test_a_page_is_made_from_the_runs_that_it_shows_beside_its_own(tmp_path):
    notebook = tmp_path / "one.ipynb"
    cell = 'stall = page.beside("moosavi2017/ext_stall")\npatterns = page.beside("khrulkov2018/ext_patterns")'
    notebook.write_text(json.dumps({"cells": [{"source": [cell]}]}), encoding="utf-8")
    assert depends._beside(notebook) == ["moosavi2017/ext_stall", "khrulkov2018/ext_patterns"]
    assert depends._beside(tmp_path / "none.ipynb") == []
    files = depends.of_item("khrulkov2018/tab1_layers")
    assert {"results/khrulkov2018/tab1_layers.csv", "results/khrulkov2018/ext_patterns.npz"} <= {*files}
    assert "results/khrulkov2018/ext_patterns.npz" not in depends.of_item("khrulkov2018/sec_cost")


def test_every_page_that_reads_another_run_is_known_to_the_build():
    """A name that the build does not find would leave a page old when that run is made anew."""
    for path in sorted((project_root() / "notebooks").glob("*/*.ipynb")):
        text = path.read_text(encoding="utf-8")
        assert text.count("page.beside(") == len(depends._beside(path)), path
        assert "stored_run(" not in text, f"{path}: page.beside() names the run, so that the build knows of it"
