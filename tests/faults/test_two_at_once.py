"""Two of a kind at once: runs and saves of one item, checks, builds, gradings; nothing is mixed, and nothing is forgotten."""

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.faults import jobs
from uapkit import files, runner
from uapkit.book import build
from uapkit.classroom import grade
from uapkit.runner import catalogue, results, verified, words

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue.Item, "module", catalogue.Item.module)
    jobs.instead()
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    monkeypatch.setenv("UAPKIT_ROOT", str(tmp_path))
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def at_once(*acts):
    """Do all of them at the same time, each in a fork; none may fail."""
    started = []
    for act in acts:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                act()
                status = 0
            finally:
                os._exit(status)
        started.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in started] == [0] * len(acts)


def test_runs_of_one_item_share_their_work_and_store_one_table(own, monkeypatch):
    def part(k):
        with open(own / f"made{k}", "a") as file:
            file.write("x")
        return {"rate": k / 8, "v": real(k)["v"]}

    real = jobs.part
    part.__module__, part.__qualname__ = jobs.__name__, "part"
    monkeypatch.setattr(jobs, "part", part)
    at_once(*[lambda: runner.run(jobs.NAME, save=True)] * 3)
    assert [(own / f"made{k}").read_text() for k in range(jobs.PARTS)] == ["x"] * jobs.PARTS
    assert runner.load(jobs.NAME)["fooling_rate"].tolist() == [k / 8 for k in range(jobs.PARTS)]


def test_who_reads_while_two_save_sees_whole_runs_only(own):
    def save(first):
        for number in range(first, first + 8):
            results.store(jobs.rows(number), runner.item(jobs.NAME), {"id": jobs.NAME, "params": {"number": number}})

    def read():
        for _ in range(30):
            table = runner.load(jobs.NAME)
            number = table.attrs["provenance"]["params"]["number"]
            assert (table["fooling_rate"] == pd.Series(number / 8, table.index)).all()
            assert (table.attrs["arrays"]["v"] == float(number)).all()

    save(0)
    at_once(lambda: save(100), lambda: save(200), read, read)
    assert runner.load(jobs.NAME).attrs["provenance"]["params"]["number"] in (107, 207)


def test_two_checks_forget_no_stale_run(own):
    def check(who):
        for k in range(15):
            verified.mark_stale(f"{who}/number_{k}", "A rerun did not give the stored rows.")

    at_once(lambda: check("a"), lambda: check("b"))
    assert len(words.stale()) == 30


def logged(log):
    """A function that takes a while and leaves a line at its beginning and its end."""

    def act(*a, **k):
        for word in ("begun", "ended"):
            with open(log, "a") as file:
                file.write(f"{word}\n")
            time.sleep(0.2)

    return act


def test_the_second_build_waits_for_the_first(own, monkeypatch, capfd):
    monkeypatch.setattr(build, "_here", logged(own / "log"))
    at_once(build.make, build.make, build.make)
    assert (own / "log").read_text().split() == ["begun", "ended"] * 3
    assert "another process builds the book" in capfd.readouterr().err


def test_the_second_grader_waits_for_the_first(own, monkeypatch):
    course = own / "course"
    (course / "submitted" / "ada" / "a1_linear").mkdir(parents=True)
    monkeypatch.setattr(grade, "api", lambda out: None)
    monkeypatch.setattr(grade.notebooks, "names", lambda: ["a1_linear"])
    monkeypatch.setattr(grade, "_graded", logged(own / "log"))
    monkeypatch.setattr(grade, "_hand_back", logged(own / "log"))

    def act():
        grade.grade(course, "a1_linear", sandbox="none")

    at_once(act, act, lambda: grade.hand_back(Path(course), "a1_linear"))
    assert (own / "log").read_text().split() == ["begun", "ended"] * 3


def test_a_lock_goes_with_its_process(own):
    """Killed while it holds it: the next one has it at once."""
    pid = os.fork()
    if pid == 0:
        with files.alone(own, "holds it"):
            (own / "held").touch()
            time.sleep(60)
    while not (own / "held").exists():
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    began = time.monotonic()
    with files.alone(own, "holds it"):
        assert time.monotonic() - began < 5
