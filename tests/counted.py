"""How many tests there are of each kind: ``python -m tests.counted --save`` collects them, which takes about a minute.

Stored as ``results/trust/tests.csv``, which the page "How this is tested" shows. A test with several settings counts once each.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from uapkit.files import write_whole
from uapkit.runner import results

ROOT = Path(__file__).parents[1]
KINDS = {  # the first that fits
    "files made to do harm, and fuzzing": r"hostile/|fuzz/|classroom/test_classroom_hostile",
    "faults: kills, full disks, two at once": r"faults/",
    "numbers found again by other code": r"independent/",
    "pages in a browser": r"browser/",
    "items: what the papers claim": r"papers/",
    "attacks, networks, data": r"attacks/|models/|data/|operators/|conformance/",
    "mathematics": r"test_(norms|singular|spectra|fourier|subspace|intervals|curvature|evaluate|metamorphic)",
    "runs, results and what is kept": r"runner/|lab/|test_(results|workflow|sources|files|provenance)",
    "book: text, numbers, links": r"book/|figures/|docs/|test_(notebooks|naming|names)",
    "classroom": r"classroom/",
    "the rest: command line, release, speed": r"",
}


def kinds(names):
    """One row a kind; tests and files of it."""
    kind_of = {name: next(kind for kind, where in KINDS.items() if re.search(where, name)) for name in set(names)}
    tests, files = Counter(kind_of[name] for name in names), Counter(kind_of.values())
    return pd.DataFrame([{"kind": kind, "tests": tests[kind], "files": files[kind]} for kind in KINDS if tests[kind]])


def collected():
    """The file of every test, once a test."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests",
        "--collect-only",
        "-q",
        "-o",
        "addopts=--import-mode=importlib",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    names = [line.split("::")[0].removeprefix("tests/") for line in done.stdout.splitlines() if "::" in line]
    if done.returncode or not names:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return names


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.counted", description=__doc__.partition("\n")[0])
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    at, dirty = results.commit()
    if given.save and dirty:
        parser.error("the tests stored are those of a commit: commit the changed files first")
    table = kinds(collected())
    print(table.to_string(index=False))
    if given.save:
        about = {"commit": at, "dirty": dirty, "date": datetime.now(UTC).date().isoformat()}
        write_whole(ROOT / "results" / "trust" / "tests.csv", results.table_bytes(table))
        write_whole(ROOT / "results" / "trust" / "tests.json", (json.dumps(about, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
