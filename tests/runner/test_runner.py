"""Running, storing, loading: provenance, refusals, resuming."""

import json

import numpy as np
import pandas as pd
import pytest

from uapkit import provenance, runner
from uapkit.checks import NotHere
from uapkit.files import write_whole
from uapkit.lab import sweep
from uapkit.runner import catalogue, execute, results

NAME = "khrulkov2018/tab1_layers"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder and cache."""
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    monkeypatch.setenv("UAPKIT_ROOT", str(tmp_path))
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def counted(monkeypatch):
    """The item's function replaced by a sweep that counts how often a point is computed."""
    calls = []

    def experiment(*, models=("a", "b"), q=10.0, seed=0):
        def point(model):
            calls.append(model)
            provenance.note_input(f"weights of {model}", "0" * 64)
            if model == "missing":
                raise NotHere("no such weights")
            return [{"fooling_rate": 0.5 * q, "n": 10}], {f"v/{model}": np.array([1.0, -1.0], dtype=np.float32) * q}

        return sweep.sweep([{"model": m} for m in models], point, over=("models",))

    monkeypatch.setattr(catalogue.Item, "function", property(lambda self: experiment))
    monkeypatch.setattr(execute, "code_hash", lambda paper: "this code")
    return calls


def test_run_records_where_numbers_come_from(project, counted):
    table = runner.run(NAME, q=2.0)
    record = table.attrs["provenance"]
    assert record["params"] == {"models": ["a", "b"], "q": 2.0, "seed": 0}
    assert record["inputs"] == {"weights of a": "0" * 64, "weights of b": "0" * 64}
    assert record["rows"] == 2
    assert {"commit", "dirty", "versions", "device", "seconds", "code_sha256"} <= set(record)
    assert not (project / "results").exists(), "a run that is not saved writes nothing into the project"


def test_unknown_parameter_names_the_nearest(project, counted):
    with pytest.raises(ValueError, match=r"unknown parameter .*'modells'.*'models'"):
        runner.run(NAME, modells=["a"])
    assert counted == []


def test_unknown_item_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown item 'khrulkov2018/tab1_layer'.*khrulkov2018/tab1_layers"):
        runner.run("khrulkov2018/tab1_layer")


def test_finished_points_are_reused_and_their_inputs_noted(project, counted):
    first = runner.run(NAME)
    second = runner.run(NAME, models=["b", "a", "c"])
    assert counted == ["a", "b", "c"], "only the new point is computed"
    assert second.attrs["provenance"]["points_reused"] == 2
    assert set(second.attrs["provenance"]["inputs"]) == {f"weights of {m}" for m in "abc"}
    assert second["model"].tolist() == ["b", "a", "c"]
    assert second["fooling_rate"].tolist() == [*first["fooling_rate"], 5.0]
    np.testing.assert_array_equal(second.attrs["arrays"]["v/a"], np.float32([10, -10]))


def test_other_parameters_do_not_reuse_points(project, counted):
    runner.run(NAME)
    assert runner.run(NAME, q=4.0)["fooling_rate"].tolist() == [2.0, 2.0]
    assert counted == ["a", "b", "a", "b"]


def test_other_code_does_not_reuse_points(project, counted, monkeypatch):
    runner.run(NAME)
    monkeypatch.setattr(execute, "code_hash", lambda paper: "other")
    runner.run(NAME)
    assert counted == ["a", "b", "a", "b"]


def test_interrupted_run_resumes(project, counted, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    write = sweep.Store.write
    monkeypatch.setattr(sweep.Store, "write", lambda self, *a: stop() if len(counted) == 2 else write(self, *a))
    with pytest.raises(KeyboardInterrupt):
        runner.run(NAME)
    monkeypatch.setattr(sweep.Store, "write", write)
    runner.run(NAME)
    assert counted == ["a", "b", "b"], "the finished point is kept, the interrupted one computed again"


def test_two_computations_at_the_same_point_are_kept_apart(tmp_path):
    def attack(model):
        return [{"kind": "attack"}]

    def null(model):
        return [{"kind": "null"}]

    with sweep.resuming(tmp_path, {"params": {}}):
        kinds = [sweep.sweep([{"model": "a"}], f)["kind"].item() for f in (attack, null, attack)]
    assert kinds == ["attack", "null", "attack"]


@pytest.mark.parametrize(
    ("n", "again"),
    [
        ({"a": 1, "default": 2}, []),
        ({"a": 1, "b": 2, "default": 5}, []),
        ({"a": 1, "b": 3, "default": 2}, ["b[x]"]),
        ({"a": 1, "b[x]": 3, "default": 2}, ["b[x]"]),
        ({"a": 1, "default": 3}, ["b[x]"]),
        ({"a": 2, "other": 2}, ["a"]),
        (2, ["a"]),
        ({"c": 1}, ["a", "b[x]"]),  # says nothing of these two: it may be no mapping by network
    ],
)
@pytest.mark.parametrize("per_network", [True, False])
def test_a_value_for_one_network_does_not_concern_the_points_of_others(tmp_path, n, again, per_network):
    calls = []

    def point(model):
        calls.append(model)
        return [{"n": 1}]

    for value in ({"a": 1, "default": 2}, n):
        calls.clear()
        with sweep.resuming(tmp_path, {"params": {"n": value}}):
            sweep.sweep([{"model": m} for m in ("a", "b[x]")], point, per_network=per_network)
    unchanged = n == {"a": 1, "default": 2}
    assert calls == (again if per_network else [] if unchanged else ["a", "b[x]"])


def test_half_written_point_is_never_read(project, counted):
    runner.run(NAME)
    for path in (project / "cache" / "runs").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:50])
    runner.run(NAME)
    assert counted == ["a", "b", "a", "b"]


def test_missing_weights_keep_their_row(project, counted):
    table = runner.run(NAME, models=["a", "missing"])
    assert table["status"].tolist() == ["run", "not run here"]
    assert np.isnan(table["fooling_rate"].iloc[1])


def test_store_and_load_round_trip(project, counted):
    made = runner.run(NAME, save=True)
    loaded = runner.load(NAME)
    pd.testing.assert_frame_equal(loaded, made, check_dtype=False)
    np.testing.assert_array_equal(loaded.attrs["arrays"]["v/a"], np.float32([10, -10]))
    assert (
        loaded.attrs["provenance"]["table_sha256"]
        == results.hashlib.sha256((project / "results" / f"{NAME}.csv").read_bytes()).hexdigest()
    )


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


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_whole(path, b"old")

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("uapkit.files.os.fsync", full)
    with pytest.raises(OSError, match=r"table\.csv could not be written \(No space left on device\)"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"], "no half-written file stays"


def test_read_only_place_is_one_sentence(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(OSError, match=r"a\.csv could not be written"):
        write_whole(blocker / "a.csv", b"x")


def test_notebook_refuses_a_parameter_it_does_not_have(counted):
    namespace = {"models": ["a"], "q": 1.0, "modls": ["b"], "In": [], "_private": 1}
    with pytest.raises(ValueError, match=r"unknown parameter .*'modls'"):
        runner.notebook_parameters(NAME, namespace)
    del namespace["modls"]
    assert runner.notebook_parameters(NAME, namespace) == {"models": ["a"], "q": 1.0}


def test_provenance_and_messages_hold_no_path_of_this_machine(project, counted, monkeypatch):
    monkeypatch.setenv("UAPKIT_DATA", str(project / "data"))
    record = runner.run(NAME).attrs["provenance"]
    assert str(project) not in json.dumps(record)
    assert runner.without_paths(f"no file {project}/data/x") == "no file <project>/data/x"
