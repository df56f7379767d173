"""Reports: a blank is no zero, one student does not replace a class, and the columns that Moodle and Canvas ask for."""

import csv
import io
import zipfile

import pandas as pd
import pytest

from uapkit.classroom import collect, export, notebooks, reports

NAME = "a1_linear"
TITLE = "a1_linear (5501)"


def row(student, status="graded", **more):
    return {"student": student, "status": status, "points": 12.0, "possible": 20, "by_hand": 0, "notes": ""} | more


def test_one_student_graded_anew_keeps_the_rows_of_the_others(tmp_path):
    everybody = ["ann", "bob, jr.", "cid"]
    reports.keep(tmp_path, NAME, [row(one) for one in everybody], everybody, {"ann": "cid (97%)"})
    again = reports.keep(tmp_path, NAME, [row("cid", points=20.0)], ["bob, jr.", "cid"], {})
    assert again["student"].tolist() == ["bob, jr.", "cid"], "ann's submission is gone, and so is her row"
    written = pd.read_csv(tmp_path / f"report_{NAME}.csv")
    assert written["points"].tolist() == [12, 20]
    assert written["student"].tolist() == ["bob, jr.", "cid"], "a comma in a name shifts nothing"


def test_what_could_not_be_graded_is_blank(tmp_path):
    failed = row("ann", "not a notebook", points=None, by_hand=None)
    reports.keep(tmp_path, NAME, [failed], ["ann"], {})
    with open(tmp_path / f"report_{NAME}.csv", encoding="utf-8") as file:
        found = next(csv.DictReader(file))
    assert found["points"] == ""
    assert found["possible"] == "20"


class Entry:
    def __init__(self, **values):
        self.__dict__.update(values)


class Gradebook:
    """What ``reports.grades`` asks of nbgrader's gradebook."""

    def __init__(self, students, submissions):
        names = dict.fromkeys(name for name, _ in submissions)
        self.assignments = [Entry(name=name, max_score=30.0) for name in ["a0_never_set", *names]]
        self.students = [Entry(id=one, last_name=None, first_name=None, email=None) for one in students]
        self._found = submissions

    def find_submission(self, name, student):
        from nbgrader.api import MissingEntry

        if (name, student) not in self._found:
            raise MissingEntry
        score, waiting = self._found[name, student]
        grades = [Entry(needs_manual_grade=waiting > 0, max_score=waiting)]
        return Entry(score=score, timestamp=None, late_submission_penalty=None, notebooks=[Entry(grades=grades)])


@pytest.fixture
def course(tmp_path):
    """Graded hand-ins of three students of each platform; one waits for a reader, one could not be graded."""
    (tmp_path / "nbgrader_config.py").write_text("")
    people = {
        "Eva Li": ("moodle", "88", "Eva Li", "x/Eva Li_88_assignsubmission_file/a1_linear.ipynb"),
        "Max, jr.": ("moodle", "77", "Max, jr.", "x/Max, jr._77_assignsubmission_file/a1_linear.ipynb"),
        "Bo": ("moodle", "79", "Bo", "x/Bo_79_assignsubmission_file/a1_linear.ipynb"),
        "doejane_4001": ("canvas", "4001", "doejane", "y/doejane_4001_9001_a1_linear.ipynb"),
        "max_4002": ("canvas", "4002", "max", "y/max_LATE_4002_9002_a1_linear-1.ipynb"),
        "bo_4003": ("canvas", "4003", "bo", "y/bo_4003_9003_work/a1_linear.ipynb"),
    }
    table = pd.DataFrame([(s, *rest, "") for s, rest in people.items()], columns=list(collect.COLUMNS))
    reports.write(table, tmp_path / f"collected_{NAME}.csv")
    for student in people:
        (tmp_path / "submitted" / student / NAME).mkdir(parents=True)
        page = tmp_path / "feedback" / student / NAME / f"{NAME}.html"
        page.parent.mkdir(parents=True)
        page.write_text(student)
    graded = {"Eva Li": (27.5, 0), "Max, jr.": (15.0, 10), "doejane_4001": (30.0, 0), "max_4002": (9.0, 4)}
    reports.grades(tmp_path, Gradebook(people, {(NAME, one): value for one, value in graded.items()}))
    return tmp_path


def test_grades_have_blanks_and_only_assignments_that_were_set(course):
    found = pd.read_csv(course / "grades.csv", dtype=str, keep_default_na=False).set_index("student_id")
    assert set(found["assignment"]) == {NAME}
    assert found["score"].to_dict() == {
        "Eva Li": "27.5",
        "Max, jr.": "15.0",
        "Bo": "",
        "doejane_4001": "30.0",
        "max_4002": "9.0",
        "bo_4003": "",
    }
    assert found.loc["max_4002", "to_read"] == "4.0"


def rows(path):
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_moodle_worksheet_made_from_nothing(course):
    path, _, notes = export.export(course, NAME, "moodle")
    head, *students = rows(path)
    assert {"Identifier", "Grade", "Last modified (grade)"} <= set(head), "what importgradeslib.php looks for"
    found = {one["Identifier"]: one for one in (dict(zip(head, line, strict=True)) for line in students)}
    assert {key: one["Grade"] for key, one in found.items()} == {
        "Participant 88": "27.5",
        "Participant 77": "",
        "Participant 79": "",
    }
    assert found["Participant 77"]["Full name"] == "Max, jr."
    assert notes == ["left blank, not graded or still to be read: Bo, Max, jr."]


