"""Speed, as ratios within one run: ``benchmarks/<name>.py`` of the project, each with ``run() -> DataFrame``; and its store."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import platform
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from uapkit import checks
from uapkit.book.markup import scrolling
from uapkit.book.tables import MOST
from uapkit.files import write_whole
from uapkit.runner.catalogue import project_root
from uapkit.runner.records import named
from uapkit.runner.results import commit, table_bytes, versions

# What is read first of a table wider than MOST columns; the whole stands in a fold below.
FIRST = {
    "attacks": ("benchmark", "method", "cpu_seconds", "ratio", "verdict"),
    "book": ("work", "seconds", "aim", "verdict", "longest"),
    "commands": ("command", "seconds", "ratio", "target", "verdict"),
    "device": ("network", "kernel", "a_second", "unit", "signs_kept"),
    "jacobian": ("work", "network", "layer", "ratio", "verdict"),
    "layers": ("network", "layers", "ratio", "target", "verdict"),
    "networks": ("network", "scored", "attacked_by_image", "in_words", "verdict"),
    "papers": ("item", "network", "kernel", "count", "a_second"),
    "rates": ("work", "passes", "ratio", "target", "verdict"),
    "suite": ("test", "seconds", "share", "why"),
    "sizes": ("item", "networks", "jobs", "hours", "hours_a_job"),
}
PEERS = ("adversarial-robustness-toolbox", "foolbox")


def names() -> list[str]:
    """The benchmarks that the project holds."""
    return sorted(p.stem for p in (project_root() / "benchmarks").glob("[a-z]*.py"))


def run(name: str | None = None, save: bool = False, parameters: Mapping[str, Any] | None = None) -> int:
    """Run one benchmark, or all, print their tables, with ``save`` store them; 1 if any row missed its target, else 0.

    parameters: of the one benchmark's ``run``. ValueError for another name, or for parameters and no benchmark.
    """
    if parameters and not name:
        raise ValueError(f"parameters are those of one benchmark: {', '.join(names())}; name it")
    chosen = [checks.one_of(name, names(), "benchmark")] if name else names()
    sys.path.insert(0, str(project_root()))
    missed = False
    for one in chosen:
        at, dirty = commit()  # before the run, which may take minutes
        started = time.perf_counter()
        work = importlib.import_module(f"benchmarks.{one}").run
        for given in parameters or ():
            checks.one_of(given, inspect.signature(work).parameters, f"parameter of {one}")
        table = work(**(parameters or {}))
        print(f"\n{one}\n{table.to_string(index=False)}")
        if save:
            seconds = round(time.perf_counter() - started, 1)
            record = {
                "benchmark": one,
                "parameters": named(dict(parameters or {})),
                "commit": at,
                "dirty": dirty,
                "seconds": seconds,
                "processor": processor(),
            }
            _store(one, table, {**record, "versions": versions() | _peers(), "rows": len(table)})
        missed |= bool("verdict" in table and (table["verdict"] == "MISS").any())
    return 1 if missed else 0


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.machine()


def _peers() -> dict[str, str]:
    found = {}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _path(name: str, suffix: str) -> Path:
    return project_root() / "results" / "benchmarks" / f"{name}{suffix}"


def _store(name: str, table: pd.DataFrame, record: dict) -> None:
    write_whole(_path(name, ".csv"), table_bytes(table))
    write_whole(_path(name, ".json"), (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())


def stored(name: str) -> pd.DataFrame | None:
    """The stored table of a benchmark, with ``attrs["provenance"]``; None where nothing is stored."""
    if not _path(name, ".csv").is_file() or not _path(name, ".json").is_file():
        return None
    table = pd.read_csv(io.BytesIO(_path(name, ".csv").read_bytes()))
    table.attrs["provenance"] = json.loads(_path(name, ".json").read_text(encoding="utf-8"))
    return table


def fragments() -> dict[str, str]:
    """What the page of benchmarks includes: for each, the stored table and where it comes from, or how to make it."""
    return {f"benchmark_{name}.md": _fragment(name) for name in names()}


def _fragment(name: str) -> str:
    table = stored(name)
    if table is None:
        return f"No run is stored. `uapkit bench {name} --save` makes it.\n"
    about = table.attrs["provenance"]
    known = ", ".join(f"{k} {v}" for k, v in about["versions"].items() if k in ("torch", *PEERS))
    first = shown(name, table)
    tables = _markdown(first, f"benchmark {name}")
    if len(first.columns) < len(table.columns):
        words = f"all {len(table.columns)} columns"
        whole = _markdown(table, f"benchmark {name}: {words}")
        tables += f'\n\n<details class="uapkit-columns"><summary>{words}</summary>{whole}</details>'
    return (
        f"{tables}\n\n"
        f"Stored run: {about['processor']}, commit `{about['commit'][:10]}`{' with changes' if about['dirty'] else ''}, "
        f"{known}, {about['seconds']:.0f} s in all. Again: `uapkit bench {name} --save`.\n"
    )


def shown(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """What the page shows of a benchmark's table before the fold: at most five columns, the reason beside a missed target."""
    if len(table.columns) <= MOST:
        return table
    first = [c for c in FIRST.get(name, ()) if c in table] or list(table.columns[:MOST])
    if "why" not in table or "verdict" not in first:
        return table[first]
    reason = table["why"].astype(object).fillna("").astype(str)
    return table[first].assign(
        verdict=table["verdict"].where(reason == "", table["verdict"].astype(str) + ": " + reason)
    )


def _markdown(table: pd.DataFrame, label: str) -> str:
    head = " | ".join(c.replace("_", " ") for c in table.columns)
    lines = [f"| {head} |", "|" + " --- |" * len(table.columns)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table.itertuples(index=False)]
    return scrolling("\n".join(["", "", *lines, "", ""]), label)


def _cell(value: object) -> str:
    if value is None or value != value:
        return "–"
    return (
        f"{value:.3g}" if isinstance(value, float) and not float(value).is_integer() else str(value).removesuffix(".0")
    )
