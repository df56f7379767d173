"""From points to one table: what a row carries, what is not here keeps its row, arrays travel with the table."""

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from uapkit.checks import NotHere
from uapkit.lab.run import Arrays, Run, joined, marked, rows_of
from uapkit.lab.sweep import sweep
from uapkit.lab.together import together


def test_each_row_carries_its_point_and_the_item_has_the_last_word():
    def compute(model, layer):
        return [{"rate": 0.5, "layer": layer.upper()}, {"rate": 0.25}]

    table = sweep([{"model": "a", "layer": "x"}, {"model": "b", "layer": "y"}], compute)
    assert table.to_dict("list") == {
        "model": ["a", "a", "b", "b"],
        "layer": ["X", "x", "Y", "y"],
        "status": ["run"] * 4,
        "rate": [0.5, 0.25, 0.5, 0.25],
    }
    assert table.attrs["arrays"] == {}


def test_what_is_not_here_keeps_its_row_and_what_breaks_is_not_hidden():
    def compute(model):
        if model == "gone":
            raise NotHere("no weights")
        if model == "broken":
            raise FileNotFoundError("another file")
        return [{"rate": 1.0}], {f"v/{model}": np.ones(2)}

    table = sweep(({"model": m} for m in ("a", "gone", "b")), compute)
    assert table["status"].tolist() == ["run", "not run here", "run"]
    assert table["rate"].isna().tolist() == [False, True, False]
    assert list(table.attrs["arrays"]) == ["v/a", "v/b"]
    assert isinstance(table.attrs["arrays"], Arrays)
    with pytest.raises(FileNotFoundError, match="another file"):
        sweep([{"model": "broken"}], compute)


def test_in_company_every_point_is_gone_through_once_before_the_rows_are_made():
    calls = []

    def compute(model):
        calls.append(model)
        if model == "gone":
            raise NotHere("no weights")
        return [{"rate": 1.0}]

    with together():
        table = sweep([{"model": m} for m in ("a", "gone", "b")], compute)
    assert calls == ["a", "gone", "b"] * 2
    assert table["model"].tolist() == ["a", "gone", "b"]
    assert table["status"].tolist() == ["run", "not run here", "run"]


def test_parts_of_a_run_are_joined_with_all_their_arrays():
    def part(name):
        return sweep([{"model": name}], lambda model: ([{"rate": 1.0}], {f"v/{model}": np.full(2, ord(model))}))

    table = joined([part("a"), part("b")])
    assert table.index.tolist() == [0, 1]
    assert {name: array[0] for name, array in table.attrs["arrays"].items()} == {"v/a": 97, "v/b": 98}
    bare = part("c")
    bare.attrs = {}
    assert list(joined([part("a"), bare]).attrs["arrays"]) == ["v/a"]


def test_a_run_is_its_table_arrays_record_and_staleness():
    table = sweep([{"model": "a"}], lambda model: ([{"kind": "UAP", "n": 3}], {"v/a": np.ones(2), "va": np.zeros(1)}))
    table.attrs |= {"provenance": {"seed": 1}, "stale": "why"}
    run = Run.of(table)
    assert (run.provenance, run.stale) == ({"seed": 1}, "why")
    assert run.flags("v", "a").tolist() == [1, 1]
    assert [array.tolist() for array in run.all_flags("v")] == [[1, 1]], "va is another name"
    assert "is_null" not in table, "the item's own table stays as it is"
    assert Run.of(table.assign(status="not run here")).rows.empty
    assert len(Run.of(table.drop(columns="status")).rows) == 1
    table.attrs = {}
    assert (Run.of(table).arrays, Run.of(table).provenance, Run.of(table).stale) == ({}, {}, "")


@pytest.mark.parametrize("values", [["x", "y"], ("x", "y"), {"x", "y"}])
def test_rows_are_found_by_one_value_or_by_several(values):
    table = sweep([{"k": k} for k in ("x", "y", "z")], lambda k: [{"n": 1}, {"n": 2}])
    assert rows_of(table, k=values)["k"].tolist() == ["x", "x", "y", "y"]
    assert rows_of(table, k="x", n=2).index.tolist() == [1]
    assert rows_of(table, n=3).empty


def test_networks_come_in_the_tables_order():
    table = sweep([{"model": name} for name in ("b", "a", "b", "c")], lambda model: [{"n": 1}])
    assert [(name, len(rows)) for name, rows in Run.of(table).by_network()] == [("b", 2), ("a", 1), ("c", 1)]


def test_where_nothing_tells_of_nulls_there_are_none():
    assert marked(pd.DataFrame({"model": ["a", "b"]}))["is_null"].tolist() == [False, False]


def test_a_run_stays_as_it_is_and_is_only_equal_to_itself():
    table = sweep([{"model": "a"}], lambda model: [{"n": 1}])
    one, other = Run.of(table), Run.of(table)
    assert len({one, other, one}) == 2
    with pytest.raises(FrozenInstanceError):
        one.stale = "no"


def test_the_description_is_given_by_name():
    with pytest.raises(TypeError):
        sweep([], lambda: [], "a description")
