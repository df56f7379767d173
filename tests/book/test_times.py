"""The page of execution times: the seconds are those of the items' pages and of the stored runs, and the totals are theirs."""

import json
import re

import pytest

from uapkit import runner
from uapkit.book import markup, page, scoreboard, times

NAME = "khrulkov2018/tab1_layers"


@pytest.fixture
def build(tmp_path):
    """A build folder in which one item was made."""
    notebook, status = tmp_path / "staging" / "notebooks" / f"{NAME}.ipynb", tmp_path / "status" / f"{NAME}.json"
    made = page.Page(NAME)
    made.quick = made.full  # any run; its seconds are what the page says
    output = {"output_type": "execute_result", "data": {"text/html": made.about().data}, "metadata": {}}
    for path, what in ((notebook, {"cells": [{"outputs": [output]}]}), (status, {"item": NAME, "seconds": 6.5})):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(what))
    return tmp_path


def test_the_seconds_are_those_at_the_foot_of_the_page(build):
    found = {one.item: one for one in times.rows(build)}
    assert set(found) == {r["item"] for r in scoreboard.records() if r["page"]}
    seconds = runner.stored_run(NAME).provenance["seconds"]
    assert (found[NAME].quick, found[NAME].page, found[NAME].full) == (seconds, 6.5, seconds)
    other = next(one for name, one in found.items() if name != NAME)
    assert (other.quick, other.page) == (None, None), "what was not made has no time"


def test_the_table_sorts_by_numbers_and_ends_with_its_totals(build):
    made = [
        times.Time("a/one", "M", "<One>", 1.5, 20.0, 7200.0, at_most=False),
        times.Time("b/two", "K", "Two", 2.5, None, None, at_most=True),
    ]
    text = times.fragment(made)
    assert (
        "All quick runs of this book took 4.0 s together, all 2 pages 20 s. The 1 stored full runs cost 2.0 h." in text
    )
    assert 'data-full="7200.0"' in text
    assert "&lt;One&gt;" in text
    assert "<td>–</td>" in text
    assert re.findall(r'data-key="(\w+)"', text) == [key for key, _ in times.HEAD]
    assert all(f"data-{key}=" in text for key, _ in times.HEAD)
    assert "<tfoot><tr><td></td><td>all</td><td>4.0 s</td><td>20 s</td><td>2.0 h</td></tr></tfoot>" in text
    bound = times.fragment([made[0]._replace(at_most=True)])
    assert "at most 2.0 h" in bound


def test_times_are_read_as_people_say_them():
    assert [markup.duration(s) for s in (None, 0.4, 90, 150, 36_000)] == ["–", "0.4 s", "90 s", "2.5 min", "10 h"]
    assert markup.duration(150, at_most=True) == "at most 2.5 min"


def test_the_page_is_written_where_the_book_includes_it(build):
    times.write(build)
    text = (build / "staging" / "book" / "_generated" / times.NAME).read_text(encoding="utf-8")
    assert f"notebooks/{NAME}.html" in text
    source = (runner.project_root() / "book" / "times.md").read_text(encoding="utf-8")
    assert f"_generated/{times.NAME}" in source
