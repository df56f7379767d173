"""Reruns of a part of what is stored: which part, what counts as the same, and what is noted about it."""

import json
import math
import time

import pandas as pd
import pytest
import torch
import yaml

from uapkit import cli, runner
from uapkit.runner import quick, results, verified, verify

NAME = "khrulkov2018/tab1_layers"
STORED = [name for name, about in runner.items().items() if about.path("json").is_file()]


@pytest.fixture(autouse=True)
def nothing_is_said_of_the_made_up_project(request, monkeypatch):
    if "project" in request.fixturenames:  # its items have the names of real ones, but not their settings
        monkeypatch.setattr(verify, "declared", dict)


def edited(change, **record):
    """The stored run with other rows or another record, stored again as if a run had given it."""
    table = runner.load(NAME)
    results.store(change(table), runner.item(NAME), table.attrs["provenance"] | record)


def test_a_run_that_fits_is_made_again_whole_and_computed_anew(project, counted):
    runner.run(NAME, save=True)
    found = verify.check(NAME)
    assert (found.how_far, found.agrees, found.equal, found.rows) == (verify.WHOLE, True, True, 2)
    assert counted == ["a", "b", "a", "b"], "nothing comes from the cache"


def test_it_is_made_on_as_many_threads_as_then(project, counted, monkeypatch):
    runner.run(NAME, save=True)
    edited(lambda table: table, threads=3)
    now, real, before = [], verify.computed, torch.get_num_threads()
    monkeypatch.setattr(verify, "computed", lambda *a: [now.append(torch.get_num_threads()), real(*a)][1])
    assert verify.check(NAME).agrees
    quick.store(NAME)
    assert now == [3, 1]
    assert torch.get_num_threads() == before


def test_of_a_long_run_the_first_networks_that_fit(project, counted):
    runner.run(NAME, save=True, models=["a", "b", "c"])
    edited(lambda table: table, seconds=200.0)
    counted.clear()
    found = verify.check(NAME)
    assert counted == ["a"]
    assert (found.how_far, found.agrees, found.rows, found.of_rows) == (verify.SUBSET, True, 1, 3)
    counted.clear()
    assert verify.check(NAME, budget=150).rows == 2
    assert verify.check(NAME, how_far="whole").rows == 3


@pytest.mark.parametrize(
    ("factor", "agrees", "worst"), [(1.0, True, 0), (1.009, True, 0.9), (1.02, False, 2), (float("nan"), False, None)]
)
def test_a_number_may_move_by_the_tolerance_and_no_further(project, counted, factor, agrees, worst):
    runner.run(NAME, save=True)
    edited(lambda table: table.assign(fooling_rate=table["fooling_rate"] * [factor, 1]))
    found = verify.check(NAME)
    assert found.agrees is agrees
    assert found.equal is (factor == 1)
    if worst is not None:
        assert found.worst == pytest.approx(worst, rel=0.05)
    if not agrees:
        assert found.differences[0].startswith("fooling_rate in row 1: stored ")


def test_shares_may_move_by_half_a_point():
    stored = pd.DataFrame({"rate": [0.2, 0.9], "count": [3, 800], "end": ["limit", None], "seconds": [1.0, 2.0]})
    assert verify.compare(stored, stored.assign(rate=[0.2049, 0.9], seconds=[9.0, 9.0]))[0] == []
    assert verify.compare(stored, stored.assign(rate=[0.2051, 0.9]))[0] != []
    assert verify.compare(stored, stored.assign(count=[12, 800]))[0][0].startswith("count in row 1: stored 3, now 12")
    assert verify.compare(stored, stored.assign(end=["limit", "limit"]))[0] != []
    assert verify.compare(stored, stored.drop(columns="rate"))[0] == ["the column rate did not come out"]
    assert verify.compare(stored, stored[:1])[0] == ["2 rows are stored, 1 came out"]
    assert verify.compare(stored, stored.assign(rate=[0.0, 9.0]), ignore=("rate",))[2]


