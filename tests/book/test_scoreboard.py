"""The scoreboard: every experiment has its row, every row its places, and nothing in it is typed."""

import dataclasses
import json
import math

import pandas as pd
import pytest

from uapkit import runner
from uapkit.book import record as about
from uapkit.book import scoreboard, waiting
from uapkit.runner import results, verdicts

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
        names = {"code": "def run(", "test": "def test_tab1_layers"}
        assert not line or text[int(line) - 1].startswith(names[place]), f"{place} points at {text[int(line) - 1]!r}"
    stored = runner.load(NAME)
    assert made["seconds"] == stored.attrs["provenance"]["seconds"]
    assert made["n"] == stored["n"].max()
    assert list(made["data"].values()) == [v for k, v in stored.attrs["provenance"]["inputs"].items() if "[" not in k]


def test_baselines_are_not_our_numbers():
    """Not even where the column that names them is no ``kind``: the item says what a null is."""
    record = next(r for r in scoreboard.records() if r["item"] == "khrulkov2018/tab1_layers")
    run = runner.stored_run(NAME)
    ours = next(level for level in record["ours"] if level["metric"] == "fooling_rate")
    assert run.rows["is_null"].any()
    assert ours["count"] == run.measured["fooling_rate"].notna().sum() < len(run.rows)
    assert ours["ends"][0]["value"] == run.measured["fooling_rate"].min()


@pytest.fixture
def one_item(monkeypatch):
    """The record of one item, computed anew, whose stored run is changed by ``change``."""
    whole = runner.stored_run(NAME)

    def records(**change):
        monkeypatch.setattr(about, "stored_run", lambda name: dataclasses.replace(whole, **change))
        return [about.record(NAME)]

    return records


def test_verdicts_wait_where_only_the_run_that_holds_their_nulls_is_stale(monkeypatch):
    why = "it was made by other code"
    monkeypatch.setattr(waiting, "stale", lambda: {"khrulkov2018/ext_patterns": why})
    found = scoreboard.table().set_index("item")["stale"]
    judged = {
        about.name for about in runner.items().values() if "khrulkov2018/ext_patterns" in dict(about.beside).values()
    }
    assert set(found[found != ""].index) == judged | {"khrulkov2018/ext_patterns"}
    assert found["khrulkov2018/ext_patterns"] == why
    assert found["khrulkov2018/tab1_layers"].endswith(f"khrulkov2018/ext_patterns, which is to be redone: {why}")
    monkeypatch.setattr(waiting, "stale", lambda: {"khrulkov2018/ext_patterns": why, "khrulkov2018/tab1_layers": "own"})
    assert waiting.waiting()["khrulkov2018/tab1_layers"] == "own"


def test_a_stale_run_is_said_in_every_copy(monkeypatch):
    assert next(r for r in scoreboard.records() if r["item"] == NAME)["stale"] == ""
    monkeypatch.setattr(waiting, "stale", lambda: {NAME: "two rows shared one answer"})
    assert scoreboard.table().set_index("item").loc[NAME, "stale"] == "two rows shared one answer"
    claims = scoreboard.claims()
    assert claims[claims["item"] == NAME]["stale"].eq("two rows shared one answer").all()
    found = next(r for r in json.loads(scoreboard.as_json()) if r["item"] == NAME)
    assert found["stale"] == "two rows shared one answer"


def test_a_stored_run_and_those_with_its_nulls_are_loaded_once(monkeypatch, tmp_path):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))
    verdicts._loaded.cache_clear()
    loads, load = [], results.load
    monkeypatch.setattr(results, "load", lambda name: loads.append(name) or load(name))
    assert about.record(NAME)["claims"]
    assert sorted(loads) == sorted([NAME, *(other for _, other in runner.item(NAME).beside)])


def test_seconds_of_old_records_are_an_upper_bound(one_item):
    record = runner.stored_run(NAME).provenance
    old = {k: v for k, v in record.items() if k != "seconds_count"}
    assert one_item(provenance=old)[0]["seconds_at_most"]
    assert not one_item(provenance=old | {"seconds_count": "each kept answer once"})[0]["seconds_at_most"]


def test_claims_carry_the_evidence_that_they_were_judged_by():
    made = next(r for r in scoreboard.records() if r["item"] == NAME)
    judged = runner.compare(NAME)
    assert [c["verdict"] for c in made["claims"]] == judged["verdict"].tolist()
    for claim in made["claims"]:
        own = runner.evidence(NAME)
        own = own[own["claim"] == claim["claim"]]
        assert [e["estimate"] for e in claim["evidence"]] == own["estimate"].tolist()


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
    assert about.interval_of(row, "fooling_rate") == (0.4, 0.6)
    assert about.interval_of(row, "error_rate") == (0.45, 0.65)
    assert about.interval_of(row, "share") is None
