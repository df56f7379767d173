"""The stored mutants and their scores fit together, survivors are argued, and a mutant is put where its function lives."""

import importlib.util
import math

import pandas as pd
import pytest
import yaml

from tests.mutation import mutants, warm
from uapkit import runner
from uapkit.intervals import Rate

ROOT = runner.project_root()
HERE = ROOT / "tests" / "mutation"
MODULES = yaml.safe_load((HERE / "modules.yml").read_text(encoding="utf-8"))
ARGUED = yaml.safe_load((HERE / "survivors.yml").read_text(encoding="utf-8"))
TRIED = pd.read_csv(ROOT / "results" / "trust" / "mutants.csv", keep_default_na=False)
SCORES = pd.read_csv(ROOT / "results" / "trust" / "mutation.csv").set_index("module")
LIVED = ("survived", "not reached")
TEXT = '''"""A module."""
import functools

LIMIT = 3


@functools.cache
def inner(x, step=1, *, most=9):
    """Adds."""
    return min(
        x + step,
        most,
    )


class Thing:
    def twice(self, x):
        if x > LIMIT:
            return 2 * x
        return 0
'''


def test_modules_and_tests_exist():
    for module, tests in MODULES.items():
        assert (ROOT / module).is_file(), module
        assert all((ROOT / test).exists() for test in tests), module


@pytest.mark.parametrize("module", SCORES.index)
def test_a_score_is_that_of_its_mutants(module):
    tried, score = TRIED[TRIED["module"] == module], SCORES.loc[module]
    assert module in MODULES
    lived = tried[tried["outcome"].isin(LIVED)]
    assert (score["mutants"], score["survived"]) == (len(tried), len(lived))
    assert score["killed"] == len(tried) - len(lived) >= score["timeouts"]
    rate = Rate.of(int(score["killed"]), len(tried))
    assert (score["low"], score["high"]) == (pytest.approx(rate.low, abs=1e-4), pytest.approx(rate.high, abs=1e-4))
    assert score["places"] >= len(tried)
    assert score["killed"] >= 0.75 * (len(tried) - score["argued"]), "a module with many gaps"
    assert set(score[["commit", "date", "tool", "machine"]].map(bool)) == {True}
    here = {f"{a} -> {b}" for a, b in zip(lived["before"], lived["after"], strict=True)}
    assert here == set(ARGUED.get(module, {})), "each survivor has its reason, and each reason its survivor"
    no_gap = [key for key in here if not ARGUED[module][key].startswith("gap")]
    assert score["argued"] == sum(f"{a} -> {b}" in no_gap for a, b in zip(lived["before"], lived["after"], strict=True))


def test_of_the_mutants_that_change_anything_nine_of_ten_are_killed():
    assert SCORES["killed"].sum() >= 0.9 * (SCORES["mutants"] - SCORES["argued"]).sum()


def test_only_scored_modules_are_argued_and_every_tried_one_has_a_score():
    assert set(ARGUED) <= set(SCORES.index) == set(TRIED["module"])


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "a_module.py"
    path.write_text(TEXT)
    spec = importlib.util.spec_from_file_location("a_module", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_mutant_is_put_where_its_function_lives(module):
    """Also behind a decorator, in a class, and in the hands of whoever imported it before."""
    inner, thing, functions = module.inner, module.Thing(), mutants.living(module.__file__)
    assert (inner(1), thing.twice(5)) == (2, 10)
    assert mutants.taken_on(module.__file__, TEXT, TEXT.replace("x + step", "x - step"), functions)
    assert inner(4) == 3
    assert mutants.taken_on(module.__file__, TEXT, TEXT.replace("2 * x", "3 * x"), functions)
    assert thing.twice(5) == 15
    assert mutants.taken_on(module.__file__, TEXT, TEXT.replace("step=1, *, most=9", "step=2, *, most=4"), functions)
    assert (inner(10), inner(0)) == (4, -2), "the first mutant is still in it: each fork takes on one alone"


@pytest.mark.parametrize(("old", "new"), [("LIMIT = 3", "LIMIT = 4"), ("@functools.cache\n", ""), ("inner", "outer")])
def test_what_runs_at_import_needs_a_new_import(module, old, new):
    assert not mutants.taken_on(module.__file__, TEXT, TEXT.replace(old, new), mutants.living(module.__file__))


def test_annotations_and_docstrings_mean_nothing():
    assert mutants.meaning("def f(x: int) -> int:\n    'a'\n    return x") == mutants.meaning(
        "def f(x):\n    'b'\n    return x"
    )
    assert mutants.meaning("def f(x):\n    return x") != mutants.meaning("def f(x):\n    return -x")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("LIMIT = 3", (4, 4, True)),
        ("@functools.cache", (7, 8, True)),
        ("def inner", (7, 8, True)),
        ("most,\n", (10, 13, False)),
        ("if x >", (18, 18, False)),
        ("return 2", (19, 19, False)),
    ],
)
def test_the_statement_of_a_line(words, expected):
    line = TEXT.count("\n", 0, TEXT.index(words)) + 1
    assert mutants.statement(TEXT, line) == expected


def test_a_mutant_meets_the_quickest_test_that_runs_it_first_and_slow_ones_only_where_they_alone_do():
    plan = {"slow": [5.0, [1, 2, 3]], "quick": [0.2, [2]], "quickest": [0.1, [2, 4]]}
    assert warm.chosen(plan, (2, 2), 1.0) == ["quickest", "quick"]
    assert warm.chosen(plan, (3, 3), 1.0) == ["slow"]
    assert warm.chosen(plan, (5, 9), 1.0) == []
    refused = plan | {"turned away": [0.05, []]}
    assert warm.at_imports(refused, 1.0) == ["quickest", "quick", "turned away"]
    assert set(warm.at_imports(refused, 0.0)) == set(refused)


def test_the_fate_of_a_fork():
    assert warm.in_fork(lambda: 0, 5, 30)[0] == "survived"
    assert warm.in_fork(lambda: 1, 5, 30)[0] == "killed"
    assert warm.in_fork(lambda: 1 / 0, 5, 30)[0] == "killed"
    assert warm.in_fork(lambda: __import__("time").sleep(60), 5, 0.2)[0] == "ran too long"
    assert warm.in_fork(lambda: next(k for k in iter(int, 1) if k), 1, 60)[0] == "ran too long"
    assert math.isfinite(warm.in_fork(lambda: 0, 5, 30)[1])