@pytest.mark.parametrize(
    ("stored", "now", "worst"),
    [
        ([0.5, 1.0], [0.507, 1.0], 1.4),  # a share: half a point
        ([0.0, 0.3], [0.0, 0.304], 0.8),
        ([0.5, 1.2], [0.509, 1.2], 0.75),  # not a share: a hundredth of the largest
        ([-0.2, 0.1], [-0.2, 0.103], 1.5),
        ([0.0, 1.0], [0.007, 1.0], 0.7),  # whole numbers are no shares
        ([100.0, 1.5], [100.0, 2.4], 0.9),
        ([math.inf, 1.5], [math.inf, 1.5], 0),
        ([math.inf, 1.5], [-math.inf, 1.5], math.inf),
        ([math.inf, 200.0], [math.inf, 201.0], 0.5),
        ([math.nan, 1.5], [math.nan, 1.5], 0),
        ([math.nan, 1.5], [0.0, 1.5], math.inf),
        ([1.5, 2.5], [math.nan, 2.5], math.inf),
        ([0.0, 0.0], [0.0, 1e-9], math.inf),  # nothing is a hundredth of nothing
        ([math.nan, math.nan], [math.nan, math.nan], 0),
    ],
)
def test_deviations_are_counted_in_tolerances(stored, now, worst):
    found, off, equal = verify.compare(pd.DataFrame({"x": stored}), pd.DataFrame({"x": now}))
    assert off == pytest.approx(worst)
    assert bool(found) is (worst > 1)
    assert equal is (worst == 0)


def test_a_difference_names_the_worst_row_and_counts_the_others():
    stored = pd.DataFrame({"x": [10.0, 20.0, 30.0], "text": ["a", "b", None]}, index=[7, 8, 9])
    found, worst, equal = verify.compare(stored, stored.assign(x=[10.0, 21.0, 33.0]).reset_index(drop=True))
    assert found == ["x in row 3: stored 30.0, now 33.0 (2 rows)"]
    assert (worst, equal) == (pytest.approx(10), False)
    found, worst, _ = verify.compare(stored, stored.assign(text=["a", "c", None]))
    assert (found, worst) == (["text in row 2: stored b, now c (1 rows)"], math.inf)
    assert verify.compare(stored.assign(empty=math.nan), stored) == ([], 0.0, True), "an empty column is not missed"
    assert verify.compare(stored[["text"]], stored[["text"]], ignore=("text",)) == ([], 0.0, True), "nothing is left"
    assert verify.compare(stored.assign(some=[1.0, math.nan, 2.0]), stored)[0] == ["the column some did not come out"]
    a, b = "1" * 64, "2" * 64
    assert verify.moved({"x": a, "y": a, "z": a}, {"x": a, "y": b, "w": b}) == [
        f"y is another file now (sha256 {a[:12]} then, {b[:12]} now)"
    ]


def test_an_outcome_as_a_row_of_the_table():
    agrees = verify.Outcome(NAME, verify.SUBSET, True, 3, 9, worst=0.1234, seconds=12.345)
    assert agrees.row() == {
        "item": NAME,
        "how far": "subset",
        "result": "agrees",
        "rows": "3 of 9",
        "worst": 0.12,
        "seconds": 12.3,
        "differences": "",
    }
    told = {
        "equal to the last digit": verify.Outcome(NAME, verify.WHOLE, True, equal=True),
        "differs": verify.Outcome(NAME, verify.WHOLE, False, equal=True, differences=("a", "b")),
        "not checked": verify.Outcome(NAME, verify.NOTHING, None),
        "failed": verify.Outcome(NAME, verify.NOTHING, None, failed=True),
    }
    assert [outcome.row()["result"] for outcome in told.values()] == list(told)
    assert told["failed"].row()["rows"] == "0 of 0"
    assert told["differs"].row()["differences"] == "a; b"
    assert told["differs"].plain()["differences"] == ["a", "b"]
    assert json.loads(json.dumps(told["failed"].plain()))["failed"] is True


