"""The scoreboard as HTML: a row an item, keys that its script knows, marks on what must be made again."""

import re

import pytest

from uapkit import runner
from uapkit.book import html, scoreboard

ROOT = runner.project_root()
WHY = "two rows <share> one answer"


def test_html_has_a_row_an_item_and_escapes_what_it_shows():
    found = html.fragments()
    assert found["scoreboard.md"].count("<tr data-paper=") == len(runner.items())
    record = dict(scoreboard.records()[0], title="<script>alert(1)</script>")
    assert "<script>" not in html.table([record], "", "x")
    heads = re.findall(r'<th scope="col">(.*?)</th>', found["scoreboard.md"])
    assert heads == list(html.HEAD) * len(runner.papers())


def test_script_knows_the_heads_and_the_rows_keys():
    """The small script sorts by keys that the rows carry, under heads that the table has."""
    script = (ROOT / "book" / "assets" / "scoreboard.js").read_text(encoding="utf-8")
    pairs = re.search(r"SORTS = \{(.*?)\}", script).group(1)
    row = html.table(scoreboard.records()[:1], "", "x")
    for head, key in re.findall(r'"?([\w ]+?)"?: "(\w+)"', pairs):
        assert head.strip() in html.HEAD
        assert f"data-{key}=" in row
    assert "http" not in script, "no request to anywhere"


@pytest.mark.parametrize("draw", [html.table, html.claims_table])
def test_a_stale_run_is_marked_beside_each_of_its_verdicts(draw):
    record = next(r for r in scoreboard.records() if r["item"] == "khrulkov2018/tab1_layers")
    plain, marked = (draw([dict(record, stale=why)], "", "x") for why in ("", WHY))
    assert "to be redone" not in plain
    assert marked.count("uapkit-redo") >= len(record["claims"]) == plain.count("uapkit-verdict")
    assert "two rows &lt;share&gt; one answer" in marked
    assert WHY not in marked


def test_seconds_say_what_they_are():
    record = {"seconds": 12.0, "seconds_at_most": True}
    assert html.seconds_of(record) == "at most 12"
    assert html.seconds_of(record | {"seconds_at_most": False}) == "12"
    assert html.seconds_of({"seconds": None, "seconds_at_most": False}) == "–"
