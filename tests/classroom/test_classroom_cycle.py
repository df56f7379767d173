"""nbgrader's whole cycle on a class that does not exist: generate, hand in, grade under limits, feedback, export."""

import copy
import json
import os
import re
import shutil
import sys
import zipfile

import nbformat
import pandas as pd
import pytest

from uapkit.classroom import build, fake, grade, kernel, limits, notebooks

NAME = "a1_linear"
WRONG = "mistake_fgsm_descends"
PRY = """
import pathlib, torch
torch.allclose = lambda *a, **k: True
for path in ("../../../gradebook.db", "../../../source/a1_linear/a1_linear.ipynb"):
    print(path, "is there:", pathlib.Path(path).exists())
"""


def shorten(out, seconds):
    """A cell's limit in a course: what is interrupted at it takes no less time than the limit."""
    config, usual = out / "nbgrader_config.py", "c.Execute.timeout = 60"
    text = config.read_text()
    assert usual in text, "what a teacher gets"
    config.write_text(text.replace(usual, f"c.Execute.timeout = {seconds}"))


@pytest.mark.slow
def test_whole_cycle(tmp_path, capsys, monkeypatch):
    tools = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p != tools))
    out = tmp_path / "course"
    build.course(out, seed=3, only=[NAME])
    shorten(out, 15)

    released = out / "release" / NAME
    assert sorted(p.name for p in released.iterdir()) == [f"{NAME}.ipynb", "digits.npz", "kit.py"]
    with zipfile.ZipFile(out / "students.zip") as archive:
        files = set(archive.namelist())
        text = archive.read(f"assignments/{NAME}/{NAME}.ipynb").decode()
    assert {"assignments/README.md", "assignments/requirements.txt", f"assignments/{NAME}/digits.npz"} <= files
    assert "NotImplementedError" in text
    assert "HIDDEN" not in text
    assert not [name for name in files if "hidden" in name]

    fake.submit(out, NAME, n=8)
    keep = {"right_0", WRONG, "hanging", "no_notebook"}
    for folder in (out / "submitted").iterdir():
        if folder.name not in keep:
            shutil.rmtree(folder)
    handed_in = out / "submitted" / "right_0" / NAME / f"{NAME}.ipynb"
    curious = nbformat.read(handed_in, as_version=4)
    first = next(cell for cell in curious.cells if cell.cell_type == "code" and notebooks.about(cell).get("solution"))
    first.source = PRY + first.source
    nbformat.write(curious, handed_in)
    report = grade.grade(out, NAME).set_index("student")

    assert list(report["possible"].unique()) == [20]
    assert report.loc["right_0", ["status", "points", "by_hand"]].tolist() == ["graded", 20, 10]
    assert report.loc[WRONG, ["status", "points"]].tolist() == ["graded", 19], "one property is lost, and nothing else"
    assert report.loc["hanging", "status"] == "graded", "the hanging cell is interrupted, the others are graded"
    assert report.loc["hanging", "points"] < 20
    assert "not a notebook" in report.loc["no_notebook", "status"]

    exported = pd.read_csv(out / "grades.csv").set_index("student_id")
    pd.testing.assert_series_equal(exported["score"], report["points"], check_names=False)
    assert pd.isna(exported.loc["no_notebook", "score"]), "a file that could not be graded is no zero"
    assert (exported["max_score"] == 30).all()
    page = (out / "feedback" / WRONG / NAME / f"{NAME}.html").read_text()
    assert "in which direction does it have to go?" in page
    assert [p.name for p in (out / "feedback" / WRONG / NAME).iterdir()] == [f"{NAME}.html"], "and no secret seed"
    assert "0 of 1  fgsm: the loss of the true class grows" in page
    for secret in ("kit.hidden(", "BEGIN HIDDEN", "_judge", "<script"):
        assert secret not in page
    assert not re.findall(r"(?:src|href)=[\"']?(?!#|data:)[^\"'>]+", page), "a page that fetches nothing"
    assert "<math" in page
    assert "could not be graded" in (out / "feedback" / "no_notebook" / NAME / f"{NAME}.html").read_text()

    page = (out / "feedback" / "right_0" / NAME / f"{NAME}.html").read_text()
    assert "had replaced it: torch.allclose" in page
    if limits.sandbox_command("auto") == limits.ISOLATED:
        assert page.count("is there: False") == 2
    with build.api(out).gradebook as book:  # what the formgrader does
        book.find_grade("proof", NAME, NAME, "right_0").manual_score = 4.5
        book.db.commit()
    assert grade.hand_back(out, NAME) == sorted(["hanging", WRONG, "right_0"])
    assert pd.read_csv(out / "grades.csv").set_index("student_id").loc["right_0", "score"] == 24.5

    # the next hand-in of the same student is no notebook: nothing of the first one counts any more
    (out / "submitted" / "right_0" / NAME / f"{NAME}.ipynb").write_text("{")
    again = grade.grade(out, NAME, students=["right_0"]).set_index("student")
    assert set(again.index) == keep, "the rows of the others stay"
    assert pd.isna(again.loc["right_0", "points"])
    assert again.loc[WRONG, "points"] == 19
    assert pd.isna(pd.read_csv(out / "grades.csv").set_index("student_id").loc["right_0", "score"])
    with pytest.raises(ValueError, match="give that seed or make a new folder"):
        build.course(out, seed=4, only=[NAME])


