"""The scoreboard: every experiment has its row, every row its places, and nothing in it is typed."""

import json
import math
import re

import pandas as pd
import pytest

from uapkit import runner
from uapkit.book import html as scoreboard_html
from uapkit.book import scoreboard

ROOT = runner.project_root()
NAME = "khrulkov2018/tab1_layers"


def test_has_every_item_and_every_experiment_of_the_four_papers():
    table = scoreboard.table()
    assert table["item"].tolist() == list(runner.items())
    ids = {one for r in scoreboard.records() for one in r["experiments"]}
    counts = {paper: sum(one.startswith(paper) for one in ids) for paper in "KMEJ"}
    assert counts == {"K": 14, "M": 14, "E": 13, "J": 11}
    planned = [name for name, about in runner.items().items() if about.function is None]
    assert table.set_index("item").loc[planned, "verdict"].eq("planned").all()


def test_a_stored_run_has_its_numbers_and_places():
    made = next(r for r in scoreboard.records() if r["item"] == NAME)
    assert made["experiments"] == ["K4"]
    assert made["page"] == f"notebooks/{NAME}.html"
    for place in ("notebook", "code", "test", "result"):
        path, _, line = made[place].partition("#L")
        text = (ROOT / path).read_text(encoding="utf-8").splitlines()
        slug = NAME.split("/")[1]
        assert not line or slug in text[int(line) - 1], f"{place} points at {text[int(line) - 1]!r}"
    stored = runner.load(NAME)
    assert made["seconds"] == stored.attrs["provenance"]["seconds"]
    assert made["n"] == stored["n"].max()
    assert list(made["data"].values()) == [v for k, v in stored.attrs["provenance"]["inputs"].items() if "[" not in k]


def test_claims_carry_the_evidence_that_they_were_judged_by():
    made = next(r for r in scoreboard.records() if r["item"] == NAME)
    judged = runner.compare(NAME)
    assert [c["verdict"] for c in made["claims"]] == judged["verdict"].tolist()
    for claim in made["claims"]:
        own = runner.evidence(NAME)
        own = own[own["claim"] == claim["claim"]]
        assert [e["estimate"] for e in claim["evidence"]] == own["estimate"].tolist()


def test_baselines_are_not_our_numbers():
    rows = pd.DataFrame(
        {
            "kind": ["singular vector", "random signs", "untrained network", "shuffled pixels"],
            "status": "run",
            "fooling_rate": [0.5, 0.9, 0.9, 0.9],
        }
    )
    assert scoreboard.measured(rows)["fooling_rate"].tolist() == [0.5]
    assert len(scoreboard.measured(rows.assign(status="not run here"))) == 0


def test_json_is_strict_and_holds_every_claim():
    found = json.loads(scoreboard.as_json(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert [r["item"] for r in found] == list(runner.items())
    claims = scoreboard.claims()
    assert set(claims["item"]) == {r["item"] for r in found if r["claims"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.36875, "0.369"),
        (2077.3, "2080"),
        (800, "800"),
        (51380224.0, "5.14e7"),
        (math.nan, "–"),
        (-0.00625, "-0.00625"),
    ],
)
def test_numbers_are_short(value, text):
    assert scoreboard.number(value) == text


def test_intervals_stand_beside_estimates():
    assert scoreboard.with_interval(0.5, 0.4, 0.6) == "0.5 [0.4, 0.6]"
    assert scoreboard.with_interval(0.5, 0.5, 0.5) == "0.5"
    assert scoreboard.with_interval(3.0, math.nan, math.nan) == "3"


def test_html_has_a_row_an_item_and_escapes_what_it_shows():
    found = scoreboard_html.fragments()
    assert found["scoreboard.md"].count("<tr data-paper=") == len(runner.items())
    record = dict(scoreboard.records()[0], title="<script>alert(1)</script>")
    assert "<script>" not in scoreboard_html.table([record], "", "x")
    heads = re.findall(r'<th scope="col">(.*?)</th>', found["items_khrulkov2018.md"])
    assert heads == list(scoreboard_html.HEAD)


def test_script_knows_the_heads_and_the_rows_keys():
    """The small script sorts by keys that the rows carry, under heads that the table has."""
    script = (ROOT / "book" / "assets" / "scoreboard.js").read_text(encoding="utf-8")
    pairs = re.search(r"SORTS = \{(.*?)\}", script).group(1)
    row = scoreboard_html.table(scoreboard.records()[:1], "", "x")
    for head, key in re.findall(r'"?([\w ]+?)"?: "(\w+)"', pairs):
        assert head.strip() in scoreboard_html.HEAD
        assert f"data-{key}=" in row
    assert "http" not in script, "no request to anywhere"


def test_an_interval_belongs_to_the_value_beside_it():
    row = pd.Series(
        {
            "fooling_rate": 0.5,
            "low": 0.4,
            "high": 0.6,
            "error_rate": 0.55,
            "error_low": 0.45,
            "error_high": 0.65,
            "share": 0.5,
        }
    )
    assert scoreboard.interval_of(row, "fooling_rate") == (0.4, 0.6)
    assert scoreboard.interval_of(row, "error_rate") == (0.45, 0.65)
    assert scoreboard.interval_of(row, "share") is None
