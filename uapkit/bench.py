"""Speed, as ratios within one run: ``benchmarks/<name>.py`` of the project, each with ``run() -> DataFrame``."""

from __future__ import annotations

import importlib
import sys

from uapkit import checks
from uapkit.runner.catalogue import project_root


def names() -> list[str]:
    """The benchmarks that the project holds."""
    return sorted(p.stem for p in (project_root() / "benchmarks").glob("[a-z]*.py"))


def run(name: str | None = None) -> int:
    """Run one benchmark, or all, and print their tables; 1 if any row missed its target, else 0."""
    chosen = [checks.one_of(name, names(), "benchmark")] if name else names()
    sys.path.insert(0, str(project_root()))
    missed = False
    for one in chosen:
        table = importlib.import_module(f"benchmarks.{one}").run()
        print(f"\n{one}\n{table.to_string(index=False)}")
        missed |= bool("verdict" in table and (table["verdict"] == "MISS").any())
    return 1 if missed else 0
