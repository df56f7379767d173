"""Source notebooks: the student's version, answers put into cells, and a run of the cells without a kernel."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import torch
import yaml
from nbformat import NotebookNode

from uapkit import checks
from uapkit.classroom import properties
from uapkit.classroom.judge import judge
from uapkit.runner.catalogue import project_root

MARK, about = properties.MARK, properties.about


Space = dict[str, object]


@dataclass(frozen=True)
class Mistake:
    """A plausible wrong answer: ``code`` in place of ``cell`` makes the test ``caught`` fail with ``message`` (a regex)."""

    name: str
    what: str
    cell: str
    caught: str
    message: str
    code: str


def folder() -> Path:
    """Where the source notebooks lie."""
    return project_root() / "classroom"


def names() -> list[str]:
    """All assignments: folders with a notebook of the same name."""
    return sorted(path.parent.name for path in folder().glob("*/*.ipynb") if path.stem == path.parent.name)


def read(name: str) -> NotebookNode:
    """The source notebook, solutions and hidden tests included. ValueError for an unknown name."""
    checks.one_of(name, names(), "assignment")
    return nbformat.read(folder() / name / f"{name}.ipynb", as_version=4)


def mistakes(name: str) -> list[Mistake]:
    """The wrong answers kept beside the notebook, in ``mistakes.yml``."""
    checks.one_of(name, names(), "assignment")
    text = (folder() / name / "mistakes.yml").read_text(encoding="utf-8")
    return [Mistake(**one) for one in yaml.safe_load(text)]


def tests(notebook: NotebookNode) -> dict[str, float]:
    """Test cells and their points, in order."""
    cells = (about(c) for c in notebook.cells if c.cell_type == "code")
    return {c["grade_id"]: c["points"] for c in cells if c.get("grade")}


def written(notebook: NotebookNode) -> dict[str, float]:
    """Cells that are graded by hand and their points."""
    cells = (about(c) for c in notebook.cells if c.cell_type == "markdown")
    return {c["grade_id"]: c["points"] for c in cells if c.get("grade")}


def answers(notebook: NotebookNode) -> dict[str, str]:
    """Every solution cell's text without the marks: what a student with the right answers hands in."""
    found = {about(c)["grade_id"]: c.source for c in notebook.cells if about(c).get("solution")}
    return {key: MARK.sub("", source) for key, source in found.items()}


def student_version(notebook: NotebookNode) -> NotebookNode:
    """A copy as nbgrader gives it to students: no solutions, no hidden tests."""
    from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

    result = copy.deepcopy(notebook)
    for step in (ClearSolutions(), ClearHiddenTests()):
        result, _ = step.preprocess(result, {})
    return result


def with_answers(notebook: NotebookNode, replaced: Mapping[str, str]) -> NotebookNode:
    """A copy with these texts in the cells of these names; ValueError for a name that is no solution cell."""
    result = copy.deepcopy(notebook)
    cells = {about(c)["grade_id"]: c for c in result.cells if about(c).get("solution")}
    for key, source in replaced.items():
        checks.one_of(key, cells, "solution cell")
        cells[key].source = source
    return result


def run(
    notebook: NotebookNode,
    place: Path,
    *,
    first: str = "",
    last: str = "",
    start: Space | None = None,
    keep: dict[str, Space] | None = None,
) -> dict[str, str]:
    """Execute the code cells in order in this process; for every failing cell its name and error, "" for passed tests.

    Only for notebooks that are trusted: nothing limits or isolates the code. place: the folder with ``kit.py`` and its
    data. As under nbgrader a failing cell does not stop the others. keep: filled with the names defined before every
    solution cell. first, start: begin at that cell with such names, to try one answer without the cells before it.
    last: end after that cell.
    """
    outcome: dict[str, str] = {}
    space: Space = {"__name__": "__main__", **(start or {})}
    begun = not first
    with _as_in_a_kernel(place):
        for cell in notebook.cells:
            name = about(cell).get("grade_id", cell.id)
            begun = begun or name == first
            if cell.cell_type != "code" or not begun:
                continue
            if keep is not None and about(cell).get("solution"):
                keep[name] = dict(space)
            if about(cell).get("grade"):
                outcome[name] = ""
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(cell.source, f"<{name}>", "exec"), space)
            except Exception as error:
                outcome[name] = f"{type(error).__name__}: {error}"
            if name == last:
                break
    return outcome


def caught(source: NotebookNode, mistake: Mistake, place: Path, keep: dict[str, Space]) -> str:
    """What the mistake's test says to it, "" for nothing; ``keep`` as a run of the solution has filled it."""
    wrong = with_answers(source, {mistake.cell: mistake.code})
    return run(wrong, place, first=mistake.cell, last=mistake.caught, start=keep[mistake.cell])[mistake.caught]


def graded(notebook: NotebookNode, source: NotebookNode, place: Path) -> dict[str, tuple[float, str]]:
    """For every test cell its points by property and what the student reads, as the grader would find them.

    Runs the notebook in this process, only for code that is trusted; source: the notebook with solutions and hidden tests.
    """
    result: dict[str, tuple[float, str]] = {}
    plans, space = properties.plans(source), {"__name__": "__main__"}
    with _as_in_a_kernel(place):
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.suppress(Exception):
                name = about(cell).get("grade_id", cell.id)
                if about(cell).get("grade"):
                    result[name] = (judge(plans[name], space), said.getvalue())
                else:
                    exec(compile(cell.source, f"<{name}>", "exec"), space)
    return result


@contextlib.contextmanager
def _as_in_a_kernel(place: Path) -> Iterator[None]:
    """The folder's modules can be imported; torch's settings are put back afterwards."""
    before, drawing = (torch.get_default_dtype(), torch.get_num_threads()), os.environ.get("NBGRADER_EXECUTION")
    own = {path.stem for path in place.glob("*.py")}
    sys.path.insert(0, str(place))
    try:
        for module in own:
            sys.modules.pop(module, None)
        torch.set_default_dtype(torch.float64)  # as kit.py does
        torch.set_num_threads(1)
        os.environ["NBGRADER_EXECUTION"] = "in process"
        with warnings.catch_warnings():
            yield
    finally:
        sys.path.remove(str(place))
        for module in own:
            sys.modules.pop(module, None)
        torch.set_default_dtype(before[0])
        torch.set_num_threads(before[1])
        if drawing is None:
            del os.environ["NBGRADER_EXECUTION"]