def test_settings_that_are_narrowed_single_out_rows():
    stored = pd.DataFrame(
        {
            "model": ["a", "a", "b", "c[x]", "a"],
            "weights": ["default", "gluon", "gluon", "default", "zoo"],
            "q": [2, 10, 2, 2, 3],
        }
    )

    def rows(table=stored, **narrowed):
        return list(verify._where(table, narrowed).index)

    assert rows(models=["a"]) == [0, 1, 4]
    assert rows(models=["a[gluon]"]) == rows(model="a[gluon]") == [1]
    assert rows(models=["a[gluon]", "c[x]"]) == [1, 3]
    assert rows(stored.drop(columns="weights"), models=["a[gluon]"]) == [0, 1, 4], "no column says which weights"
    assert rows(models=("a", "b"), qs=[2]) == [0, 2]
    assert rows(q=10) == [1]
    with pytest.raises(ValueError, match="no column for 'layers'"):
        rows(layers=["x"])
    assert verify._numbers({"q": ["inf", 2, {"p": "-inf"}], "layer": "x"}) == {
        "q": [math.inf, 2, {"p": -math.inf}],
        "layer": "x",
    }


def test_which_part_is_run_again(project, counted, monkeypatch):
    runner.run(NAME, save=True, models=["a", "b", "c"])
    edited(lambda table: table.assign(status=["missing", "run", "run"]), seconds=240.0)
    about, stored = runner.item(NAME), runner.load(NAME)

    def part(**wanted):
        found = verify.part(about, stored, **wanted)
        return found.how_far, list(found.params["models"]), None if found.rows is None else list(found.rows["model"])

    assert part() == (verify.SUBSET, ["b"], ["b"]), "the first network that was run and fits into two minutes"
    assert part(budget=80) == (verify.SUBSET, ["b"], ["b"])
    assert part(budget=160) == (verify.SUBSET, ["b", "c"], ["b", "c"])
    assert part(budget=240) == part(how_far="whole") == (verify.WHOLE, ["a", "b", "c"], ["a", "b", "c"])
    assert part(budget=79) == part(how_far="quick run") == (verify.QUICK, ["a", "b"], None)
    with pytest.raises(ValueError, match=r"no network of khrulkov2018/tab1_layers fits into 79 s"):
        part(how_far="subset", budget=79)
    with pytest.raises(ValueError, match="how far must be 'whole', 'subset' or 'quick run', got 'half'"):
        part(how_far="half")
    told = {"params": {"models": ["c"]}, "ignore": ["n"]}
    monkeypatch.setattr(verify, "declared", lambda: {NAME: told})
    assert part(budget=1) == (verify.SUBSET, ["c"], ["c"])
    assert verify.part(about, stored).ignore == ("n",)
    told["where"] = {"model": ["b"]}
    assert part(budget=1) == (verify.SUBSET, ["c"], ["b"])
    told["quick"] = True
    assert part()[0] == verify.QUICK
    assert part(how_far="subset")[0] == verify.SUBSET


def test_another_file_under_the_same_name_is_a_difference(project, counted):
    runner.run(NAME, save=True)
    edited(lambda table: table, inputs={"weights of a": "1" * 64, "weights of b": "0" * 64})
    found = verify.check(NAME)
    assert not found.agrees
    assert found.differences[0].startswith("weights of a is another file now (sha256 111111111111 then, 000000000000")


def test_without_data_or_weights_the_quick_run_is_compared(project, counted):
    runner.run(NAME, save=True, models=["missing"])
    edited(lambda table: table.assign(status="run"))
    assert verify.check(NAME).agrees is None
    quick.store(NAME)
    found = verify.check(NAME)
    assert (found.how_far, found.agrees, found.rows) == (verify.QUICK, True, 2)
    assert verify.check(NAME, how_far="whole").agrees is None


