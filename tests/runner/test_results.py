"""Stored results: read back as they were written, refused where they were edited; and when a tree counts as changed."""

import hashlib
import subprocess

import numpy as np
import pandas as pd
import pytest

from uapkit import runner
from uapkit.lab import Run
from uapkit.runner import results

NAME = "khrulkov2018/tab1_layers"
FILES = ("uapkit.py", "results/paper/item.csv", "results/paper/training/net.json")


def test_store_and_load_round_trip(project, counted):
    made = runner.run(NAME, save=True)
    loaded = runner.load(NAME)
    pd.testing.assert_frame_equal(loaded, made, check_dtype=False)
    np.testing.assert_array_equal(loaded.attrs["arrays"]["v/a"], np.float32([10, -10]))
    assert (
        loaded.attrs["provenance"]["table_sha256"]
        == hashlib.sha256((project / "results" / f"{NAME}.csv").read_bytes()).hexdigest()
    )


def test_no_path_of_this_machine_is_stored_in_a_record(project, counted):
    own = [f"{project}/a/net", f"{project}/b/net", "nets/net"]
    made = runner.run(NAME, models=own)
    made.attrs["provenance"]["inputs"] = dict.fromkeys(own, "0" * 64)
    results.store(made, runner.item(NAME), made.attrs["provenance"])
    record = runner.load(NAME).attrs["provenance"]
    assert record["params"]["models"] == ["net", "net", "nets/net"]
    assert list(record["inputs"]) == ["net", "net (2)", "nets/net"], "no input is lost that has another's name"
    assert made.attrs["provenance"]["params"]["models"] == own, "the one who runs it sees what was run"


def test_edited_table_is_refused(project, counted):
    runner.run(NAME, save=True)
    path = project / "results" / f"{NAME}.csv"
    path.write_text(path.read_text().replace("5", "6", 1))
    with pytest.raises(ValueError, match="provenance names"):
        runner.load(NAME)


def test_nothing_stored_says_how_to_make_it(project):
    with pytest.raises(FileNotFoundError, match=r"uapkit run khrulkov2018/tab1_layers --full --save"):
        runner.load(NAME)
    assert runner.stored(NAME) is None


def test_a_stale_run_says_why(project, counted):
    runner.run(NAME, save=True)
    assert runner.stored_run(NAME).stale == ""
    (project / "results" / "stale.yml").write_text(f"{NAME}: two rows shared one answer\n")
    assert runner.stored_run(NAME).stale == "two rows shared one answer"


def test_the_rows_of_nulls_are_marked_in_a_stored_run(project):
    rows = pd.DataFrame({"model": "a", "kind": ["singular vector", "random signs"], "fooling_rate": [0.5, 0.1]})
    item = runner.item(NAME)
    results.store(rows, item, {"id": NAME, "params": {}})
    run = runner.stored_run(NAME)
    assert isinstance(run, Run)
    assert run.rows["is_null"].tolist() == [False, True]
    assert run.measured["fooling_rate"].tolist() == [0.5]


def test_pack_keeps_signs_exactly_and_floats_to_three_digits(tmp_path):
    signs = np.sign(np.random.default_rng(0).standard_normal((3, 8, 8))).astype(np.float32) * np.float32(10 / 255)
    smooth = np.random.default_rng(1).standard_normal((3, 8, 8)).astype(np.float32)
    flags = np.array([True, False, True])
    path = tmp_path / "a.npz"
    path.write_bytes(results.pack({"signs": signs, "smooth": smooth, "flags": flags}))
    back = results.unpack(path)
    np.testing.assert_allclose(back["signs"], signs, rtol=1e-6)
    np.testing.assert_allclose(back["smooth"], smooth, atol=1e-3 * np.abs(smooth).max())
    assert back["flags"].dtype == bool
    np.testing.assert_array_equal(back["flags"], flags)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    monkeypatch.setattr(results, "project_root", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "counts"), zip(FILES, (True, False, True), strict=True))
def test_what_makes_a_tree_dirty(tree, name, counts):
    at, dirty = results.commit()
    assert len(at) == 40
    assert not dirty
    (tree / name).write_text("two")
    assert results.commit() == (at, counts)


def test_outside_git_a_run_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "project_root", lambda: tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert results.commit() == ("unknown", True)
