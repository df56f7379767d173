"""Tables of item pages: five columns at most, the rest folded, numbers beside their intervals, no markup from data."""

import re

import numpy as np
import pandas as pd
import pytest

from uapkit.book import tables
from uapkit.runner import catalogue, results

RATES = {"fooling_rate": [0.512, 0.25, np.nan], "low": [0.42, 0.2, np.nan], "high": [0.58, 0.3, np.nan]}
WIDE = pd.DataFrame(
    {
        "model": ["a", "a", "b"],
        "weights": ["t", "t", "s"],
        "kind": ["UAP", "UAP", "signs"],
        "eps": [0.1, 0.2, 0.3],
        "steps": [1, 2, 3],
        "confidence": [0.12345, 0.5, 0.75],
        **RATES,
        "n": [100, 101, 102],
    }
)


def heads(text):
    return [re.findall(r'<th scope="col">(.*?)</th>', part) for part in text.split("<table")[1:]]


def before_fold(text):
    return text.partition("<details")[0]


def test_number_and_interval_share_a_cell_to_the_digits_that_the_interval_supports():
    text = tables.table(pd.DataFrame({"layer": ["l1", "l2", "l3"], **RATES})).data
    assert "0.5\u00a0[0.4,\u00a00.6]" not in text, "the interval supports the second decimal"
    assert "<td>0.51\u00a0[0.42,\u00a00.58]</td>" in text
    assert "<td>–</td>" in text, "a missing number is a dash"
    assert heads(text) == [["layer", "fooling rate"]]


def test_an_interval_joins_the_column_of_its_name_and_never_one_outside_it():
    named = {"share": [0.1, 0.3], "error_rate": [0.5, 0.6], "gain": [0.55, 0.65]}
    ends = {"error_low": [0.4, 0.5], "error_high": [0.7, 0.8]}
    cells, measured = tables.with_intervals(pd.DataFrame({**named, **ends}))
    assert measured == ["error_rate"]
    assert list(cells.columns) == ["share", "error_rate", "gain"]
    cells, measured = tables.with_intervals(pd.DataFrame({"share": [0.1, 0.3], **ends}))
    assert measured == []
    assert list(cells.columns) == ["share", "error_low", "error_high"]


def test_a_wide_table_shows_five_columns_and_folds_the_whole():
    text = tables.table(WIDE, "Run").data
    few, whole = heads(text)
    assert few == ["model", "kind", "eps", "fooling rate", "confidence"]
    assert whole == [*few, "weights", "steps", "n"]
    assert "all 8 columns" in text
    assert before_fold(text).count("<table") == 1


def test_a_table_of_five_columns_has_no_fold():
    assert "<details" not in tables.table(WIDE[["model", "kind", "fooling_rate", "low", "high", "n"]]).data


def test_a_caller_may_name_the_columns_and_no_more_than_five():
    assert heads(tables.table(WIDE, shown=["n", "model"]).data)[0] == ["n", "model"]
    with pytest.raises(ValueError, match="at most 5 columns before its fold, got 6"):
        tables.table(WIDE, shown=list(WIDE.columns[:6]))


def stored_items():
    return [name for name in catalogue.items() if catalogue.item(name).path("csv").is_file()]


@pytest.mark.parametrize("name", stored_items())
def test_no_stored_table_has_more_than_five_columns_before_its_fold(name):
    """Every stored table, whole, as the widest that a page could show; no interval that lies beside its number."""
    frame = results.load(name).head(40)
    few = heads(before_fold(tables.table(frame, name).data))
    assert len(few) == 1
    assert 1 <= len(few[0]) <= tables.MOST
    assert not [head for head in few[0] if head.endswith((" low", " high")) and head != "d low"]


def test_what_is_the_same_everywhere_goes_to_the_caption():
    text = tables.table(pd.DataFrame({"model": ["a", "a"], "layer": ["l1", "l2"], "n": [100, 100]}), "Run").data
    assert "Run (model a, n 100)" in text
    assert ">model<" not in text


def test_tables_escape_what_they_show():
    assert "<script>" not in tables.table(pd.DataFrame({"x": ["<script>", "b"]}), "<b>").data
    assert "<b>" not in tables.table(pd.DataFrame({"x": ["a", "b"]}), "<b>").data


def test_a_matrix_is_shown_whole_with_letters_that_can_be_read_on_every_cell():
    grid = pd.DataFrame({"computed for": ["vgg_f", "<b>"], **{f"to_{k}": [k / 10, np.nan] for k in range(11)}})
    text = tables.matrix(grid, "rates <of> all").data
    assert "<details" not in text
    assert heads(text) == [["computed for", *(f"to {k}" for k in range(11))]]
    assert '<th scope="row">VGG-F</th>' in text
    assert "&lt;b&gt;" in text
    assert "rates &lt;of&gt; all" in text
    assert text.count("<td>–</td>") == 11
    cells = re.findall(r"background: (#\w+); color: (#\w+)\">([\d.]+)<", text)
    assert [float(shown) for _, _, shown in cells] == [k / 10 for k in range(11)]
    assert all(contrast(ground, ink) >= 4.5 for ground, ink, _ in cells)
    with pytest.raises(ValueError, match=r"shares in \[0, 1\], got"):
        tables.matrix(grid.assign(to_0=1.2), "x")


def contrast(*colours):
    """WCAG's ratio of two colours."""

    def light(colour):
        value = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(value[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted(map(light, colours))
    return (high + 0.05) / (low + 0.05)