def test_what_was_found_is_noted_and_a_difference_makes_the_run_stale(project, counted):
    runner.run(NAME, save=True)
    assert verified.standing(NAME)["how_far"] == ""
    verified.note(verify.check(NAME))
    now = verified.standing(NAME)
    assert (now["how_far"], now["agrees"], now["current"]) == ("whole", True, True)
    assert not (project / "results" / "stale.yml").exists()
    edited(lambda table: table.assign(n=[10, 11]))
    assert not verified.standing(NAME)["current"], "another table is stored now"
    verified.note(verify.check(NAME))
    assert verified.standing(NAME)["agrees"] is False
    assert "did not give the stored rows: n in row 2" in runner.load(NAME).attrs["stale"]


def test_a_reason_that_stands_in_the_list_stays(project, counted):
    path = project / "results" / "stale.yml"
    path.parent.mkdir()
    path.write_text("# why\nmoosavi2017/fig1_teaser: another reason\n")
    verified.mark_stale(NAME, "new")
    verified.mark_stale(NAME, "newer")
    assert yaml.safe_load(path.read_text()) == {"moosavi2017/fig1_teaser": "another reason", NAME: "new"}
    assert path.read_text().startswith("# why\n")


@pytest.mark.parametrize("empty", ["{}\n", "", "# none\n"])
def test_the_first_reason_of_an_empty_list(project, counted, empty):
    path = project / "results" / "stale.yml"
    path.parent.mkdir()
    path.write_text(empty)
    verified.mark_stale(NAME, "new")
    assert yaml.safe_load(path.read_text()) == {NAME: "new"}


def test_the_next_to_be_rerun_are_those_that_waited_longest(project, counted):
    other = "khrulkov2018/fig_q_sweep"
    for name in (NAME, other):
        runner.run(name, save=True)
    assert verified.due(5) == [NAME, other]
    verified.note(verify.check(NAME))
    assert verified.due(5) == [other, NAME]
    assert verified.due(1) == [other]


def test_where_nothing_can_be_compared_the_next_item_has_its_turn_and_what_was_found_before_stays(project, counted):
    """Else a machine on which networks train otherwise would try the same two items every day."""
    other = "khrulkov2018/fig_q_sweep"
    for name in (NAME, other):
        runner.run(name, save=True)
    nothing = verify.Outcome(NAME, verify.NOTHING, None, differences=("the networks came out otherwise",))
    assert verified.note(nothing) is None
    assert verified.due(5) == [other, NAME]
    assert verified.last(NAME) is None
    assert verified.tried(NAME)["why"] == "the networks came out otherwise"
    assert "torch" in verified.tried(NAME)["on"]
    before = verified.note(verify.check(NAME)).read_bytes()
    assert verified.tried(NAME) is None, "it was rerun after all"
    verified.note(nothing)
    assert verified.path_of(runner.item(NAME)).read_bytes() == before


def test_a_quick_run_does_not_replace_a_rerun_of_the_full_run_that_says_more(project, counted, monkeypatch):
    runner.run(NAME, save=True, q=2.0)
    quick.store(NAME)
    verified.note(verify.check(NAME))
    assert verified.note(verify.check(NAME, how_far="quick run")) is None
    assert verified.standing(NAME)["how_far"] == "whole"
    assert verified.tried(NAME)["why"] == "its quick run agrees"
    monkeypatch.setattr(verify, "code_now", lambda about: "f" * 64)
    verified.note(verify.check(NAME, how_far="quick run"))
    assert verified.standing(NAME)["how_far"] == "quick run", "of other code it is news"


def test_a_run_without_end_is_given_up(project, counted, monkeypatch):
    runner.run(NAME, save=True)
    monkeypatch.setattr(verify, "computed", lambda *a: time.sleep(20))
    found = verify.check(NAME, limit=0.2)
    assert found.agrees is None
    assert found.differences == ("it was given up after 0.2 s",)


