"""A class on Canvas from its archive to the file that its gradebook imports, with the guide's commands alone."""

import csv
import io
import zipfile

import nbformat
import pytest

from uapkit.classroom import build, notebooks
from uapkit.classroom.__main__ import main

NAME = "a4_svd"
COLUMN = f"Lab 4 {NAME} (3125)"


def handed_in(out):
    """Text of a right notebook, one with a wrong answer, and one with all answers of which a locked cell is copied."""
    blank = nbformat.read(out / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    source = notebooks.read(NAME)
    right = notebooks.answers(source) | dict.fromkeys(notebooks.written(source), "An answer in words.")
    mistake = notebooks.mistakes(NAME)[0]
    good, wrong = (notebooks.with_answers(blank, a) for a in (right, right | {mistake.cell: mistake.code}))
    copied = notebooks.with_answers(blank, right)
    at = next(k for k, cell in enumerate(copied.cells) if cell.metadata.get("nbgrader", {}).get("locked"))
    copied.cells.insert(at + 1, nbformat.from_dict(copied.cells[at]))
    return [nbformat.writes(one) for one in (good, wrong, copied)]


@pytest.fixture
def archive(tmp_path):
    """The layout of app/models/submission... of Canvas: name[_LATE]_user_attachment_file, later versions with -1, -2."""
    out = tmp_path / "course"
    build.course(out, seed=5, only=[NAME])
    good, wrong, copied = handed_in(out)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("work/final.ipynb", good)
    place = tmp_path / "submissions_lab_4.zip"
    with zipfile.ZipFile(place, "w") as made:
        made.writestr(f"doejane_4001_9001_{NAME}.ipynb", good)
        made.writestr(f"mustermax_LATE_4002_9002_{NAME}-1.ipynb", wrong)
        made.writestr("lieva_4003_9003_work.zip", inner.getvalue())
        made.writestr(f"bo_4004_9004_{NAME}.ipynb", "no notebook at all")
        made.writestr(f"annalong_4005_9005_{NAME}.ipynb", copied)
        made.writestr("zoe_4006_text.html", "<p>I was ill</p>")
    return out, place


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::nbformat.warnings.DuplicateCellId")
def test_a_class_on_canvas_from_archive_to_import(archive, tmp_path, capsys):
    out, place = archive
    assert main(["collect", NAME, str(place), "--course", str(out)]) == 0
    assert "5 students collected" in capsys.readouterr().out
    assert main(["grade", NAME, "--course", str(out), "--sandbox", "none"]) == 0
    said = capsys.readouterr().out
    assert "4 graded, 1 not" in said
    with (out / f"report_{NAME}.csv").open() as file:
        report = {row["student"]: row for row in csv.DictReader(file)}
    right = float(report["doejane_4001"]["points"])
    assert right == float(report["doejane_4001"]["possible"]), "a right notebook has all points of the tests"
    assert float(report["lieva_4003"]["points"]) == float(report["annalong_4005"]["points"]) == right
    assert 0 < float(report["mustermax_4002"]["points"]) < right
    assert "was there twice" in report["annalong_4005"]["notes"]

    with build.api(out).gradebook as book:  # the teacher reads the answers in words, in the formgrader
        for student in ("doejane_4001", "mustermax_4002", "lieva_4003", "annalong_4005"):
            for grade in book.find_submission(NAME, student).notebooks[0].grades:
                if grade.needs_manual_grade:
                    grade.manual_score, grade.needs_manual_grade = 1.0, False
        book.db.commit()
    assert main(["hand-back", NAME, "--course", str(out)]) == 0

    sheet = tmp_path / "2026-11-29T0900_Grades-PHY101.csv"
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Essay (3001)", COLUMN, "Current Score"]
    most = float(next(csv.DictReader((out / "grades.csv").open()))["max_score"])
    people = {"4001": "Doe, Jane", "4002": "Muster, Max", "4003": "Li, Eva", "4004": "Bo", "4005": "Long, Anna"}
    lines = [head, ["    Points Possible", "", "", "", "", "10", f"{most:g}", "(read only)"]]
    lines += [[name, key, f"s{key}", key, "PHY101", "7", "", "70"] for key, name in people.items()]
    with sheet.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    assert main(["export", NAME, "canvas", "--sheet", str(sheet), "--course", str(out)]) == 0
    with (out / f"canvas_{NAME}.csv").open(newline="") as file:
        made = list(csv.reader(file))
    assert made[0] == [*head[:5], COLUMN], (
        "Student, ID, ..., Section first, as gradebook_importer.rb asks, and one column more"
    )
    assert made[1][0].strip() == "Points Possible"
    grade = {row[1]: row[-1] for row in made[2:]}
    words = float(grade["4001"]) - right
    assert words >= 1, "the reader's points are in"
    assert float(grade["4003"]) == float(grade["4005"]) == float(grade["4001"])
    assert right > float(grade["4002"]) - words == pytest.approx(float(report["mustermax_4002"]["points"]))
    assert grade["4004"] == "", "what could not be graded is no zero"
    with zipfile.ZipFile(out / f"canvas_feedback_{NAME}.zip") as pages:
        names = pages.namelist()
    assert f"mustermax_LATE_4002_9002_{NAME}_feedback.html" in names
    assert len(names) == 5
