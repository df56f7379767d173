"""Staging and building: a failing item keeps its page, the built book holds no path of the machine that made it."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from uapkit import book, runner

ROOT = runner.project_root()
BUILT = ROOT / "build" / "staging" / "_build" / "html"
NAME = "khrulkov2018/tab1_layers"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one tiny notebook in the place of an item's."""
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    monkeypatch.setenv("UAPKIT_ROOT", str(tmp_path))
    path = tmp_path / "notebooks" / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)

    def write(*code):
        cells = [nbformat.v4.new_markdown_cell(f"({NAME})=\n# Title"), *map(nbformat.v4.new_code_cell, code)]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, path)
        return tmp_path / "build"

    return write


def test_a_good_item_is_staged_without_its_paths(project):
    build = project("import os, sys\nprint(6 * 7)\nprint('noise', file=sys.stderr)")
    assert book.stage_item(NAME) == 0
    text = (build / "staging" / "notebooks" / f"{NAME}.ipynb").read_text()
    outputs = [o for c in json.loads(text)["cells"] for o in c.get("outputs", [])]
    assert [o["text"] for o in outputs] == [["42\n"]], "what was printed, without the noise on stderr"
    assert str(build) not in text
    assert json.loads((build / "status" / f"{NAME}.json").read_text())["ok"] is True


def test_a_failing_item_gets_a_failure_box_and_keeps_its_log(project):
    build = project("print('before')", "raise ValueError('no such layer: conv99')", "print('after')")
    assert book.stage_item(NAME) == 0
    staged = json.loads((build / "staging" / "notebooks" / f"{NAME}.ipynb").read_text())
    assert [c["cell_type"] for c in staged["cells"]] == ["markdown", "markdown"]
    assert "ValueError: no such layer: conv99" in staged["cells"][1]["source"]
    status = json.loads((build / "status" / f"{NAME}.json").read_text())
    assert status["ok"] is False
    partial = (build / "logs" / f"{NAME}.ipynb").read_text()
    assert "before" in partial, "the partly executed notebook is kept"
    assert "conv99" in (build / "logs" / f"{NAME}.log").read_text()
    assert any("conv99" in p for p in book.problems()), "check-book names it"


def test_unknown_parameter_by_hand_is_refused(tmp_path):
    """Papermill itself only warns of a parameter that the notebook does not have."""
    import subprocess
    import sys

    command = [
        sys.executable,
        "-m",
        "papermill",
        f"notebooks/{NAME}.ipynb",
        str(tmp_path / "out.ipynb"),
        "-p",
        "modles",
        "x",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "unknown parameter" in done.stderr
    assert "models" in done.stderr


def test_pages_walks_the_whole_table_of_contents():
    found = book.pages()
    assert found[0] == "book/index"
    assert f"notebooks/{NAME}" in found
    assert len(found) == len(set(found))


def test_missing_page_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\nchapters:\n- file: book/a\n")
    monkeypatch.setenv("UAPKIT_ROOT", str(tmp_path))
    (tmp_path / "build/staging/_build/html/book").mkdir(parents=True)
    (tmp_path / "build/staging/_build/html/book/index.html").write_text("")
    assert "page book/a was not built" in book.problems()
    assert "page book/index was not built" not in book.problems()


built = pytest.mark.skipif(not (BUILT / "index.html").is_file(), reason="no built book; `make book` makes it")


@built
def test_built_book_is_whole():
    assert book.problems() == []


@built
def test_built_pages_hold_no_path_of_this_machine():
    places = {str(ROOT), str(Path.home()), str(Path(shutil.which("python3") or "/usr/bin/python3").parent)}
    places = {p for p in places if len(p) > 6} | {"/home/", "/Users/", "/tmp/"}
    for page in BUILT.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for place in places:
            assert not re.search(rf"(?<![\w.:/<]){re.escape(place)}", text), f"{place} in {page.relative_to(BUILT)}"


@built
def test_built_pages_load_nothing_from_elsewhere():
    for page in BUILT.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loads = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"(https?://[^\"]+)\"[^>]*>", text)
        assert not [url for url in loads if "canonical" not in url], f"{page.relative_to(BUILT)} loads {loads}"


@built
def test_built_figures_have_alt_text():
    for page in (BUILT / "notebooks").rglob("*.html"):
        for tag in re.findall(r"<img\b[^>]*>", page.read_text(encoding="utf-8")):
            if "_images/" in tag:
                alt = re.search(r'alt="([^"]*)"', tag)
                text = alt.group(1) if alt else ""
                assert len(text) > 20, f"{page.name}: {tag}"
                assert "_images/" not in text, f"{page.name}: {tag}"


@built
def test_pages_are_not_too_heavy():
    for page in BUILT.rglob("*.html"):
        assert page.stat().st_size < 3e6, page.name