@pytest.mark.parametrize("name", STORED)
def test_every_stored_run_has_a_part_that_is_not_empty(name):
    stored = runner.load(name)
    part = verify.part(runner.item(name), stored)
    assert set(part.params) == set(runner.item(name).parameters)
    if part.how_far != verify.QUICK:
        assert 0 < len(part.rows) <= len(stored)
    assert part.rows is None or set(part.ignore) <= set(stored)


def test_what_is_declared_is_of_items_that_are_stored():
    assert verify.declared() == yaml.safe_load((runner.project_root() / "notebooks" / "verify.yml").read_text())
    assert set(verify.declared()) <= set(STORED)
    for told in verify.declared().values():
        assert set(told) <= {"params", "where", "ignore", "quick"}


def test_records_of_reruns_are_whole():
    for name in STORED:
        record = verified.last(name)
        if record is not None:
            assert record["item"] == name
            assert record["how_far"] in (verify.WHOLE, verify.SUBSET, verify.QUICK)
            json.dumps(record)


def test_the_first_five_differences_are_told_and_how_long_it_took(project, counted):
    runner.run(NAME, save=True)
    edited(lambda table: table.assign(**{f"c{k}": k + 0.5 for k in range(9)}))
    started = time.perf_counter()
    found = verify.check(NAME)
    assert 0 < found.seconds < time.perf_counter() - started
    assert found.differences == tuple(f"the column c{k} did not come out" for k in range(5))


def test_networks_are_absent_that_were_run_then_and_not_now():
    now = pd.DataFrame({"model": ["a[x]", "b"], "status": ["no such weights", "run"]})
    then = pd.DataFrame({"model": ["a", "b"], "status": ["run", "run"]})
    assert verify._absent(now, then)
    assert not verify._absent(now, then.assign(status=["no such weights", "run"]))
    assert not verify._absent(now, then.drop(columns="status").assign(status="run")[1:])
    assert not verify._absent(now, None)
    assert not verify._absent(now.drop(columns="status"), then)
    assert not verify._absent(now.drop(columns="model"), then)


def test_networks_that_came_out_otherwise_here_are_no_difference_of_a_quick_run(project, counted, monkeypatch):
    """They are trained on each machine: where training rounds otherwise, there is nothing to compare."""
    runner.run(NAME, save=True)
    quick.store(NAME)
    assert verify.check(NAME, how_far="quick run").agrees
    path = verify.quick_path(runner.item(NAME)).with_suffix(".json")
    record = json.loads(path.read_text())
    assert record["inputs"] == {"weights of a": "0" * 64, "weights of b": "0" * 64}
    path.write_text(json.dumps(record | {"inputs": {"weights of a": "1" * 64}}))
    found = verify.check(NAME, how_far="quick run")
    assert (found.agrees, found.how_far) == (None, verify.NOTHING)
    assert found.differences[0].startswith(
        "the networks of the quick run came out otherwise on this machine: weights of a"
    )
    assert verified.note(found) is None


def test_the_time_limit_cannot_be_caught_by_what_runs(project, counted, monkeypatch):
    def stubborn(*a):
        for _ in range(40):
            try:
                time.sleep(0.1)
            except Exception:
                continue

    runner.run(NAME, save=True)
    monkeypatch.setattr(verify, "computed", stubborn)
    assert verify.check(NAME, limit=0.2).differences == ("it was given up after 0.2 s",)


def test_an_item_that_cannot_be_checked_stops_no_other(project, counted, capsys):
    other = "khrulkov2018/fig_q_sweep"
    for name in (NAME, other):
        runner.run(name, save=True)
    runner.item(NAME).path("csv").write_text("edited by hand\n")
    assert cli.main(["check", NAME, other, "--save"]) == 1
    said = capsys.readouterr()
    assert f"{NAME}: failed" in said.err
    assert f"{other}: equal to the last digit" in said.err
    assert "restore both from git" in said.err, "and why"
    assert verified.last(NAME) is None
    assert verified.standing(other)["agrees"]


