"""What a JupyterHub does with the course folder, by nbgrader's exchange: release, fetch, submit, collect, grade, feedback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from uapkit.classroom import build, grade, notebooks

NAME = "a4_svd"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="nbgrader's exchange is for Unix")
def test_a_hand_in_through_the_exchange_comes_back_as_feedback(tmp_path):
    out, desk, exchange = (tmp_path / name for name in ("course", "desk", "exchange"))
    desk.mkdir()
    exchange.mkdir()
    exchange.chmod(0o777)
    build.course(out, seed=6, only=[NAME])
    config = f'\nc.Exchange.root = "{exchange.as_posix()}"\n'
    with (out / "nbgrader_config.py").open("a") as file:
        file.write(config)
    (desk / "nbgrader_config.py").write_text("c = get_config()" + config)

    def nbgrader(folder, *words):
        environment = os.environ | {
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *words], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]

    nbgrader(out, "release_assignment", NAME)
    nbgrader(desk, "fetch_assignment", NAME, "--course", "uap")
    assert sorted(p.name for p in (desk / NAME).iterdir()) == [f"{NAME}.ipynb", "digits.npz", "kit.py"], (
        "no secret seed"
    )
    notebook = desk / NAME / f"{NAME}.ipynb"
    answers = notebooks.answers(notebooks.read(NAME))
    nbformat.write(notebooks.with_answers(nbformat.read(notebook, as_version=4), answers), notebook)
    nbgrader(desk, "submit", NAME, "--course", "uap")
    nbgrader(out, "collect", NAME)
    (student,) = grade.submissions(out, NAME)
    report = grade.grade(out, NAME, sandbox="none").set_index("student")
    assert report.loc[student, "status"] == "graded"
    assert report.loc[student, "points"] == report.loc[student, "possible"]

    # another one handed in through the exchange what cannot be graded
    shutil.copytree(out / "submitted" / student, out / "submitted" / "bo")
    (out / "submitted" / "bo" / NAME / f"{NAME}.ipynb").write_text("no notebook")
    grade.grade(out, NAME, students=["bo"], sandbox="none")
    for one in (student, "bo"):
        left = {p.name for p in (out / "feedback" / one / NAME).iterdir()}
        assert left == {f"{NAME}.html", *grade.EXCHANGE}, "no secret seed"

    nbgrader(out, "release_feedback", NAME)
    nbgrader(desk, "fetch_feedback", NAME, "--course", "uap")
    (page,) = (desk / NAME / "feedback").rglob("*.html")
    assert page.read_text() == (out / "feedback" / student / NAME / f"{NAME}.html").read_text()
