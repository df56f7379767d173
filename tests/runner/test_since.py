"""What has changed since a run was stored: every state of its code, and weights that the catalogue names otherwise now."""

import json
import platform
import subprocess
import sys

import pytest

from uapkit import edited, models, runner, sources
from uapkit.runner import drawn, since, verified, verify

NAME = "moosavi2017/fig10_subspace"
STORED = [name for name, about in runner.items().items() if about.path("json").is_file()]
HERE = platform.python_version()
RUN = {"code_sha256": "a" * 64, "table_sha256": "t" * 64, "versions": {"python": HERE}}
RERUN = {"code_sha256": "b" * 64, "table_sha256": "t" * 64, "on": f"x86_64, 1 threads, Python {HERE}, torch 2.15.0"}


@pytest.mark.parametrize(
    ("rerun", "today", "state"),
    [
        (None, "a", since.SAME),
        (RERUN, "a", since.SAME),
        (None, "b", since.CHANGED),
        (RERUN, "b", since.RERUN),
        (RERUN, "c", since.OLDER),
        (RERUN | {"table_sha256": "u" * 64}, "b", since.CHANGED),
        (RERUN, "", ""),
    ],
)
def test_every_state_of_the_code(rerun, today, state):
    assert since.code(RUN, rerun, today * 64) == state


def test_checksums_of_another_python_are_not_compared():
    """Its parser makes another tree of the same text."""
    other = "2.7.18"
    assert since.code(RUN | {"versions": {"python": other}}, RERUN, "b" * 64) == ""
    assert since.code(RUN | {"versions": {}}, RERUN, "b" * 64) == ""
    assert since.code(RUN, RERUN | {"on": f"x86_64, 1 threads, Python {other}, torch 2.15.0"}, "b" * 64) == ""
    assert since.code(RUN, RERUN | {"on": f"x86_64, 1 threads, Python {other}, torch 2.15.0"}, "a" * 64) == since.SAME


@pytest.mark.parametrize("sha", ["", "unknown: x.py was edited after this process had started"])
def test_of_a_run_whose_code_was_not_known_nothing_is_said(sha):
    assert since.code(RUN | {"code_sha256": sha}, RERUN, "b" * 64) == ""


def test_weights_are_compared_where_the_catalogue_knows_them():
    stored = {"inputs": {"net[tag]": "1" * 64, "other[tag]": "2" * 64, "net[random]": "3" * 64, "mnist/test": "4" * 64}}
    assert since.weights(stored, {"net[tag]": "1" * 64, "other[tag]": "2" * 8}) == []
    assert since.weights(stored, {"net[tag]": "5" * 64, "other[tag]": "6" * 8}) == ["net[tag]", "other[tag]"]
    assert since.weights(stored, {}) == []
    assert since.weights({}, {"net[tag]": "5" * 64}) == []


def test_the_present_code_is_that_which_a_run_would_note_and_the_weights_those_of_the_cards():
    now = drawn.present()
    for name in ("moosavi2017/fig10_subspace", "khrulkov2018/tab1_layers", "equivariant2019/fig1_energy"):
        assert now["code"][name] == verify.code_now(runner.item(name)) != ""
    assert set(now["code"]) == set(runner.items())
    for name, sha in now["weights"].items():
        net, _, tag = name.removesuffix("]").partition("[")
        assert models.catalogue.find(net, tag).card().sha256 == sha
    assert len(now["weights"]) > 10


def test_every_stored_run_has_a_state():
    now = drawn.present()
    found = {name: since.of(name, verified.last(name), now) for name in STORED}
    assert {one["code"] for one in found.values()} <= {*since.STATES, ""}
    assert {name: one["weights"] for name, one in found.items() if one["weights"]} == {}
    if platform.python_version().startswith("3.11."):  # with which they were stored
        assert "" not in {one["code"] for one in found.values()}
        assert since.of(NAME, None, {"code": {NAME: "f" * 64}, "weights": {}})["code"] == since.CHANGED


def test_no_two_stored_runs_were_fed_with_different_data_under_one_name():
    """Data have no checksum in a catalogue; that all runs saw the same is told by the runs themselves."""
    seen = {}
    for name in STORED:
        for key, sha in json.loads(runner.item(name).path("json").read_text(encoding="utf-8"))["inputs"].items():
            if not key.endswith("[wrapped]"):
                seen.setdefault(key, {}).setdefault(sha, []).append(name)
    assert {key: names for key, names in seen.items() if len(names) > 1} == {}
    assert len(seen) > 50


def test_an_item_that_is_not_stored_has_no_state(project):
    assert since.of(NAME, None) == {"code": "", "weights": []}


def test_it_is_kept_while_no_file_changes_and_loads_neither_torch_nor_pandas(monkeypatch, tmp_path):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))
    first = drawn.present()
    code = "import sys; from uapkit import sources; sources.code_of = lambda *a: sys.exit('computed again')\n"
    code += "from uapkit.runner import drawn; print(len(drawn.present()['code']))\n"
    code += "print([m for m in ('torch', 'pandas', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(len(first["code"])), "[]"]
    monkeypatch.setattr(drawn, "_state", lambda: "another state of the project")
    monkeypatch.setattr(sources, "code_of", lambda module, name: f"{module} now")
    assert drawn.present()["code"][NAME] == "uapkit.papers.moosavi2017.fig10_subspace now"


def test_what_is_told_of_files_edited_meanwhile_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(edited, "since_start", lambda path: path.name == "norms.py")
    monkeypatch.setattr(sources, "code_of", lambda module, name: "of a moment ago")
    assert drawn.present()["code"][NAME] == "of a moment ago"
    monkeypatch.setattr(sources, "code_of", lambda module, name: "of now")
    assert drawn.present()["code"][NAME] == "of now"


def test_code_that_cannot_be_told_is_blank(monkeypatch, tmp_path):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))

    def unknown(module, name):
        raise sources.Unidentified("no file")

    monkeypatch.setattr(sources, "code_of", unknown)
    assert set(drawn.present()["code"].values()) == {""}


@pytest.mark.parametrize("lost", ["when", "table_sha256", "code_sha256", "of_rows"])
def test_a_record_of_a_rerun_that_lacks_something_is_named(project, counted, lost):
    runner.run(NAME, save=True)
    path = verified.note(verify.check(NAME))
    assert verified.standing(NAME)["current"]
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in record.items() if key != lost}))
    with pytest.raises(ValueError, match=rf"results/verified/{path.name} lacks {lost}; restore it from git"):
        verified.standing(NAME)