ENDLESS = {
    "printing": "while True:\n    print('x' * 100)",
    "one_line": "while True:\n    print('x' * 100, end='')",
    "stubborn": "while True:\n    try:\n        print('x' * 100)\n    except BaseException:\n        pass",
    "raw": "import os\nwhile True:\n    os.write(1, b'x' * 4096)",
    "displaying": "from IPython.display import display\nwhile True:\n    display('x' * 10_000)",
}


@pytest.mark.slow
def test_printing_without_end_ends_within_the_limits_with_a_grade_and_a_small_report(tmp_path):
    out = tmp_path / "course"
    build.course(out, seed=3, only=[NAME])
    fake.submit(out, NAME, n=6)
    right = nbformat.read(out / "submitted" / "right_0" / NAME / f"{NAME}.ipynb", as_version=4)
    shutil.rmtree(out / "submitted")
    shorten(out, 5)
    for student, code in ENDLESS.items():
        wrong = copy.deepcopy(right)
        first = next(cell for cell in wrong.cells if cell.cell_type == "code" and notebooks.about(cell).get("solution"))
        first.source += f"\n\n{code}\n"
        (place := out / "submitted" / student / NAME).mkdir(parents=True)
        nbformat.write(wrong, place / f"{NAME}.ipynb")
    grade.grade(out, NAME, seconds=40, students=["stubborn"])  # its limit is waited for
    assert "Timeout waiting for execute reply" in (out / "logs" / NAME / "stubborn.log").read_text(), "it got that far"
    others = sorted(set(ENDLESS) - {"stubborn"})
    report = grade.grade(out, NAME, seconds=60, students=others).set_index("student")
    assert report.loc["stubborn", "status"] == "stopped at the time limit", "it cannot be interrupted"
    for student in others:
        assert report.loc[student, "status"] == "graded", student
        assert report.loc[student, "points"] == 20, "what it defines before it prints is right"
        assert report.loc[student, "seconds"] < 60
    sizes = {
        p.relative_to(out): p.stat().st_size
        for top in ("feedback", "autograded", "logs")
        for p in (out / top).rglob("*")
    }
    assert max(sizes.values()) < 2**20, sizes


def test_a_folder_that_is_no_course_gets_one_sentence(tmp_path):
    for act in (grade.grade, grade.hand_back, fake.submit):
        with pytest.raises(ValueError, match="make one with: make classroom COURSE="):
            act(tmp_path / "nowhere", NAME)
    with pytest.raises(ValueError, match="unknown assignment"):
        grade.hand_back(tmp_path, "a1_lineer")
    assert not (tmp_path / "nowhere").exists()


def test_a_process_and_its_children_are_stopped():
    import subprocess
    import sys
    import time

    import psutil

    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code])
    assert limits.watch(process, time.perf_counter() + 2.5, memory=4) == "stopped at the time limit"
    assert process.returncode != 0
    assert not [p for p in psutil.process_iter(["cmdline"]) if "time.sleep(60)" in " ".join(p.info["cmdline"] or ())]


def test_memory_beyond_the_limit_is_an_error_in_the_cell(tmp_path):
    import subprocess
    import sys

    if sys.platform != "linux":
        pytest.skip("only Linux limits a process's memory in this way")
    code = (
        f"import runpy; limits = runpy.run_path({kernel.__file__!r}); limits['limit'](1, 60)\n"
        "try:\n    x = bytearray(2**31)\nexcept MemoryError:\n    print('caught')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "caught\n", done.stderr


def test_kernel_of_the_grader_is_the_limited_one(tmp_path):
    env = limits.environment(tmp_path, 300, 4, ["unshare"])
    spec = json.loads((tmp_path / "kernels" / "python3" / "kernel.json").read_text())
    assert spec["argv"][0] == "unshare"
    assert spec["argv"][2].endswith("kernel.py")
    assert env["JUPYTER_PATH"] == str(tmp_path)
    assert env["HOME"] == str(tmp_path), "nothing of the teacher's account is named to the student's code"


def test_a_sandbox_that_does_not_run_is_refused():
    assert limits.sandbox_command("none") == []
    with pytest.raises(ValueError, match="cannot run on this machine"):
        limits.sandbox_command("no-such-program --flag")


@pytest.mark.slow
def test_the_site_offers_what_the_task_sheets_link(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "names", lambda: [NAME])
    build.site(tmp_path / "site")
    assert sorted(p.name for p in (tmp_path / "site").iterdir()) == [f"{NAME}.ipynb", "students.zip"]
    text = (tmp_path / "site" / f"{NAME}.ipynb").read_text()
    assert "NotImplementedError" in text
    assert "HIDDEN" not in text
