"""When a stored run was last verified: said for each state of ``results/verified/``, on its page and in the scoreboard."""

import json
import re

import pytest

from uapkit import runner
from uapkit.book import checked, html, opening, scoreboard
from uapkit.runner import since, verified

NAME = "khrulkov2018/tab1_layers"
STORED = json.loads(runner.item(NAME).path("json").read_text(encoding="utf-8"))
TABLE, PYTHON = STORED["table_sha256"], STORED["versions"]["python"]
RECORD = {
    "item": NAME,
    "when": "2026-11-29",
    "how_far": "subset",
    "on": f"x86_64, 1 threads, Python {PYTHON}",
    "agrees": True,
    "equal": True,
    "rows": 12,
    "of_rows": 40,
    "commit": "c" * 40,
    "table_sha256": TABLE,
    "code_sha256": "b" * 64,
}


@pytest.fixture(autouse=True)
def the_python_of_the_stored_runs(monkeypatch):
    """Checksums of code are compared within one version of Python only."""
    monkeypatch.setattr(since.platform, "python_version", lambda: PYTHON)


@pytest.fixture
def noted(monkeypatch, tmp_path):
    """Write the record of a rerun with ``change``; every other item has none."""
    monkeypatch.setattr(verified, "path_of", lambda about: tmp_path / f"{about.paper}.{about.slug}.json")

    def write(today="b" * 64, **change):
        """What is known after it, where ``today`` is the sha256 of the present code."""
        (tmp_path / f"{NAME.replace('/', '.')}.json").write_text(json.dumps(RECORD | change))
        return checked.of(NAME, {"code": {NAME: today}, "weights": {}})

    return write


def test_what_was_never_rerun_says_so(noted):
    found = checked.of(NAME, {"code": {NAME: STORED["code_sha256"]}, "weights": {}})
    assert checked.brief(found) == "not yet checked since it was stored; same code"
    assert checked.sentences(found) == (
        "<strong>Last verified:</strong> not yet checked since it was stored. The code is the one that the run was stored with."
    )
    found = checked.of(NAME, {"code": {NAME: "f" * 64}, "weights": {}})
    assert checked.brief(found) == "not yet checked since it was stored; code changed since"
    assert "The code has changed since the run was stored." in checked.sentences(found)
    found = checked.of(NAME, {"code": {}, "weights": {}})
    assert checked.brief(found) == "not yet checked since it was stored", "what cannot be told is not said"
    assert "code" not in checked.sentences(found)


def test_the_code_of_a_rerun_is_told_apart_from_that_of_the_run(noted):
    for today, words, told in (
        (STORED["code_sha256"], "; same code", "The code is the one that the run was stored with."),
        ("b" * 64, ", with the present code", "this rerun was made with the present code."),
        ("f" * 64, "; code changed since", "The code has changed since that rerun."),
    ):
        found = noted(today=today)
        assert checked.brief(found) == f"verified 2026-11-29, a part of the run{words}"
        assert told in checked.sentences(found)
        assert ("tested.html#code-changed" in checked.sentences(found)) == (words != "; same code")
        assert (
            checked.brief(noted(today=today, agrees=False)) == f"a rerun differed 2026-11-29, a part of the run{words}"
        )


def test_other_weights_under_the_same_name_are_said(noted):
    name = next(key for key in STORED["inputs"] if key == "squeezenet1_1[gluon]")
    noted()
    now = {"code": {NAME: "b" * 64}, "weights": {name: "0" * 64}}
    found = checked.of(NAME, now)
    assert checked.brief(found).endswith(f"with the present code; other weights now: {name}")
    assert f"another file now than in the stored run:</strong> {name}." in checked.sentences(found)


def test_the_states_of_the_code_are_counted(noted):
    records = [{"commit": "c", "verified": {"code": state}} for state in (*since.STATES, since.SAME, "")]
    assert checked.code_counted(records) == (
        "Of the 5 stored runs, 2 have the code that they were stored with; 1 has other code by now and was rerun with the "
        "present one; 1 has other code than at its last rerun; 1 has other code by now and was not rerun since it was "
        f"stored. {checked.MEANS}"
    )
    assert checked.code_counted(records[-1:]) == ""
    assert checked.code_counted(scoreboard.records()) in opening.summary()


def test_a_rerun_says_when_at_what_commit_and_how_far(noted):
    found = noted()
    assert checked.brief(found) == "verified 2026-11-29, a part of the run, with the present code"
    text = checked.sentences(found)
    for part in ("2026-11-29", "<code>cccccccccc</code>", "12 of 40 rows", "equal to the last stored digit", "x86_64"):
        assert part in text
    assert "within the tolerance" in checked.sentences(noted(equal=False))
    assert "all 40 rows" in checked.sentences(noted(how_far="whole", rows=40))
    quick = checked.sentences(noted(how_far="quick run"))
    assert "the full run was not" in quick, "a quick run is no verification of the full one"


def test_a_rerun_of_another_table_says_nothing_of_this_one(noted):
    found = noted(table_sha256="d" * 64)
    assert checked.brief(found) == "not yet checked since it was stored; code changed since"
    assert "An earlier one was, on 2026-11-29." in checked.sentences(found)
    assert "verified 2026" not in html.table(_records(found), "", "x")


def test_a_rerun_that_differs_is_no_verification(noted):
    found = noted(agrees=False, equal=False)
    assert checked.brief(found) == "a rerun differed 2026-11-29, a part of the run, with the present code"
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
    assert "code changed since" in shown, "since the rerun: its checksum is nobody's"
    stored = [r for r in records if r["commit"]]
    words = checked.counted(records)
    assert words.startswith(
        f"Of the {len(stored)} stored runs, 1 were computed anew since they were stored and agree: 1 in part."
    )
    assert f"{len(stored) - 1} are not yet checked since they were stored." in words
    assert words in opening.summary()
    table = scoreboard.table().set_index("item")
    assert table.loc[NAME, "verified"] == "2026-11-29"
    assert table.loc[NAME, "code_state"] == since.OLDER
    assert set(table["code_state"]) <= {"", *since.STATES}
    assert table["verified"].astype(bool).sum() == 1


def test_what_has_no_stored_run_is_not_called_unchecked():
    row = dict(scoreboard.records()[0], commit="")
    assert "not yet checked" not in html.table([row], "", "x")
    assert re.search("stored runs?", checked.counted([row])) is None


def _records(found):
    return [dict(next(r for r in scoreboard.records() if r["item"] == NAME), verified=found)]