def test_moodle_worksheet_filled_in(course):
    sheet = course / "Grades-PHY-A1.csv"
    sheet.write_text(
        '\ufeffIdentifier,"Full name","ID number","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
        '"Last modified (submission)","Last modified (grade)","Feedback comments"\n'
        'Participant 77,"Max, jr.",m1,max@x.org,"Submitted",,30.00,Yes,"Monday, 1 June 2026, 9:00 AM",-,\n'
        'Participant 88,Eva Li,m2,eva@x.org,"Submitted",,30.00,Yes,"Monday, 1 June 2026, 9:05 AM",-,"good"\n'
        'Participant 90,Zoe,m3,zoe@x.org,"No submission",3.00,30.00,Yes,-,-,\n',
        encoding="utf-8",
    )
    path, _, notes = export.export(course, NAME, "moodle", sheet=sheet)
    before, after = rows(sheet), rows(path)
    before[0][0] = before[0][0].lstrip("\ufeff")
    assert [line[5] for line in after] == ["Grade", "", "27.5", "3.00"]
    assert [line[:5] + line[6:] for line in after] == [line[:5] + line[6:] for line in before], "the rest stays"
    assert notes[1] == "not in Grades-PHY-A1.csv: Bo"
    partial, _, _ = export.export(course, NAME, "moodle", sheet=sheet, partial=True)
    assert [line[5] for line in rows(partial)] == ["Grade", "15", "27.5", "3.00"]
    sheet.write_text(sheet.read_text(encoding="utf-8").replace("30.00", "100.00"), encoding="utf-8")
    with pytest.raises(ValueError, match="Moodle gives 100 points at most for a1_linear, the notebook 30"):
        export.export(course, NAME, "moodle", sheet=sheet)


def test_canvas_file_made_from_nothing(course):
    path, _, _ = export.export(course, NAME, "canvas")
    head, points, *students = rows(path)
    assert [head[0], head[1], head[2]] == ["Student", "ID", "Section"], (
        "gradebook_importer.rb asks for these, and one more"
    )
    assert len(head) == 4
    assert "Points Possible" in points[0]
    assert points[3] == "30"
    assert students == [["doejane", "4001", "", "30"]], "a blank grade would delete one that is there"


def test_canvas_gradebook_filled_in(course):
    sheet = course / "grades.export.csv"
    sheet.write_text(
        f"Student,ID,SIS User ID,SIS Login ID,Section,Essay (17),{TITLE},Current Score\n"
        "    Points Possible,,,,,10,30,(read only)\n"
        '"Doe, Jane",4001,s1,jane,PHY,7,,70\n'
        '"Muster, Max",4002,s2,max,PHY,8,5,80\n'
        '"Student, Test",4999,,t,PHY,,,\n',
        encoding="utf-8",
    )
    path, _, notes = export.export(course, NAME, "canvas", sheet=sheet)
    assert rows(path) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", TITLE],
        ["    Points Possible", "", "", "", "", "30"],
        ["Doe, Jane", "4001", "s1", "jane", "PHY", "30"],
        ["Muster, Max", "4002", "s2", "max", "PHY", "5"],
        ["Student, Test", "4999", "", "t", "PHY", ""],
    ]
    assert notes[1] == "not in grades.export.csv: bo_4003"
    with pytest.raises(ValueError, match=r"0 columns .* fit Exam; name one with --column: Essay \(17\)"):
        export.export(course, NAME, "canvas", sheet=sheet, column="Exam")


def test_feedback_goes_back_under_the_names_that_the_platforms_know(course):
    _, pages, _ = export.export(course, NAME, "moodle")
    with zipfile.ZipFile(pages) as archive:
        for path in archive.namelist():  # as importziplib.php reads it
            full, number, kind, plugin = path.split("/")[0].split("_", 4)
            assert (kind, plugin) == ("assignsubmission", "file")
            assert archive.read(path).decode() == full
            assert number in ("77", "79", "88")
        assert len(archive.namelist()) == 3
    _, pages, _ = export.export(course, NAME, "canvas")
    with zipfile.ZipFile(pages) as archive:
        assert sorted(archive.namelist()) == [
            "bo_4003_9003_a1_linear_feedback.html",
            "doejane_4001_9001_a1_linear_feedback.html",
            "max_LATE_4002_9002_a1_linear_feedback.html",
        ]


def test_what_cannot_go_back_gets_one_sentence(course):
    with pytest.raises(ValueError, match=r"no collected_a2_power\.csv"):
        export.export(course, "a2_power", "moodle")
    with pytest.raises(ValueError, match="is not Canvas's gradebook"):
        export.export(course, NAME, "canvas", sheet=course / "grades.csv")
    with pytest.raises(ValueError, match="unknown platform"):
        export.export(course, NAME, "modle")
    assert notebooks.names()[0] == NAME
