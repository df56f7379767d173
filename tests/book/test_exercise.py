"""Exercises: one for each item, runnable as printed, and what they say comes is what came when they were measured."""

import html
import re
import shlex

import pandas as pd
import pytest

from uapkit import runner
from uapkit.book import exercise
from uapkit.lab import Run
from uapkit.runner.given import parameters

ALL = exercise.exercises()
CHEAP = (
    "khrulkov2018/tab1_layers",
    "equivariant2019/fig1_energy",
    "moosavi2017/fig10_subspace",
    "jetley2018/fig2_positive",
)


def test_every_item_has_an_exercise_and_all_levels_occur():
    assert set(ALL) == set(runner.items())
    assert {one.level for one in ALL.values()} == set(exercise.LEVELS)
    assert {one.comes for one in ALL.values()} == set(exercise.OUTCOMES)


@pytest.mark.parametrize("name", ALL)
def test_an_exercise_changes_one_parameter_that_the_item_has(name):
    one = ALL[name]
    parameter, value = one.change
    defaults = runner.item(name).parameters
    assert runner.check_parameters(runner.item(name), {parameter: value})[parameter] == value
    default = list(defaults[parameter]) if isinstance(defaults[parameter], tuple) else defaults[parameter]
    assert value != default, "nothing would change"
    assert default is None or type(value) is type(default)


@pytest.mark.parametrize("name", ALL)
def test_an_exercise_asks_and_says_why_and_types_no_result(name):
    one = ALL[name]
    assert one.question.count("?") >= 1
    assert len(one.why.split()) > 20
    assert not re.search(r"\d\.\d\d", one.question + one.why), "numbers that came out are drawn"


@pytest.mark.parametrize("name", ALL)
def test_the_command_of_an_exercise_is_its_change(name):
    shown = exercise.box(name)
    command = html.unescape(re.search(r"<code>(uapkit run .*?)</code>", shown).group(1))
    words = shlex.split(command)
    assert words[:4] == ["uapkit", "run", name, "-p"]
    assert parameters(words[4:]) == dict([ALL[name].change])
    answer = ALL[name].why if exercise.found(ALL[name]) else "Not measured yet."
    places = [shown.index(html.escape(part)) for part in (ALL[name].question, answer)]
    assert places[0] < shown.index("<details>") < places[1], "the answer is folded"


@pytest.mark.parametrize("name", ALL)
def test_what_came_when_an_exercise_was_measured_is_what_it_says(name):
    row = exercise.found(ALL[name])
    if row is None:
        pytest.skip(f"not measured, and its page says so: python -m uapkit.book.exercise {name}")
    assert exercise.outcome(row["before"], row["after"]) == ALL[name].comes


def test_an_exercise_that_changed_counts_as_not_measured():
    one = ALL[CHEAP[0]]
    assert exercise.found(one) is not None
    assert exercise.found(one._replace(change=("n_fit", 99))) is None
    assert exercise.found(one._replace(take="smallest")) is None


def test_an_answer_says_when_and_from_what_it_was_measured(monkeypatch):
    row = {"before": 1.0, "after": 2.0, "date": "2026-11-29", "commit": "0123456789abcdef"}
    monkeypatch.setattr(exercise, "found", lambda one: row)
    assert "Measured on 2026-11-29 at commit <code>0123456789</code>." in exercise.box(CHEAP[0])
    row["commit"] = float("nan")  # an empty cell of an older file
    assert "the commit was not noted" in exercise.box(CHEAP[0])


def test_measuring_keeps_the_commit_and_refuses_changed_files(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(exercise, "measured", lambda: tmp_path / "exercises.csv")
    monkeypatch.setattr(exercise, "measure", lambda one: {**exercise._of(one), "before": 1.0, "after": 2.0})
    monkeypatch.setattr(exercise, "commit", lambda: ("abc123", True))
    with pytest.raises(SystemExit):
        exercise.main([CHEAP[0]])
    assert "commit first" in capsys.readouterr().err
    assert not (tmp_path / "exercises.csv").exists()
    monkeypatch.setattr(exercise, "commit", lambda: ("abc123", False))
    exercise.main([CHEAP[0]])
    row = exercise.found(ALL[CHEAP[0]])
    assert (row["commit"], row["before"], row["after"]) == ("abc123", 1.0, 2.0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])


