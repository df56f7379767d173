"""Staging and building: a failing item keeps its page, the built book holds no path of the machine that made it."""

import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

from uapkit import runner
from uapkit.book import build as book
from uapkit.book import depends, stage, work
from uapkit.book import links as linkcheck

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
    build = project(
        "import os, sys\nprint(6 * 7)\nprint('noise', file=sys.stderr)\n"
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(2)): pass"
    )
    assert book.stage_item(NAME) == 0
    text = (build / "staging" / "notebooks" / f"{NAME}.ipynb").read_text()
    outputs = [o for c in json.loads(text)["cells"] for o in c.get("outputs", [])]
    assert [o["text"] for o in outputs] == [["42\n"]], "what was printed, without noise and bars"
    assert str(build) not in text
    assert "widget" not in text
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


def test_what_sphinx_makes_itself_does_not_ask_for_it_again_but_its_sources_do(project):
    build = project("6 * 7")
    assert book.stage_item(NAME) == 0
    generated = build / "staging" / "book" / "_generated"
    for folder in ("api", "classroom", "../_ext/__pycache__"):
        (generated / folder).mkdir(parents=True)
    first = book._words()
    for name in ("times.md", "api/attacks.uap.md", "classroom/students.zip", "../_ext/__pycache__/previews.pyc"):
        (generated / name).write_text("made late")
    assert book._words() == first
    (generated / "counts.md").write_text("a sentence")
    assert book._words() != first
    (generated / "counts.md").unlink()
    assert book._words() == first
    assignment = build.parent / "classroom" / "a1_linear" / "task.md"
    assignment.parent.mkdir(parents=True)
    assignment.write_text("a task")
    assert book._words() != first
    assert "classroom/a1_linear/task.md" in depends.of_html()


def test_docstrings_of_the_reference_are_among_what_sphinx_reads():
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    try:
        assert tuple(importlib.import_module("api_reference").MODULES) == depends.REFERENCE
    finally:
        sys.path.remove(str(ROOT / "book" / "_ext"))
    assert {"uapkit/attacks/uap.py", "uapkit/evaluate.py", "classroom/kit.py"} <= {*depends.of_sphinx()}


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
def test_built_book_has_no_dead_link_no_external_load_no_heavy_page_and_no_figure_without_words():
    report = linkcheck.check(BUILT)
    assert report.problems == [], "\n".join(report.problems)
    assert report.total < 150e6, f"{report.total / 1e6:.0f} MB"


@built
def test_the_book_says_how_large_it_is():
    said = re.search(r"a folder of (\d+) MB", (BUILT / "book" / "rerun.html").read_text(encoding="utf-8"))
    assert said
    assert abs(int(said.group(1)) - linkcheck.check(BUILT).total / 1e6) <= 1


@built
def test_the_commit_stands_on_every_page():
    for page in pages_of_the_book():
        assert re.search(r"Built from <code>[0-9a-f]{10}</code>", page.read_text(encoding="utf-8")), page.name


@built
def test_item_pages_offer_download_and_launch_and_name_the_source_of_each_figure():
    for page in (BUILT / "notebooks").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for address in (
            "mybinder.org",
            "colab.research.google.com",
            f"_sources/notebooks/{page.parent.name}/{page.stem}.ipynb",
        ):
            assert address in text, f"{page.name} offers no {address}"
        article = text[text.index('<article class="bd-article"') :]
        figures = len(re.findall(r"<img[^>]*_images/", article))
        assert article.count('class="uapkit-source"') >= min(figures, 1), page.name


def pages_of_the_book():
    return [BUILT / f"{page}.html" for page in book.pages() if (BUILT / f"{page}.html").is_file()]


def test_a_style_sheet_is_staged_without_comments_and_says_the_same():
    assert (
        book.lean("/* two\n lines */\n@media print {\n  a { b: c } /* why */\n}\n")
        == "\n@media print {\na { b: c } \n}\n"
    )
    sheets = {
        path: path.read_text(encoding="utf-8") for path in (book.project_root() / "book" / "assets").glob("*.css")
    }
    for path, text in sheets.items():
        assert book.lean(text).count("{") == text.count("{"), path
        assert len(book.lean(text)) <= len(text), path


def test_an_empty_folder_starts_with_the_items_whose_stored_quick_runs_took_longest(monkeypatch):
    monkeypatch.setattr(stage, "statuses", lambda: [])
    found = [step.name for step in work.item_steps(dict.fromkeys(runner.items(), "code"))]
    folder = ROOT / "results" / "quick"
    took = {
        n: json.loads(path.read_text())["seconds"]
        for n in found
        if (path := folder / f"{n.replace('/', '.')}.json").is_file()
    }
    assert len(took) > 50
    assert [n for n in found if n in took] == sorted(took, key=lambda n: -took[n])
    monkeypatch.setattr(stage, "statuses", lambda: [{"item": found[-1], "seconds": 1e6}])
    assert work.item_steps(dict.fromkeys(runner.items(), "code"))[0].name == found[-1], "what it took here counts more"
