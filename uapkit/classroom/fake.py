"""A class that does not exist, to rehearse grading: right and wrong answers, and submissions that misbehave."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import nbformat

from uapkit import checks
from uapkit.classroom import notebooks

MISBEHAVE = {
    "hanging": "import time\n\nwhile True:\n    time.sleep(1)",
    "crashing": "import os\n\nos._exit(1)",
    "greedy": "hoard = [torch.ones(2**28) for _ in range(64)]",
}
PROSE = "An answer in words, to be read by a teacher."


def submit(out: Path, name: str, n: int = 10) -> list[str]:
    """Hand in ``n`` >= 6 submissions, named by what they are: right, untouched, hanging, crashing, greedy, no notebook,
    then one for every kept mistake, and right ones for the rest. Needs the course folder built.
    """
    checks.count(n, "n", 3 + len(MISBEHAVE))
    source = notebooks.read(name)
    released = out / "release" / name / f"{name}.ipynb"
    if not released.is_file():
        raise ValueError(f"no {name} in a course folder at {out}; make one with: make classroom COURSE={out}")
    blank = nbformat.read(released, as_version=4)
    right = notebooks.answers(source) | dict.fromkeys(notebooks.written(source), PROSE)
    first = next(iter(right))
    students: dict[str, nbformat.NotebookNode | None] = {
        "right_0": notebooks.with_answers(blank, right),
        "untouched": copy.deepcopy(blank),
        "no_notebook": None,
    }
    for kind, code in MISBEHAVE.items():
        students[kind] = notebooks.with_answers(blank, right | {first: code})
    for mistake in notebooks.mistakes(name)[: n - len(students)]:
        students[f"mistake_{mistake.name}"] = notebooks.with_answers(blank, right | {mistake.cell: mistake.code})
    for k in range(1, n - len(students) + 1):
        students[f"right_{k}"] = notebooks.with_answers(blank, right)
    for student, notebook in students.items():
        checks.one_of(re.sub(r"\W", "", student), [student], "student")  # no name of a mistake becomes a path
        place = out / "submitted" / student / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        if notebook is None:
            (place / f"{name}.ipynb").write_text("I could not save my notebook, here is a note instead.\n")
        else:
            nbformat.write(notebook, place / f"{name}.ipynb")
    return list(students)