def test_measuring_one_exercise_leaves_the_rows_of_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(exercise, "measured", lambda: tmp_path / "exercises.csv")
    monkeypatch.setattr(exercise, "commit", lambda: ("abc123", False))
    first, second, third = (ALL[name] for name in CHEAP[:3])

    def row(one, look):
        return {**exercise._of(one), "look": look, "before": 1.0, "after": 2.0, "date": "2026-11-29", "commit": "a"}

    def measure(one):  # meanwhile another process stores its own
        exercise._store(row(third, exercise._of(third)["look"]))
        return {**exercise._of(one), "before": 1.0, "after": 2.0}

    monkeypatch.setattr(exercise, "measure", measure)
    exercise._store(row(first, "of an exercise that has changed since"))
    exercise.main([second.item])
    assert set(pd.read_csv(tmp_path / "exercises.csv")["item"]) == {one.item for one in (first, second, third)}
    assert exercise.found(first) is None
    assert exercise.found(third)["commit"] == "a"


def test_an_exercise_that_cannot_be_run_is_named_and_the_others_are_measured(monkeypatch, tmp_path, capsys):
    def measure(one):
        if one.item == CHEAP[0]:
            raise ValueError("k must lie in [1, 25], got 30")
        return {**exercise._of(one), "before": 1.0, "after": 2.0}

    monkeypatch.setattr(exercise, "measured", lambda: tmp_path / "exercises.csv")
    monkeypatch.setattr(exercise, "measure", measure)
    monkeypatch.setattr(exercise, "commit", lambda: ("abc123", False))
    with pytest.raises(SystemExit, match=f"cannot be run as printed: {CHEAP[0]}"):
        exercise.main([*CHEAP[:2]])
    assert "got 30" in capsys.readouterr().out
    assert exercise.found(ALL[CHEAP[1]]) is not None


@pytest.mark.parametrize("name", CHEAP)
def test_an_exercise_comes_out_as_it_says(name):
    found = exercise.measure(ALL[name])
    assert exercise.outcome(found["before"], found["after"]) == ALL[name].comes


def test_less_than_a_tenth_is_no_change():
    assert [exercise.outcome(1.0, after) for after in (1.09, 0.91, 1.2, 0.8)] == ["stays", "stays", "rises", "falls"]
    assert exercise.outcome(-1.0, -1.2) == "falls"


def test_the_number_is_taken_of_the_rows_asked_for():
    run = Run.of(pd.DataFrame({"kind": ["a", "a", "b"], "rate": [1.0, 3.0, 9.0]}))
    one = ALL[CHEAP[0]]._replace(column="rate", rows={"kind": "a"})
    numbers = [exercise.number(one._replace(take=take), run) for take in ("mean", "largest", "smallest")]
    assert numbers == [2.0, 3.0, 1.0]
    with pytest.raises(ValueError, match=r"looks at rate of .*'kind': 'c'"):
        exercise.number(one._replace(rows={"kind": "c"}), run)
    with pytest.raises(ValueError, match="looks at speed"):
        exercise.number(one._replace(column="speed"), run)


def test_the_number_to_look_at_is_named():
    one = ALL["khrulkov2018/tab1_layers"]._replace(column="fooling_rate", rows={"kind": "<a>", "fit": "b"}, take="mean")
    assert exercise.looked_at(one) == (
        "the column <em>fooling rate</em>: its mean where kind is <em>&lt;a&gt;</em> and fit is <em>b</em>"
    )
    assert (
        exercise.looked_at(one._replace(rows={}, take="largest"))
        == "the column <em>fooling rate</em>: its largest value"
    )


def test_a_new_item_says_where_its_exercise_belongs():
    assert "notebooks/exercises.yml" in exercise.box("khrulkov2018/not_there")
