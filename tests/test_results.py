"""Stored results: bound to their provenance, made from a clean commit by code, without a path of any machine."""

import json
import re
import subprocess

import pytest

from uapkit import runner
from uapkit.runner import results, verify

ROOT = runner.project_root()
STORED = [name for name in runner.items() if runner.item(name).path("json").is_file()]


@pytest.mark.parametrize("name", STORED)
def test_stored_run_is_whole(name):
    table = runner.load(name)  # checks the table's sha256
    record = table.attrs["provenance"]
    assert record["id"] == name
    assert record["rows"] == len(table)
    assert record["dirty"] is False, "full runs are made from a clean commit"
    assert re.fullmatch(r"[0-9a-f]{40}", record["commit"])
    assert record["inputs"], "no data and no weights?"
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha) for sha in record["inputs"].values())
    assert record["seconds"] > 0
    assert set(record["params"]) == set(runner.item(name).parameters)


def test_what_is_stale_is_a_stored_run_and_says_why():
    for name, why in results.stale().items():
        assert name in STORED
        assert len(why) > 20, name


@pytest.mark.parametrize("name", [name for name in STORED if name not in results.stale()])  # those wait for a new run
def test_stored_parameters_are_those_of_the_full_run(name):
    about = runner.item(name)

    def plain(value):
        if isinstance(value, list):
            return [plain(v) for v in value]
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return str(value) if value == float("inf") else value

    wanted = {k: plain(v) for k, v in runner.full_parameters(about).items()}
    stored = runner.load(name).attrs["provenance"]["params"]
    assert {k: stored[k] for k in wanted} == wanted


@pytest.mark.parametrize("name", STORED)
def test_commit_of_a_stored_run_is_in_the_history(name):
    shallow = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if shallow.returncode or shallow.stdout.strip() == "true":
        pytest.skip("needs the whole git history")
    commit = runner.load(name).attrs["provenance"]["commit"]
    done = subprocess.run(["git", "merge-base", "--is-ancestor", commit, "HEAD"], cwd=ROOT, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("name", STORED)
def test_rates_lie_inside_their_intervals(name):
    table = runner.load(name)
    rates = [c for c in ("fooling_rate", "error_rate", "accuracy") if c in table]
    if not rates or "low" not in table:
        pytest.skip("no rates")
    rows = table.dropna(subset=[rates[0], "low", "high"])
    assert ((rows["low"] <= rows[rates[0]] + 1e-6) & (rows[rates[0]] <= rows["high"] + 1e-6)).all()
    assert rows["n"].gt(0).all()


def test_no_path_of_a_machine_in_what_is_stored():
    for path in sorted((ROOT / "results").rglob("*.*")):
        if path.suffix in (".csv", ".json"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w<])/(home|root|work|tmp|Users|mnt)/", text), path.name
            if path.suffix == ".json":
                json.loads(text)


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "quick").glob("*.csv")), ids=lambda path: path.stem)
def test_a_stored_quick_run_says_from_what_it_was_made(path):
    name = path.stem.replace(".", "/", 1)
    assert name in STORED
    assert path == verify.quick_path(runner.item(name))
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["dirty"] is False, "quick runs are made from a clean commit"
    assert len(verify.quick(runner.item(name)).rows) > 0
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha) for sha in record["inputs"].values())
