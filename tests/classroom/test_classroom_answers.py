"""Every assignment without a kernel: the solution passes, the untouched notebook fails, every kept mistake is caught."""

import ast
import json
import re
import sys

import pytest
import torch
from nbformat import validate

from uapkit.classroom import build, judge, kernel, notebooks, properties

NAMES = notebooks.names()


@pytest.fixture(autouse=True, scope="module")
def as_in_a_kernel():
    """Libraries are remembered, as a kernel does: no assignment replaces what its tests trust."""
    kernel.remember()
    yield
    del sys.modules[judge.BEFORE]


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
        for file in (f"{name}.ipynb", "students.zip"):
            assert f"<../_generated/classroom/{file}>" in text, f"{sheet.name} does not link {file}"
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


@pytest.mark.parametrize("name", NAMES)
def test_points_are_split_by_property_and_a_mistake_is_counted_once(name, place):
    source, points = notebooks.read(name), notebooks.tests(notebooks.read(name))
    right = notebooks.graded(source, source, place)
    assert {key: got for key, (got, _) in right.items()} == points
    assert not [said for _, said in right.values() if "replaced" in said]
    blank = notebooks.graded(notebooks.student_version(source), source, place)
    assert {got for got, _ in blank.values()} == {0}, "an empty answer passes a property"
    for mistake in notebooks.mistakes(name):
        wrong = notebooks.with_answers(source, {mistake.cell: mistake.code})
        found = notebooks.graded(wrong, source, place)
        lost = {key: points[key] - got for key, (got, _) in found.items() if got != points[key]}
        assert set(lost) == {mistake.caught}, f"{mistake.name} costs points elsewhere: {lost}"
        assert re.search(mistake.message, found[mistake.caught][1]), found[mistake.caught][1]


@pytest.mark.parametrize("name", NAMES)
def test_every_point_belongs_to_a_property_that_the_student_can_read(name):
    source = notebooks.read(name)
    released = {
        properties.about(c)["grade_id"]: c.source
        for c in notebooks.student_version(source).cells
        if properties.about(c)
    }
    for key, plan in properties.plans(source).items():
        assert sum(one["points"] for one in plan["properties"]) == notebooks.tests(source)[key]
        assert properties.parts(released[key])[0] == plan["properties"], f"{key}: points that a student does not see"
        for index, one in enumerate(plan["properties"]):
            tried = "\n".join(text for at, text in plan["segments"] if at == index)
            assert "assert " in tried, f"{key}: nothing tries {one['title']}"
    assert set(properties.plans(source)) == set(notebooks.tests(source))
