"""Pages made by forks of a warm process: the same outputs as in new processes; what is lost fails alone and says so.

Everything runs in one process of its own, for the warm process must have no threads.
"""

import json
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest

from uapkit import runner
from uapkit.book import stage, warm, work

GOOD, WRONG, CRASHED, LOST, QUICK = list(runner.items())[:5]
CELLS = {
    GOOD: [
        "import os, sys, matplotlib.pyplot as plt\nprint(6 * 7)\nprint('noise', file=sys.stderr)",
        "from uapkit.book import page\nplt.plot([1, 2]);",
        "{'a': 1}",
        "print(os.environ['UAPKIT_STATIC'], __name__, os.getcwd() == os.environ['UAPKIT_ROOT'], sys.stdin is None)",
        "import subprocess\nprint(subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout)",
    ],
    WRONG: ["print('before')", "raise ValueError('no such layer: conv99')", "print('after')"],
    CRASHED: ["import os\nos.kill(os.getpid(), 9)"],
    LOST: ["import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nimport time\ntime.sleep(60)"],
    QUICK: ["print('last')"],
}
SCRIPT = """
import sys, threading
from uapkit.book import work
steps = [work.item_step(name, "from " + name) for name in sys.argv[1:]]
lost = work.run(steps, work.Profile(warm=True, jobs=2))
print("lost:", [s.name for s in lost])
print("threads:", threading.active_count())
"""

pytestmark = pytest.mark.skipif(not warm.possible(), reason="forks are used on Linux alone")


def write(root, name, cells):
    path = root / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [nbformat.v4.new_markdown_cell(f"({name})=\n# Title"), *map(nbformat.v4.new_code_cell, cells)]
    notebook = nbformat.v4.new_notebook(cells=parts)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder, what was printed) after all five were made by forks, two at a time."""
    root = tmp_path_factory.mktemp("warm")
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    for name, cells in CELLS.items():
        write(root, name, cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UAPKIT_ROOT", str(root))
        for key, value in stage.ENVIRONMENT.items():
            patch.setenv(key, value)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *CELLS], capture_output=True, text=True, check=False, timeout=300
        )
        yield root, done


def staged(root, name):
    cells = json.loads((root / "build/staging/notebooks" / f"{name}.ipynb").read_text())["cells"]
    return [{k: v for k, v in cell.items() if k != "id"} for cell in cells]


def status(root, name):
    return json.loads((root / "build/status" / f"{name}.json").read_text())


def test_every_cell_says_the_same_as_in_new_processes(made):
    root, done = made
    assert done.returncode == 0, done.stderr
    forked = staged(root, GOOD)
    stage.stage_item(GOOD)
    assert forked == staged(root, GOOD)
    assert forked[1]["outputs"][0]["text"] == ["42\n"], "what was printed, without noise"
    assert "image/svg+xml" in forked[2]["outputs"][0]["data"], "figures are shown as the page's module has it"


def test_a_failing_cell_a_dead_kernel_and_a_lost_worker_fail_their_own_items_only(made):
    root, done = made
    assert {name: status(root, name)["ok"] for name in CELLS} == {n: n in (GOOD, QUICK) for n in CELLS}
    assert "ValueError: no such layer: conv99" in status(root, WRONG)["reason"]
    assert "Kernel died" in status(root, CRASHED)["reason"]
    assert "SIGKILL" in status(root, LOST)["reason"]
    assert f"lost: {[LOST]}" in done.stdout
    assert "threads: 1\n" in done.stdout, "a process that forks has no threads"
    for name in (WRONG, CRASHED, LOST):
        page = staged(root, name)
        assert [cell["cell_type"] for cell in page] == ["markdown", "markdown"]
        assert "This item failed" in page[1]["source"]
    assert "before" in (root / "build/logs" / f"{WRONG}.ipynb").read_text(), "the partly executed notebook is kept"


def test_a_page_says_what_it_was_made_from_only_if_it_was_made(made):
    root, _ = made
    assert status(root, QUICK)["made_from"] == "from " + QUICK
    assert "made_from" not in status(root, LOST)


def test_progress_is_a_line_an_item_where_there_is_no_terminal(made):
    _, done = made
    assert "5 of 5: " in done.stdout
    assert all(f": {name} in " in done.stdout for name in CELLS)


def test_nothing_of_an_item_outlives_it(made):
    root, _ = made
    import psutil

    left = [p for p in psutil.process_iter() if _environment(p).get("UAPKIT_ROOT") == str(root)]
    assert left == []


def _environment(process):
    import psutil

    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def test_the_profile_has_every_stage(tmp_path, monkeypatch):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    monkeypatch.setenv("UAPKIT_ROOT", str(tmp_path))
    profile = work.Profile(warm=True, jobs=2)
    with profile.stage("imports"):
        pass
    profile.steps.append({"name": GOOD, "seconds": 2.0, "cpu_seconds": 1.5, "stages": {"start": 0.5, "cells": 1.0}})
    profile.store()
    stored = json.loads((tmp_path / "build" / "profile.json").read_text())
    assert set(stored) == {"warm", "jobs", "stages", "steps", "cpu_seconds"}
    assert GOOD in profile.words()
    assert "cells, all items" in profile.words()


ENDED = """
import signal, sys
from pathlib import Path
from uapkit.book import work

signal.signal(signal.SIGINT, signal.default_int_handler)  # what started the tests may have them ignored
for name in ("SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
step = work.Step("a step", None, ("-c", "import time; time.sleep(81)"), Path(sys.argv[1]) / "log")
start = work.Step.start
work.Step.start = lambda self, warm: (start(self, warm), print("started", self.pid, flush=True))
work.run([step], work.Profile(warm=False, jobs=1), quiet=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_build_that_is_asked_to_end_leaves_nothing_running(tmp_path, name):
    number = getattr(signal, name)
    command = [sys.executable, "-c", ENDED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as build:
        pid = int(build.stdout.readline().split()[1])
        assert psutil.pid_exists(pid)
        build.send_signal(number)
        build.wait(20)
    until = time.monotonic() + 10
    while running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not running(pid)
    assert build.returncode != 0


def running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
