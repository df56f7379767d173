"""The page "How this is tested": every figure comes from a stored run, and what was not run says so."""

import json
import re

import pandas as pd
import pytest

from tests import counted, simulated
from uapkit.book import tested
from uapkit.runner import project_root, since

TRUST = project_root() / "results" / "trust"


@pytest.fixture
def trust(tmp_path, monkeypatch):
    monkeypatch.setattr(tested, "project_root", lambda: tmp_path)
    (tmp_path / "results" / "trust").mkdir(parents=True)

    def store(name, table, **about):
        pd.DataFrame(table).to_csv(tmp_path / "results" / "trust" / f"{name}.csv", index=False)
        (tmp_path / "results" / "trust" / f"{name}.json").write_text(json.dumps(about))

    return store


def last_time(what):
    return next(row for row in tested.glance().itertuples(index=False) if what in row[0])


def test_what_was_not_run_says_so(trust):
    for what in ("Tests", "Faults", "intervals", "other code", "killed", "fuzzer"):
        assert last_time(what)[1:] == (tested.NOT_YET, "")
    assert [title for title, _ in tested.details()] == ["Stored runs and their last rerun"]


def test_every_figure_is_that_of_the_stored_run(trust):
    trust("tests", {"kind": ["a", "b"], "tests": [30, 12], "files": [2, 1]}, commit="abcdef0123456", date="2026-01-02")
    trust("kills", {"job": ["save", "save", "run"], "lost": ["", "a run", ""]}, commit="c" * 40, date="2026-01-02")
    trust("fuzz", {"target": ["npy", "mat"], "inputs": [900, 200], "finds": [0, 0]}, commit="c" * 40, date="2026-01-02")
    coverage = {
        "interval": ["a", "b"],
        "n": [3, 4],
        "draws": [9, 9],
        "share": [0.94, 0.961],
        "low": [0.9] * 2,
        "high": [1] * 2,
    }
    trust("coverage", coverage, commit="c" * 40, date="2026-01-02")
    mutation = {
        "module": ["x", "y"],
        "places": [90, 80],
        "mutants": [60, 40],
        "killed": [58, 37],
        "survived": [2, 3],
        "argued": [2, 3],
    }
    trust("mutation", mutation | {"date": ["2026-01-01", "2026-01-03"], "commit": ["d" * 40, "e" * 40]})
    others = {
        "chapter": ["K", "M", "E"],
        "item": ["k/a", "m/b", "e/c"],
        "what": ["a rate", "a norm", "a share"],
        "from": ["weights and data"] * 3,
        "stored": [0.5694444, 452.908702, 0.07],
        "recomputed": [0.565, 452.91, None],
        "n": [1000, 3072, None],
        "tolerance": [0.0003, 0.2, None],
        "how": ["two standard errors", "rounding", "MNIST is not there"],
        "agrees": ["no", "yes", "not at hand"],
    }
    trust("independent", others, commit="c" * 40, date="2026-01-02")
    assert last_time("Tests")[1:] == ("42 in 3 files", "2026-01-02, commit abcdef0123")
    assert last_time("killed")[1] == "3 kills, 1 lost"
    assert last_time("fuzzer")[1] == "1,100 inputs, no finds"
    assert last_time("intervals")[1] == "94.0 % to 96.1 %"
    assert last_time("Faults")[1:] == (
        "95 of 100 noticed, in 2 modules: 95.0 %; of those that change anything 100.0 % (96.1 % to 100.0 %)",
        "2026-01-03, commit eeeeeeeeee",
    )
    assert last_time("other code")[1:] == ("1 of 2 agree; 1 without their data", "2026-01-02, commit cccccccccc")
    folds = tested.folds()
    assert folds.count("<details>") == 7
    assert "<td>0.5694</td><td>0.565</td><td>1,000</td><td>0.0003 (two standard errors)</td><td>no</td>" in folds
    assert "<td>0.07</td><td>–</td><td>–</td><td>MNIST is not there</td><td>not at hand</td>" in folds
    assert "<td>a run is stored</td><td>2</td><td>1</td>" in folds
    assert "<td>x</td><td>90</td><td>60</td><td>96.7 %</td><td>2</td><td>0</td>" in folds


def test_a_rerun_counts_only_for_the_table_that_is_stored_now(monkeypatch):
    name = next(n for n, about in tested.items().items() if about.path("json").is_file())
    now = {
        "when": "2026-01-02",
        "how_far": "subset",
        "on": "x",
        "agrees": True,
        "rows": 3,
        "of_rows": 9,
        "current": True,
        "code": since.RERUN,
    }
    never = now | {"how_far": "", "agrees": None, "current": False, "when": ""}
    never = never | {"code": since.CHANGED}
    monkeypatch.setattr(tested.verified, "standing", lambda other, _: now if other == name else never)
    rows = tested.reruns().set_index("item")
    words = "changed, rerun with the present one"
    assert rows.loc[name].tolist() == ["subset, 3 of 9 rows", "yes", "2026-01-02", words]
    assert last_time("their code")[1] == f"1 {words}; {len(rows) - 1} changed, not rerun"
    never["code"] = now["code"] = ""
    assert last_time("their code")[1:] == ("it cannot be told", "")
    assert last_time("rerun")[1] == f"1 of 1 agree; {len(rows) - 1} wait for their turn"
    now["agrees"] = False
    assert last_time("rerun")[1].startswith("0 of 1 agree")
    now["current"] = False
    assert last_time("rerun")[1].startswith("none of")


def test_the_page_types_no_number_of_its_own():
    text = (project_root() / "book" / "tested.md").read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    assert set(re.findall(r"\d[\d.,]*", prose)) <= {"95"}, "95 % is what intervals promise; all else is drawn"


def test_what_is_stored_was_run_from_a_clean_commit_and_nothing_was_lost():
    for name in ("tests", "kills", "coverage", "fuzz", "independent"):
        path = TRUST / f"{name}.json"
        if path.is_file():
            about = json.loads(path.read_text(encoding="utf-8"))
            assert re.fullmatch("[0-9a-f]{40}", about["commit"]), name
            assert about["dirty"] is False, name
    kills, about = tested.stored("kills")
    assert len(kills) >= 200
    assert kills["lost"].isna().all()
    assert about["by_job"] == kills.groupby("job", sort=False).size().to_dict()
    coverage, _ = tested.stored("coverage")
    assert coverage["low"].min() > 0.9


def test_simulated_shares_are_what_they_say():
    table = simulated.table(60)
    assert set(table["interval"]) == set(simulated.KINDS)
    assert table["share"].between(0.8, 1).all()
    assert simulated.table(60).equals(table)


def test_tests_are_counted_by_the_first_kind_that_fits():
    names = ["faults/test_a.py", "faults/test_a.py", "faults/test_b.py", "test_norms.py", "test_cli.py"]
    found = counted.kinds(names).set_index("kind")
    assert found.loc["faults: kills, full disks, two at once"].tolist() == [2 + 1, 2]
    assert found["tests"].sum() == 5