@pytest.mark.parametrize(
    "option", [["--due", "0"], ["--due", "-1"], ["--limit", "0"], ["--limit", "-3"], ["--limit", "nan"]]
)
def test_odd_numbers_of_items_and_seconds_are_refused(project, counted, capsys, option):
    assert cli.main(["check", *option]) == 2
    assert "must " in capsys.readouterr().err
    assert counted == []


def test_an_item_that_ends_without_its_data_falls_back_to_the_quick_run(project, counted, monkeypatch):
    """Where there is no network there is no row that could say so."""
    runner.run(NAME, save=True, q=2.0)
    quick.store(NAME)
    real = verify.computed

    def needing(about, full, kept):
        if full["q"] == 2.0:
            raise FileNotFoundError("mnist is not here")
        return real(about, full, kept)

    monkeypatch.setattr(verify, "computed", needing)
    found = verify.check(NAME)
    assert (found.how_far, found.agrees) == (verify.QUICK, True)
    assert verify.check(NAME, how_far="whole").differences == (
        "data or weights of the full run are not on this machine",
    )
    monkeypatch.setattr(verify, "computed", lambda about, full, kept: needing(about, {"q": 2.0}, kept))
    with pytest.raises(FileNotFoundError, match="mnist is not here"):
        verify.check(NAME, how_far="quick run")


def test_quick_runs_are_stored_where_they_are_missing_or_of_other_code(project, counted, monkeypatch, capsys):
    runner.run(NAME, save=True)
    measured = []
    path = verify.quick_path(runner.item(NAME)).with_suffix(".json")

    def measure(name):
        measured.append(name)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"restless": ["n"]}))
        return ["n"]

    monkeypatch.setattr(quick, "measure", measure)
    counted.clear()
    for _ in range(2):
        assert quick.main([]) == 0
    assert counted == ["a", "b"], "the second time it is there"
    assert measured == [NAME]
    assert "on another processor move: n" in capsys.readouterr().err
    assert quick.current(NAME)
    quick.store(NAME)
    assert not quick.current(NAME), "what moves on another processor is not known"
    measure(NAME)
    counted[:], measured[:] = ["a", "b"], [NAME]
    monkeypatch.setattr(verify, "code_now", lambda about: "other code")
    assert not quick.current(NAME)
    quick.main([])
    assert counted == ["a", "b"] * 2
    quick.main([NAME])
    assert counted == ["a", "b"] * 3, "whoever names it gets it"
    quick.main(["--elsewhere", NAME])
    assert (counted, measured) == (["a", "b"] * 3, [NAME] * 4), "only how far it moves is measured anew"


def test_rows_that_depend_on_what_was_left_out_are_not_compared(project, counted, monkeypatch):
    runner.run(NAME, save=True)
    edited(lambda table: table.assign(fooling_rate=table["fooling_rate"] * [1, 2]))
    told = {"params": {"models": ["a", "b"]}, "where": {"models": ["a"]}}
    monkeypatch.setattr(verify, "declared", lambda: {NAME: told})
    found = verify.check(NAME, how_far=verify.SUBSET)
    assert (found.how_far, found.agrees, found.rows, found.of_rows) == (verify.SUBSET, True, 1, 2)
    assert counted[-2:] == ["a", "b"]
    told["where"] = {"models": ["b"]}
    assert verify.check(NAME, how_far=verify.SUBSET).agrees is False


@pytest.mark.parametrize("name", [name for name, told in verify.declared().items() if "params" in told])
def test_each_part_that_is_said_is_a_small_part_of_what_is_stored(name):
    about, stored = runner.item(name), results.load(name)
    part = verify.part(about, stored, how_far=verify.SUBSET)
    assert 0 < len(part.rows) < len(stored)
    assert set(part.params) == set(stored.attrs["provenance"]["params"])
