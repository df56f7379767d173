"""The table of measurements: medians over item pages, sums over all, before beside after."""

import pandas as pd
import pytest

from uapkit.book import readable

COLUMNS = ["width", "page", "screens", "to_picture", "to_verdict", "to_claims", "tables", "tables_cut"]
COLUMNS += ["tables_over_5_columns", "smallest_lettering_px", "figures_with_text", "figures_under_8_px"]


def measured(to_picture, cut):
    rows = []
    for width in ("1280", "390"):
        rows.append((width, "notebooks/a/b", 5.0, to_picture, 0.5, 2.0, 4, cut, 1, 6.5, 3, 2))
        rows.append((width, "notebooks/a/c", 6.0, 0.25, 0.5, 3.0, 2, 0, 0, 9.0, 1, 0))
        rows.append((width, "book/papers/a", 17.0, None, None, None, 1, 0, 0, None, 0, 0))
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize("width", readable.WIDTHS)
def test_before_stands_beside_after_at_each_width(width):
    shown = readable.compared(measured(1.25, 3), measured(0.75, 0), width)
    assert list(shown.columns) == [readable.WIDTHS[width], "before", "after"]
    shown = shown.set_index(readable.WIDTHS[width])
    assert list(shown.loc["Item pages with a picture and a verdict in the first screen"]) == ["1 of 2", "2 of 2"]
    assert list(shown.loc["Tables wider than their column"]) == ["3 of 7", "0 of 7"]
    assert list(shown.loc["Screens to the first picture, median of the item pages"]) == ["0.8", "0.5"]
    assert list(shown.loc["Smallest lettering in a figure, pixels"]) == ["6.5", "6.5"]


def test_without_a_second_measurement_there_are_dashes():
    assert set(readable.compared(measured(1.25, 3), None, "390")["after"]) == {"–"}


def test_the_page_shows_what_is_stored(monkeypatch, tmp_path):
    monkeypatch.setattr(readable, "project_root", lambda: tmp_path)
    (tmp_path / "book" / "measured").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"before\.csv is missing"):
        readable.tables()
    measured(1.25, 3).to_csv(tmp_path / "book" / "measured" / "before.csv", index=False)
    assert "<td>3 of 7</td><td>–</td>" in readable.tables()
    measured(0.75, 0).to_csv(tmp_path / "book" / "measured" / "after.csv", index=False)
    assert "<td>3 of 7</td><td>0 of 7</td>" in readable.tables()
