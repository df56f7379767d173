"""Grading a class: every submission in its own process, with limits of time and memory; one that fails stops no other.

What a submission's code can do is limited by :mod:`uapkit.classroom.kernel` and, on Linux, cut off from the network; the
teacher's guide says how to isolate it further.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from tqdm import tqdm

from uapkit import checks
from uapkit.classroom import notebooks
from uapkit.classroom.build import api
from uapkit.files import write_whole

NO_NETWORK = "unshare --user --map-root-user --net"  # Linux: a process of its own without any network
LOOK_EVERY = 0.5  # seconds


def submissions(out: Path, name: str) -> list[str]:
    """Students who handed in something for this assignment: folders ``submitted/<student>/<name>``."""
    return sorted(path.parent.name for path in (out / "submitted").glob(f"*/{name}"))


def unreadable(path: Path) -> str:
    """Why this file cannot be graded, "" if it can."""
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in path.parent.iterdir())) or "nothing"
        return f"no file named {path.name} was handed in, but {there}"
    try:
        found = nbformat.read(path, as_version=4)
        nbformat.validate(found)
    except Exception as error:  # nbformat raises half a dozen kinds, and json its own
        return f"{path.name} is not a notebook ({str(error).splitlines()[0][:120]})"
    cells = {notebooks.about(cell).get("grade_id") for cell in found.cells}
    missing = [key for key in notebooks.tests(notebooks.read(path.stem)) if key not in cells]
    return f"cells were deleted: {', '.join(missing)}" if missing else ""


def sandbox_command(wish: str) -> list[str]:
    """Words to put before a kernel's command. wish: "auto" (no network where the system allows it), "none", or words."""
    if wish == "none":
        return []
    words = shlex.split(NO_NETWORK if wish == "auto" else wish)
    if shutil.which(words[0]) and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
        return words
    if wish == "auto":
        return []
    raise ValueError(
        f"the sandbox {wish!r} cannot run on this machine; give 'none', or words that work before a command"
    )


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
    """Grade an assignment, write feedback, ``grades.csv`` (nbgrader's export) and ``report_<name>.csv``; the report.

    One row a submission: student, status ("graded", or why not), points and possible points of the tests, points still to
    be given by hand, seconds. What was graded before is graded anew; marks given by hand stay. seconds: of wall clock, and
    of processor time, for one submission; a single cell has its own limit in ``nbgrader_config.py``. memory: gigabytes.
    jobs: submissions at once. sandbox: see :func:`sandbox_command`. Raises ValueError where nothing was handed in.
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
    words = sandbox_command(sandbox)
    if not words:
        print("students' code is not cut off from the network on this machine: see 'Isolation' in the teacher's guide")
    gradebook = course.gradebook
    with ThreadPoolExecutor(checks.count(jobs, "jobs")) as pool:
        todo = list(students or found)
        running = [pool.submit(_one, out, name, s, seconds, memory, words) for s in todo]
        statuses = [future.result() for future in tqdm(running, desc=f"grading {name}", disable=None)]
    rows = []
    with gradebook as book:
        for student, (status, took) in zip(todo, statuses, strict=True):
            book.update_or_create_student(student)
            if status != "graded":
                _no_credit(out, book, name, student, status)
            rows.append(
                {"student": student, "status": status, **_points(book, name, student), "seconds": round(took, 1)}
            )
    hand_back(out, name)
    report = pd.DataFrame(rows)
    report.to_csv(out / f"report_{name}.csv", index=False)
    return report


def _one(out: Path, name: str, student: str, seconds: float, memory: float, words: list[str]) -> tuple[str, float]:
    """(status, seconds) of one student's submission, run in processes that are all gone afterwards."""
    start = time.perf_counter()
    reason = unreadable(out / "submitted" / student / name / f"{name}.ipynb")
    if reason:
        return reason, 0.0
    with tempfile.TemporaryDirectory(prefix="uap") as place:
        env = _environment(Path(place), seconds, memory, words)
        command = [sys.executable, "-m", "nbgrader", "autograde", name, "--student", student, "--force"]
        if os.name == "posix":  # sockets in a folder of its own: they work without a network
            command += ["--KernelManager.transport=ipc", f"--KernelManager.ip={place}/kernel"]
        with open(Path(place) / "log", "wb") as log:
            process = subprocess.Popen(command, cwd=out, env=env, stdout=log, stderr=subprocess.STDOUT)
            reason = _watch(process, start + seconds, memory)
        text = (Path(place) / "log").read_text(encoding="utf-8", errors="replace")
    write_whole(out / "logs" / name / f"{student}.log", text.encode())
    if not reason and process.returncode:
        died = "DeadKernelError" in text or "Kernel died" in text
        reason = "the code ended its own Python process" if died else f"nbgrader failed, see logs/{name}/{student}.log"
    return reason or "graded", time.perf_counter() - start


