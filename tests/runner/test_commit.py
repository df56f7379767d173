"""When a run counts as one of a changed tree: stored tables are what runs write, not what they read."""

import subprocess

import pytest

from uapkit.runner import results

FILES = ("uapkit.py", "results/paper/item.csv", "results/paper/training/net.json")


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
