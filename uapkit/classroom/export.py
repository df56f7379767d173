"""Grades and feedback as Moodle and Canvas import them.

Moodle: the assignment's grading worksheet (Assignment > Upload grading worksheet), whose rows are found by ``Identifier``, and
a zip for "Upload multiple feedback files in a zip". Canvas: the gradebook's CSV (Grades > Import), whose first columns are
``Student, ID``, perhaps SIS columns, and ``Section``, and a zip for "Upload Submissions", that of the assignment.

Sources: mod/assign/feedback/offline/importgradeslib.php and feedback/file/importziplib.php of Moodle,
lib/gradebook_importer.rb and app/models/abstract_assignment.rb of Canvas, read in 2026.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path, PurePosixPath

import pandas as pd

from uapkit import checks
from uapkit.classroom import collect, notebooks, reports
from uapkit.classroom.build import api
from uapkit.files import write_whole

PLATFORMS = ("moodle", "canvas")
MOODLE = [
    "Identifier",
    "Full name",
    "Email address",
    "Status",
    "Grade",
    "Maximum Grade",
    "Grade can be changed",
    "Last modified (submission)",
    "Last modified (grade)",
    "Feedback comments",
]
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Integration ID", "Root Account", "Section")
POINTS = "    Points Possible"


def scores(out: Path, name: str, *, partial: bool = False) -> pd.DataFrame:
    """Who handed in what through a platform, with ``score`` and ``max_score``, blank where something is still to be read.

    partial: the points there are so far instead. Raises ValueError if nothing was collected or graded.
    """
    roster = collect.roster(out, name)
    if roster.empty:
        raise ValueError(f"no collected_{name}.csv in {out.name}: only what was collected with `collect` can go back")
    if not (out / "grades.csv").is_file():
        raise ValueError(f"nothing is graded in {out.name}; run: python -m uapkit.classroom grade {name}")
    table = pd.read_csv(out / "grades.csv", dtype={"student_id": str})
    table = table[table["assignment"] == name].rename(columns={"student_id": "student"})
    if not partial:
        table["score"] = table["score"].where(table["to_read"] == 0)
    return roster.merge(table[["student", "score", "max_score"]], on="student", how="left")


def export(
    out: Path, name: str, platform: str, *, sheet: Path | None = None, column: str | None = None, partial: bool = False
) -> tuple[Path, Path, list[str]]:
    """Write ``<platform>_<name>.csv`` and ``<platform>_feedback_<name>.zip``; their paths, and what a teacher should know.

    sheet: the worksheet or gradebook that the platform gave; its other columns, its order and grades without a new value
    stay. Without one a file with the columns the import asks for is made. column: that of the grades, where its name is not
    the usual one.
    """
    checks.one_of(name, notebooks.names(), "assignment")
    checks.one_of(platform, PLATFORMS, "platform")
    api(out)
    table = scores(out, name, partial=partial)
    table = table[table["platform"] == platform]
    if table.empty:
        raise ValueError(f"nobody's {name} was collected from an archive of {platform}")
    if sheet is not None and not sheet.is_file():
        raise ValueError(f"no file {sheet}; download it from {platform} once more")
    notes = []
    waiting = sorted(table.loc[table["score"].isna(), "student"])
    if waiting:
        notes.append(f"left blank, not graded or still to be read: {', '.join(waiting)}")
    make = {"moodle": _moodle, "canvas": _canvas}[platform]
    filled, missing = make(table, name, sheet, column)
    if missing:
        notes.append(f"not in {sheet.name if sheet else 'the file'}: {', '.join(missing)}")
    path, zipped = out / f"{platform}_{name}.csv", out / f"{platform}_feedback_{name}.zip"
    reports.write(filled, path)
    write_whole(zipped, _feedback(out, name, table))
    return path, zipped, notes


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}".rstrip("0").rstrip(".")


def _read(sheet: Path) -> pd.DataFrame:
    text = sheet.read_text(encoding="utf-8-sig")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    return pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)


def _moodle(table: pd.DataFrame, name: str, sheet: Path | None, column: str | None) -> tuple[pd.DataFrame, list[str]]:
    if sheet is None:
        rows = table.assign(
            **{"Identifier": "Participant " + table["id"], "Full name": table["name"]},
            **{"Grade": table["score"].map(_number), "Maximum Grade": table["max_score"].map(_number)},
            **{"Last modified (grade)": "-"},
        )
        return rows.reindex(columns=MOODLE), []
    found = _read(sheet)
    column = column or "Grade"
    numbers = found.iloc[:, 0].str.extract(r"(\d+)\s*$")[0].fillna("")
    if column not in found.columns or not numbers.ne("").any():
        raise ValueError(
            f"{sheet.name} has no column {column!r}, or no numbers in its first one, as Moodle's grading worksheet has; "
            f"columns: {', '.join(found.columns)}; name that of the grades with --column"
        )
    most, highest = table["max_score"].max(), pd.to_numeric(found.get("Maximum Grade"), errors="coerce")
    if highest is not None and pd.notna(most) and highest.notna().any() and highest.min() != most:
        raise ValueError(
            f"Moodle gives {_number(highest.min())} points at most for {name}, the notebook {_number(most)}; "
            "change the maximum grade of the assignment in Moodle and download the worksheet again"
        )
    score = dict(zip(table["id"], table["score"].map(_number), strict=True))
    found[column] = [score.get(number) or old for number, old in zip(numbers, found[column], strict=True)]
    return found, sorted(table.loc[~table["id"].isin(set(numbers)), "student"])


def _canvas(table: pd.DataFrame, name: str, sheet: Path | None, column: str | None) -> tuple[pd.DataFrame, list[str]]:
    if sheet is None:
        column = column or name
        rows = table[table["score"].notna()]
        made = pd.DataFrame(
            {"Student": rows["name"], "ID": rows["id"], "Section": "", column: rows["score"].map(_number)}
        )
        most = _number(table["max_score"].max())
        top = pd.DataFrame([{"Student": POINTS, "ID": "", "Section": "", column: most}])
        return pd.concat([top, made], ignore_index=True), []
    found = _read(sheet)
    if list(found.columns[:2]) != ["Student", "ID"] or "Section" not in found.columns:
        raise ValueError(f"{sheet.name} is not Canvas's gradebook: it begins with Student, ID and has a column Section")
    others = [one for one in found.columns if one not in CANVAS]
    fitting = [one for one in others if (one == column if column else name in one)]
    if len(fitting) != 1:
        raise ValueError(
            f"{len(fitting)} columns of {sheet.name} fit {column or name}; name one with --column: {'; '.join(others)}"
        )
    score = dict(zip(table["id"], table["score"].map(_number), strict=True))
    found[fitting[0]] = [score.get(number) or old for number, old in zip(found["ID"], found[fitting[0]], strict=True)]
    kept = [one for one in found.columns if one in CANVAS]
    return found[[*kept, fitting[0]]], sorted(table.loc[~table["id"].isin(set(found["ID"])), "student"])


def _feedback(out: Path, name: str, table: pd.DataFrame) -> bytes:
    """The feedback pages under the names by which the platform finds each student's submission."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for student, platform, number, full, path in table[["student", "platform", "id", "name", "file"]].itertuples(
            index=False
        ):
            page = out / "feedback" / student / name / f"{name}.html"
            if not page.is_file():
                continue
            if platform == "moodle":
                archive.write(page, f"{full}_{number}_assignsubmission_file/{name}_feedback.html")
            else:
                parts = (re.match(r".*?_(?:LATE_)?[0-9A-Za-z]+_\d+_", part) for part in PurePosixPath(path).parts)
                start = next((found[0] for found in parts if found and f"_{number}_" in found[0]), "")
                archive.write(page, f"{start}{name}_feedback.html")
    return data.getvalue()