def _environment(place: Path, seconds: float, memory: float, words: list[str]) -> dict[str, str]:
    """Environment in which the kernel ``python3`` is our limited one."""
    spec = place / "kernels" / "python3"
    spec.mkdir(parents=True)
    kernel = [sys.executable, str(Path(__file__).with_name("kernel.py")), f"{memory:g}", f"{seconds:g}"]
    about = {"argv": [*words, *kernel, "-f", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(about))
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "SYSTEMROOT", "TEMP", "TMP")}
    own = {"JUPYTER_PATH": place, "JUPYTER_RUNTIME_DIR": place / "run", "IPYTHONDIR": place / "ipython", "HOME": place}
    quiet = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    return kept | {key: str(value) for key, value in own.items()} | quiet


def _watch(process: subprocess.Popen, deadline: float, memory: float) -> str:
    """Wait for the process; kill it and all its children past the deadline or the memory; why, or ""."""
    import psutil

    tree = psutil.Process(process.pid)
    family: set[psutil.Process] = {tree}
    reason = ""
    while process.poll() is None and not reason:
        time.sleep(LOOK_EVERY)
        used = 0
        for one in list(family):
            try:
                family.update(one.children(recursive=True))
                used += one.memory_info().rss
            except psutil.NoSuchProcess:
                family.discard(one)
        if time.perf_counter() > deadline:
            reason = "stopped at the time limit"
        elif used > (memory + 1) * 2**30:
            reason = "stopped at the memory limit"
    for one in family:  # also what a finished submission left behind
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
    return reason


def _no_credit(out: Path, book: Any, name: str, student: str, reason: str) -> None:
    """Nothing of an earlier submission counts for one that could not be graded; the student learns the reason."""
    from nbgrader.api import MissingEntry

    with contextlib.suppress(MissingEntry):
        book.remove_submission(name, student)
    shutil.rmtree(out / "autograded" / student / name, ignore_errors=True)
    shutil.rmtree(out / "feedback" / student / name, ignore_errors=True)
    page = f"<!doctype html><title>{name}</title><p>This submission could not be graded: {html.escape(reason)}.</p>\n"
    write_whole(out / "feedback" / student / name / f"{name}.html", page.encode())


def _points(book: Any, name: str, student: str) -> dict[str, float]:
    """Points of the tests, their maximum, and the points that wait for a reader."""
    from nbgrader.api import MissingEntry

    source = notebooks.read(name)
    got, by_hand = 0.0, 0.0
    try:
        grades = [g for n in book.find_submission(name, student).notebooks for g in n.grades]
        got = sum(g.auto_score or 0.0 for g in grades)
        by_hand = sum(g.max_score for g in grades if g.needs_manual_grade)
    except MissingEntry:
        pass
    return {"points": got, "possible": sum(notebooks.tests(source).values()), "by_hand": by_hand}


def hand_back(out: Path, name: str) -> list[str]:
    """Write feedback and ``grades.csv`` from the gradebook as it is, points given by hand included; the students' names.

    A student gets one HTML page and nothing else: nbgrader would add the assignment's files, the secret seed among them.
    """
    from nbgrader.plugins import CsvExportPlugin

    checks.one_of(name, notebooks.names(), "assignment")
    course = api(out)
    students = sorted(path.parent.name for path in (out / "autograded").glob(f"*/{name}"))
    for student in students:
        done = course.generate_feedback(name, student, force=True)
        if not done["success"]:
            print(f"no feedback for {student}: {str(done.get('error') or done.get('log'))[:300]}", file=sys.stderr)
        for path in (out / "feedback" / student / name).glob("*"):
            if path.suffix != ".html":
                path.unlink() if path.is_file() else shutil.rmtree(path)
    with course.gradebook as book:
        CsvExportPlugin(to=str(out / "grades.csv")).export(book)
    return students
