"""Every assignment without a kernel: the solution passes, the untouched notebook fails, every kept mistake is caught."""

import ast
import json
import re

import pytest
import torch
from nbformat import validate

from uapkit.classroom import build, notebooks

NAMES = notebooks.names()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("term0")
    build.place_files(folder, 0)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_solution_passes_untouched_fails_and_mistakes_are_caught(name, place):
    """Each mistake runs from its own cell on, with what the solution has defined before it, to the test that must fail."""
    source, keep = notebooks.read(name), {}
    assert {key: why for key, why in notebooks.run(source, place, keep=keep).items() if why} == {}
    blank = notebooks.run(notebooks.student_version(source), place)
    assert [key for key in notebooks.tests(source) if not blank[key]] == [], "tests that an empty answer passes"
    for mistake in notebooks.mistakes(name):
        why = notebooks.caught(source, mistake, place, keep)
        assert why.startswith("AssertionError: "), f"{mistake.name} must fail by the test's own message, got {why!r}"
        assert re.search(mistake.message, why), f"{mistake.name}: {why}"


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_fit_to_be_handed_out(name):
    source = notebooks.read(name)
    validate(source)
    assert len(notebooks.mistakes(name)) >= 3
    assert sum(notebooks.tests(source).values()) >= 15
    assert sum(notebooks.written(source).values()) >= 5
    ids = [notebooks.about(cell).get("grade_id", cell.id) for cell in source.cells]
    assert len(set(ids)) == len(ids)
    for cell in source.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    released = notebooks.student_version(source)
    text = json.dumps(released)
    for mark in ("BEGIN SOLUTION", "BEGIN HIDDEN", "END HIDDEN"):
        assert mark not in text
    for cell in released.cells:
        if cell.cell_type == "code" and notebooks.about(cell).get("grade"):
            assert "assert " in cell.source, "a test cell keeps a visible assert"
    for cell in source.cells:
        if cell.cell_type == "code" and notebooks.about(cell).get("grade"):
            asserts = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Assert)]
            assert all(node.msg for node in asserts), "an assert says what to look at"
            assert "BEGIN HIDDEN TESTS" in cell.source


def test_every_assignment_has_its_task_sheet():
    from uapkit.book import build as book

    for name in NAMES:
        sheet = notebooks.project_root() / "book" / "classroom" / f"{name}.md"
        text = sheet.read_text(encoding="utf-8")
        for heading in ("Learning goals", "Before you start", "Time", "Tasks", "Rubric", "Common mistakes"):
            assert f"## {heading}" in text, f"{sheet.name} lacks {heading}"
        assert f"book/classroom/{name}" in book.pages()
        source = notebooks.read(name)
        for key, points in (notebooks.tests(source) | notebooks.written(source)).items():
            assert re.search(rf"`{key}`[^\n]*\b{points:g}\b", text), (
                f"{sheet.name} does not give {points:g} points of {key}"
            )


def test_a_run_leaves_no_trace(place):
    before = torch.get_default_dtype(), torch.get_num_threads()
    notebooks.run(notebooks.read(NAMES[0]), place)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == before


def test_wrong_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"a1_linear"):
        notebooks.read("a1_lineer")
    with pytest.raises(ValueError, match="solution cell"):
        notebooks.with_answers(notebooks.read("a1_linear"), {"nrms": "pass"})
