"""Kept answers: the same as computed ones, for every item; made anew when what they depend on has changed, only then."""

import json
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from uapkit import runner, sources
from uapkit.runner import drawn, verdicts

NAME, JUDGE = "khrulkov2018/tab1_layers", "uapkit.runner.verdicts:judge"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))
    return tmp_path / "drawn"


@pytest.fixture
def counted(monkeypatch):
    """The items that were computed, in order."""
    made, judge = [], verdicts.judge
    monkeypatch.setattr(verdicts, "judge", lambda name: made.append(name) or judge(name))
    return made


def test_kept_is_what_was_computed(cache):
    fresh = verdicts._compared(NAME, runner.stored_run(NAME))
    for _ in range(2):
        kept = runner.compare(NAME)
        pd.testing.assert_frame_equal(kept, fresh)
        assert repr(kept.attrs["evidence"]) == repr(fresh.attrs["evidence"])
        pd.testing.assert_frame_equal(runner.evidence(NAME), verdicts._evidence(NAME, runner.stored_run(NAME)))


def test_computed_once(cache, counted):
    assert runner.item_verdict(NAME) == runner.item_verdict(NAME)
    assert counted == [NAME]


def test_another_file_of_the_package_costs_no_computation(cache, counted, monkeypatch):
    word = runner.item_verdict(NAME)
    monkeypatch.setattr(drawn, "_state", lambda: "another state of the project")
    assert runner.item_verdict(NAME) == word
    assert counted == [NAME]


@pytest.mark.parametrize("changed", ["code", "run", "the run that holds its null"])
def test_code_and_stored_run_are_in_the_key(cache, counted, monkeypatch, changed):
    runner.item_verdict(NAME)
    monkeypatch.setattr(drawn, "_state", lambda: "another state of the project")
    if changed == "code":
        code = sources.code_of
        monkeypatch.setattr(sources, "code_of", lambda m, n: code(m, n) + ("x" if n == "claims" else ""))
    else:
        read = drawn._bytes
        stem = NAME.split("/")[1] if changed == "run" else "ext_patterns"
        monkeypatch.setattr(drawn, "_bytes", lambda path: read(path) + ("x" if path.name == f"{stem}.npz" else ""))
    runner.item_verdict(NAME)
    assert counted == [NAME, NAME]


@pytest.mark.parametrize("function", [JUDGE, "uapkit.book.record:record"])
def test_the_catalogues_entry_is_in_the_key(monkeypatch, function):
    """A record shows the item's title and ids, and the paper's short name: none of them is code."""
    about = runner.item(NAME)
    before = drawn._key(function, about)
    assert drawn._key(function, replace(about, title="Another")) != before
    assert drawn._key(function, replace(about, ids=("X1",))) != before
    other = {key: paper | {"short": "Z"} for key, paper in runner.papers().items()}
    monkeypatch.setattr(drawn, "papers", lambda: other)
    assert drawn._key(function, about) != before


def test_every_file_that_a_key_is_made_of_is_in_the_state(tmp_path, monkeypatch):
    before = drawn._state()
    monkeypatch.setattr(drawn, "PACKAGE", tmp_path)
    assert drawn._state() != before
    (tmp_path / "a.py").write_text("x = 1")
    one = drawn._state()
    (tmp_path / "a.py").write_text("x = 23")
    assert drawn._state() != one


def test_a_damaged_entry_is_computed_anew(cache, counted):
    word = runner.item_verdict(NAME)
    for path in cache.glob("*.json"):
        path.write_text("{")
    assert runner.item_verdict(NAME) == word
    assert counted == [NAME, NAME]


def test_listing_with_kept_answers_loads_neither_torch_nor_pandas(cache):
    runner.item_verdict(NAME)
    code = (
        f"import sys; from uapkit import runner; print(runner.item_verdict({NAME!r}), runner.items()[{NAME!r}].title)"
    )
    code += f"; from uapkit.runner.locate import places; places(runner.item({NAME!r}))"
    code += "; print([m for m in ('torch', 'pandas', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_kept_answers_are_strict_enough_to_be_read(cache):
    runner.item_verdict(NAME)
    for path in cache.glob("*.json"):
        json.loads(path.read_text())
