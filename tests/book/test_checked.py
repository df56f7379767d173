"""When a stored run was last verified: said for each state of ``results/verified/``, on its page and in the scoreboard."""

import json
import re

import pytest

from uapkit import runner
from uapkit.book import checked, html, opening, scoreboard
from uapkit.runner import verified

NAME = "khrulkov2018/tab1_layers"
TABLE = json.loads(runner.item(NAME).path("json").read_text(encoding="utf-8"))["table_sha256"]
RECORD = {
    "item": NAME,
    "when": "2026-11-29",
    "how_far": "subset",
    "on": "x86_64, 1 threads",
    "agrees": True,
    "equal": True,
    "rows": 12,
    "of_rows": 40,
    "commit": "c" * 40,
    "table_sha256": TABLE,
}


@pytest.fixture
def noted(monkeypatch, tmp_path):
    """Write the record of a rerun with ``change``; every other item has none."""
    monkeypatch.setattr(verified, "path_of", lambda about: tmp_path / f"{about.paper}.{about.slug}.json")

    def write(**change):
        (tmp_path / f"{NAME.replace('/', '.')}.json").write_text(json.dumps(RECORD | change))
        return checked.of(NAME)

    return write


def test_what_was_never_rerun_says_so(noted):
    found = checked.of(NAME)
    assert checked.brief(found) == "not yet checked since it was stored"
    assert checked.sentences(found) == "<strong>Last verified:</strong> not yet checked since it was stored."


def test_a_rerun_says_when_at_what_commit_and_how_far(noted):
    found = noted()
    assert checked.brief(found) == "verified 2026-11-29, a part of the run"
    text = checked.sentences(found)
    for part in ("2026-11-29", "<code>cccccccccc</code>", "12 of 40 rows", "equal to the last stored digit", "x86_64"):
        assert part in text
    assert "within the tolerance" in checked.sentences(noted(equal=False))
    assert "all 40 rows" in checked.sentences(noted(how_far="whole", rows=40))
    quick = checked.sentences(noted(how_far="quick run"))
    assert "the full run was not" in quick, "a quick run is no verification of the full one"


def test_a_rerun_of_another_table_says_nothing_of_this_one(noted):
    found = noted(table_sha256="d" * 64)
    assert checked.brief(found) == "not yet checked since it was stored"
    assert "An earlier one was, on 2026-11-29." in checked.sentences(found)
    assert "verified 2026" not in html.table(_records(found), "", "x")


def test_a_rerun_that_differs_is_no_verification(noted):
    found = noted(agrees=False, equal=False)
    assert checked.brief(found) == "a rerun differed 2026-11-29, a part of the run"
    assert "did not agree" in checked.sentences(found)
    assert "Last verified" not in checked.sentences(found)
    assert "0 were computed anew since they were stored and agree; 1 did not agree." in checked.counted(_records(found))


def test_the_scoreboard_shows_and_counts_it(noted):
    noted()
    records = scoreboard.records()
    row = next(r for r in records if r["item"] == NAME)
    shown = html.table([row], "", "x")
    assert "verified 2026-11-29, a part of the run" in shown
    assert 'data-verified="2026-11-29"' in shown
    stored = [r for r in records if r["commit"]]
    words = checked.counted(records)
    assert words.startswith(
        f"Of the {len(stored)} stored runs, 1 were computed anew since they were stored and agree: 1 in part."
    )
    assert f"{len(stored) - 1} are not yet checked since they were stored." in words
    assert words in opening.summary()
    table = scoreboard.table().set_index("item")
    assert table.loc[NAME, "verified"] == "2026-11-29"
    assert table["verified"].astype(bool).sum() == 1


def test_what_has_no_stored_run_is_not_called_unchecked():
    row = dict(scoreboard.records()[0], commit="")
    assert "not yet checked" not in html.table([row], "", "x")
    assert re.search("stored runs?", checked.counted([row])) is None


def _records(found):
    return [dict(next(r for r in scoreboard.records() if r["item"] == NAME), verified=found)]
