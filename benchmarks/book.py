"""How long the book takes: all of it, again with nothing changed, with one item changed; and an item in new processes.

The last commit is cloned into a folder of its own and built there with this environment, an empty cache and no real data,
as many items at a time as there are cores. Wall seconds, since that is what one waits for; the aims are those of two
cores. The last row is a ratio within the run: the same items by papermill in new processes, one after the other, and as forks
of the warm process. Other work on the machine spoils it all. ``python -m benchmarks.book``
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from uapkit.runner.catalogue import project_root

AIMS = {"all, from an empty folder": 360.0, "nothing changed": 20.0, "one item changed": 60.0}
EXAMPLES = (  # one of each paper
    "khrulkov2018/tab1_layers",
    "moosavi2017/tab1_fooling_rates",
    "equivariant2019/fig1_energy",
    "jetley2018/fig3_accuracy",
)
LONGEST = 3  # stages that are named


class _Clone:
    """The project as it was last committed, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.root, origin = folder / "project", project_root()
        subprocess.run(["git", "clone", "--quiet", str(origin), str(self.root)], check=True)
        shutil.copytree(origin / "node_modules", self.root / "node_modules", symlinks=True)
        kept = {k: v for k, v in os.environ.items() if k not in ("UAPKIT_DATA", "PYTHONDONTWRITEBYTECODE")}
        own = {"UAPKIT_ROOT": str(self.root), "PYTHONPATH": str(self.root), "UAPKIT_CACHE": str(folder / "cache")}
        self.environment = kept | own

    def uapkit(self, *arguments: str) -> float:
        """Wall seconds of one command. Raises CalledProcessError where it fails."""
        started = time.perf_counter()
        command = [sys.executable, "-m", "uapkit", *arguments]
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout[-2000:], done.stderr[-2000:])
        return time.perf_counter() - started

    def profile(self) -> dict[str, Any]:
        """What the last build wrote down of its stages and steps."""
        return json.loads((self.root / "build" / "profile.json").read_text(encoding="utf-8"))

    def edit(self, item: str) -> None:
        """Change the code that one item's page is made from, and nothing else."""
        path = self.root / "uapkit" / "papers" / f"{item}.py"
        path.write_text(path.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")


def row(work: str, seconds: float, profile: dict[str, Any]) -> dict[str, object]:
    """Of one build: seconds, aim, verdict (ok or MISS), items made, CPU seconds of all processes, longest stages."""
    longest = sorted(profile["stages"].items(), key=lambda s: -s[1])[:LONGEST]
    return {
        "work": work,
        "seconds": round(seconds, 1),
        "aim": f"<= {AIMS[work]:g} s",
        "verdict": "ok" if seconds <= AIMS[work] else "MISS",
        "items": sum("/" in step["name"] for step in profile["steps"]),
        "at_a_time": profile["jobs"],
        "cpu_seconds": profile["cpu_seconds"],
        "longest": ", ".join(f"{name} {took:.1f} s" for name, took in longest),
    }


def run(cores: int | None = None) -> pd.DataFrame:
    """Three builds and the ratio of new processes to the warm one. cores: items at a time, None for as many as there are."""
    with tempfile.TemporaryDirectory(prefix="uapkit_book_") as folder:
        clone = _Clone(Path(folder))
        book = ("book", "--quiet", *(("--cores", str(cores)) if cores else ()))
        rows, first = [], {}
        for work in AIMS:
            if work == "one item changed":
                clone.edit(EXAMPLES[0])
            seconds = clone.uapkit(*book)
            profile = clone.profile()
            first = first or profile
            rows.append(row(work, seconds, profile))
        warm = sum(step["seconds"] for step in first["steps"] if step["name"] in EXAMPLES)
        new = sum(clone.uapkit("stage", item) for item in EXAMPLES)
    ratio = {
        "work": f"{len(EXAMPLES)} items in new processes, beside the warm one",
        "seconds": round(new, 1),
        "items": len(EXAMPLES),
        "ratio": round(new / warm, 2),
        "longest": f"the warm process took {warm:.1f} s",
    }
    return pd.DataFrame([*rows, ratio])


if __name__ == "__main__":
    print(run().to_string(index=False))
