"""Grading a class: every submission in its own process, with limits of time and memory; one that fails stops no other.

What a submission's code can do is limited by :mod:`uapkit.classroom.kernel` and, on Linux, cut off from the network; the
teacher's guide says how to isolate it further.
"""

from __future__ import annotations

import contextlib
import html
import shutil
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbformat import NotebookNode
from tqdm import tqdm

from uapkit import checks
from uapkit.classroom import alike, layouts, limits, mend, notebooks, reports
from uapkit.classroom.build import api
from uapkit.files import alone, write_whole

OURS = "the grader failed on this notebook; your teacher can see why"  # what a student reads of a log he does not have
EXCHANGE = ("timestamp.txt", "submission_secret.txt")  # by which a hub's exchange finds whose feedback a page is


def submissions(out: Path, name: str) -> list[str]:
    """Students who handed in something for this assignment: folders ``submitted/<student>/<name>``."""
    return sorted(path.parent.name for path in (out / "submitted").glob(f"*/{name}"))


def grade(
    out: Path,
    name: str,
    *,
    students: Sequence[str] | None = None,
    seconds: float = 600,
    memory: float = 4,
    jobs: int = 1,
    sandbox: str = "auto",
) -> pd.DataFrame:
    """Grade an assignment, write feedback, ``grades.csv`` and ``report_<name>.csv``; the report of the whole class.

    One row a submission, columns :data:`uapkit.classroom.reports.COLUMNS`; with ``students`` the rows of the others stay as
    they are. What was graded before is graded anew; marks given by hand stay. seconds: of wall clock, and of processor
    time, for one submission; a single cell has its own limit in ``nbgrader_config.py``. memory: gigabytes. jobs:
    submissions at once. sandbox: see :func:`uapkit.classroom.limits.sandbox_command`. Raises ValueError where nothing was
    handed in.
    """
    checks.one_of(name, notebooks.names(), "assignment")
    checks.in_range(seconds, 1, 86400, "seconds")
    checks.in_range(memory, 1, 1024, "memory")
    course = api(out)
    found = submissions(out, name)
    for student in students or ():
        checks.one_of(student, found, "student with a submission")
    if not found:
        raise ValueError(f"no submission found; put notebooks at {out.name}/submitted/<student>/{name}/{name}.ipynb")
    words = limits.sandbox_command(sandbox)
    if not words:
        print("students' code is not cut off from the network on this machine: see 'Isolation' in the teacher's guide")
    elif sandbox == "auto" and words != limits.ISOLATED:
        print("students' code can read the course folder on this machine: see 'Isolation' in the teacher's guide")
    with alone(out, "grades"):
        return _graded(out, name, course, students, found, seconds, memory, jobs, words)


def _graded(
    out: Path,
    name: str,
    course: Any,
    students: Sequence[str] | None,
    found: list[str],
    seconds: float,
    memory: float,
    jobs: int,
    words: list[str],
) -> pd.DataFrame:
    gradebook = course.gradebook
    released = nbformat.read(out / "release" / name / f"{name}.ipynb", as_version=4)
    todo = list(dict.fromkeys(students or found))
    with ThreadPoolExecutor(checks.count(jobs, "jobs")) as pool:
        running = [pool.submit(_one, out, name, s, released, seconds, memory, words) for s in todo]
        done = [future.result() for future in tqdm(running, desc=f"grading {name}", disable=None)]
    rows = []
    with gradebook as book:
        for student, (status, took, notes) in zip(todo, done, strict=True):
            book.update_or_create_student(student)
            if status != "graded":
                _no_credit(out, book, name, student, status)
            row = {"student": student, "status": status, "seconds": round(took, 1), "notes": "; ".join(notes)}
            rows.append(row | _points(book, name, student))
    _hand_back(out, name, course)
    mended = {s: out / "mended" / s / name / f"{name}.ipynb" for s in found}
    same = alike.same_answer_as(
        {s: nbformat.read(path, as_version=4) for s, path in mended.items() if path.is_file()}, released
    )
    return reports.keep(out, name, rows, found, same)


def _one(
    out: Path, name: str, student: str, released: NotebookNode, seconds: float, memory: float, words: list[str]
) -> tuple[str, float, list[str]]:
    """(status, seconds, notes) of one student's submission."""
    if student != layouts.clean(student):
        return f"nbgrader cannot take this folder's name; rename it, to {layouts.clean(student)} for example", 0.0, []
    place = out / "mended" / student / name
    shutil.rmtree(place, ignore_errors=True)
    try:
        reason, notes = mend.prepare(out / "submitted" / student / name, place, name, released)
    except Exception as error:  # whatever was handed in, the others are graded
        write_whole(out / "logs" / name / f"{student}.log", traceback.format_exc().encode())
        return f"nbgrader never saw it, for {type(error).__name__} came before: see logs/{name}/{student}.log", 0.0, []
    if reason:
        return reason, 0.0, notes
    return *limits.run(out, name, student, seconds, memory, words), notes


def _no_credit(out: Path, book: Any, name: str, student: str, reason: str) -> None:
    """Nothing of an earlier submission counts for one that could not be graded; the student learns the reason."""
    from nbgrader.api import MissingEntry

    with contextlib.suppress(MissingEntry):
        book.remove_submission(name, student)
    shutil.rmtree(out / "autograded" / student / name, ignore_errors=True)
    shutil.rmtree(out / "feedback" / student / name, ignore_errors=True)
    reason = OURS if reason.startswith("nbgrader") else reason
    page = f"<!doctype html><title>{name}</title><p>This submission could not be graded: {html.escape(reason)}.</p>\n"
    place = out / "feedback" / student / name
    write_whole(place / f"{name}.html", page.encode())
    for mark in EXCHANGE:
        if (of_hub := out / "submitted" / student / name / mark).is_file():
            shutil.copyfile(of_hub, place / mark)


def _points(book: Any, name: str, student: str) -> dict[str, float | None]:
    """Points of the tests, None where nothing was graded; their maximum; points that wait for a reader."""
    from nbgrader.api import MissingEntry

    possible = sum(notebooks.tests(notebooks.read(name)).values())
    try:
        grades = [g for n in book.find_submission(name, student).notebooks for g in n.grades]
    except MissingEntry:
        return {"points": None, "possible": possible, "by_hand": None}
    by_hand = sum(g.max_score for g in grades if g.needs_manual_grade)
    return {"points": sum(g.auto_score or 0.0 for g in grades), "possible": possible, "by_hand": by_hand}


def hand_back(out: Path, name: str) -> list[str]:
    """Write feedback and ``grades.csv`` from the gradebook as it is, points given by hand included; the students' names.

    A student gets one HTML page and nothing else (but the marks of a hand-in through a hub): nbgrader would add the
    assignment's files, the secret seed among them.
    """
    checks.one_of(name, notebooks.names(), "assignment")
    course = api(out)
    with alone(out, "grades"):
        return _hand_back(out, name, course)


def _hand_back(out: Path, name: str, course: Any) -> list[str]:
    students = sorted(path.parent.name for path in (out / "autograded").glob(f"*/{name}"))
    for student in students:
        done = course.generate_feedback(name, student, force=True)
        if not done["success"]:
            print(f"no feedback for {student}: {str(done.get('error') or done.get('log'))[-300:]}", file=sys.stderr)
        for path in (out / "feedback" / student / name).glob("*"):
            if path.suffix != ".html" and path.name not in EXCHANGE:
                path.unlink() if path.is_file() else shutil.rmtree(path)
    with course.gradebook as book:
        reports.grades(out, book)
    return students
