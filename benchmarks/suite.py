"""How long the tests take, and which twenty take longest, each with the reason from ``suite.yml``.

Runs what ``make test`` runs, two at a time, or reads the report of such a run: ``pytest --junitxml=FILE``, then
``uapkit bench suite -p junit=FILE --save``. Without a built book and a Chromium the tests that need them are skipped, and the
table says how many. ``python -m benchmarks.suite``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import yaml

from uapkit.runner.catalogue import project_root

AIM = 240.0
LONGEST = 20


def reasons() -> dict[str, str]:
    """{beginning of a test's name: why it takes long}."""
    return yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))


def why(name: str, known: dict[str, str]) -> str:
    """Of one test: the reason of the longest beginning that fits, "" where none does."""
    return known[max(fits, key=len)] if (fits := [start for start in known if name.startswith(start)]) else ""


def named(case: ElementTree.Element) -> str:
    """The test's name as pytest's own, from a case of the report; its setting stands in square brackets."""
    return f"{case.get('classname', '').removeprefix('tests.').replace('.', '/')}::{case.get('name')}"


def table(report: ElementTree.Element, known: dict[str, str]) -> pd.DataFrame:
    """One row of the whole run, then one for each of the twenty longest tests: seconds, share of all, why."""
    suites = [report] if report.tag == "testsuite" else report.findall("testsuite")
    count = {key: sum(int(s.get(key, 0)) for s in suites) for key in ("tests", "skipped", "failures", "errors")}
    wall = sum(float(s.get("time", 0)) for s in suites)
    took: dict[str, float] = {}
    for case in report.iter("testcase"):
        took[named(case)] = took.get(named(case), 0.0) + float(case.get("time", 0))
    work = sum(took.values())
    floor = f"all tests one after the other take {work:.0f} s; nothing is left out for speed"
    first: dict[str, Any] = {
        "test": f"all {count['tests']}, {count['skipped']} skipped, {count['failures'] + count['errors']} failed",
        "seconds": round(wall, 1),
        "aim": f"<= {AIM:g} s",
        "verdict": "ok" if wall <= AIM else "MISS",
        "why": "" if wall <= AIM else floor,
    }
    slow = sorted(took.items(), key=lambda one: -one[1])[:LONGEST]
    rows = [{"test": n, "seconds": round(s, 1), "share": round(s / work, 3), "why": why(n, known)} for n, s in slow]
    return pd.DataFrame([first, *rows])


def run(junit: str | None = None) -> pd.DataFrame:
    """The table. junit: report of a whole run of the tests, None runs them now. ValueError for a report without a test."""
    if junit is not None:
        return _read(Path(junit))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", f"--junitxml={path}"]
        subprocess.run(command, cwd=project_root(), env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
        return _read(path)


def _read(path: Path) -> pd.DataFrame:
    report = ElementTree.parse(path).getroot()
    if not list(report.iter("testcase")):
        raise ValueError(f"{path} reports no test; make it with: python -m pytest --junitxml={path}")
    return table(report, reasons())


if __name__ == "__main__":
    print(run(*sys.argv[1:]).to_string(index=False))
