"""What a teacher reads and carries on: the report of an assignment, ``grades.csv``. A blank is not a zero."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from uapkit.files import write_whole

COLUMNS = ("student", "status", "points", "possible", "by_hand", "seconds", "same_answer_as", "notes")


def write(table: pd.DataFrame, path: Path) -> None:
    """A CSV file, whole or not at all; missing values are blank, and what has a comma is quoted."""
    write_whole(path, table.to_csv(index=False).encode())


def keep(
    out: Path, name: str, rows: Sequence[Mapping[str, Any]], students: Collection[str], same: Mapping[str, str]
) -> pd.DataFrame:
    """Put these rows into ``report_<name>.csv`` and return all of it; rows of students without a submission go.

    same: the column ``same_answer_as`` of every student, old rows included.
    """
    path = out / f"report_{name}.csv"
    new = pd.DataFrame(rows, columns=list(COLUMNS))
    if path.is_file():
        old = pd.read_csv(path, dtype={"student": str}).reindex(columns=list(COLUMNS))
        old = old[old["student"].isin(set(students) - set(new["student"]))]
        new = pd.concat([old, new], ignore_index=True) if len(old) else new
    new = new.sort_values("student", ignore_index=True)
    new["same_answer_as"] = [same.get(student, "") for student in new["student"]]
    new["notes"] = new["notes"].fillna("")
    write(new, path)
    return new


def grades(out: Path, book: Any) -> pd.DataFrame:
    """``grades.csv``: one row for each student and each assignment that somebody has handed in, under nbgrader's names.

    score: tests, and what has been read so far; blank where nothing was handed in or could be graded. to_read: points that
    wait for a reader, which the score lacks.
    """
    from nbgrader.api import MissingEntry

    rows = []
    for assignment in book.assignments:
        if not any((out / "submitted").glob(f"*/{assignment.name}")):
            continue
        for student in book.students:
            row = {"assignment": assignment.name, "student_id": student.id}
            row |= {key: getattr(student, key) or "" for key in ("last_name", "first_name", "email")}
            row |= dict.fromkeys(("timestamp", "raw_score", "late_submission_penalty", "score", "to_read"))
            row["max_score"] = assignment.max_score
            try:
                found = book.find_submission(assignment.name, student.id)
            except MissingEntry:
                rows.append(row)
                continue
            waiting = [g.max_score for n in found.notebooks for g in n.grades if g.needs_manual_grade]
            penalty = found.late_submission_penalty or 0.0
            row |= {"timestamp": found.timestamp, "raw_score": found.score, "late_submission_penalty": penalty}
            rows.append(row | {"score": max(0.0, found.score - penalty), "to_read": sum(waiting)})
    columns = ["assignment", "student_id", "last_name", "first_name", "email", "timestamp", "raw_score"]
    columns += ["late_submission_penalty", "score", "to_read", "max_score"]
    table = pd.DataFrame(rows, columns=columns).sort_values(["assignment", "student_id"], ignore_index=True)
    write(table, out / "grades.csv")
    return table
