"""Mutation testing: ``python -m tests.mutation.run --tools FOLDER [MODULE ...] [--sample N] [--save]``.

cosmic-ray makes the mutants; it is no package of this project, so install it where you like and name its folder of packages:

    python -m venv build/tools && build/tools/bin/pip install cosmic-ray==8.7.0
    python -m tests.mutation.run --tools build/tools/lib/python3.12/site-packages uapkit/norms.py --save

Mutants that differ only in annotations or docstrings are none. Each is tested in a fork of a process that has imported all
(tests/mutation/warm.py), in a copy of the project. What is done is kept in ``build/mutation`` under the checksum of module and
tests, so that an interrupted run goes on. ``--survivors`` tests only what survived the last time, say after a test was
added. ``--save`` puts the mutants into ``results/trust/mutants.csv`` and each module's score into ``results/trust/mutation.csv``:

module; places (how many mutants it has); mutants (how many were tried: all, or a sample drawn at random); killed, of
these timeouts (a test ran too long); survived, of these argued (in tests/mutation/survivors.yml: no test can or need tell them
from the original; the others are gaps, and said to be there, too); low, high (Wilson's 95 % interval of killed / mutants);
commit, date, tool, machine.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.mutation.mutants import difference, made, places, text_of
from tests.mutation.warm import PLAIN, Serving, anew, at_imports, first_run, in_fork, quiet

HERE, ROOT = Path(__file__).parent, Path(__file__).resolve().parents[2]
MODULES = yaml.safe_load((HERE / "modules.yml").read_text(encoding="utf-8"))
LIBRARIES = (
    "pytest",
    "hypothesis.strategies",
    "torch",
    "torchvision",
    "scipy.stats",
    "pandas",
    "sklearn.datasets",
    "PIL.Image",
)
KEPT = ("uapkit", "tests", "results", "reported", "notebooks", "pyproject.toml", "_toc.yml", "CITATION.cff")
LIVED = ("survived", "not reached")
COLUMNS = ["module", "operator", "occurrence", "line", "before", "after", "outcome", "seconds"]


def copy_of_project(place):
    """A copy in which mutants are written, without what a module's tests do not need."""
    skip = shutil.ignore_patterns("__pycache__", "*.npz", ".*")
    for name in KEPT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=skip)
        else:
            shutil.copy(source, place / name)
    return place


def checksum(*names):
    """Of the text of files and folders."""
    digest = hashlib.sha256()
    for name in names:
        for path in sorted((ROOT / name).rglob("*.py")) if (ROOT / name).is_dir() else [ROOT / name]:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def of_module(module, tree, given, log):
    """Tests the module's mutants; each goes into the log as soon as its fate is known."""
    path = tree / module
    text, tests = text_of(path), MODULES[module]
    known = {(row["operator"], row["occurrence"]): row["outcome"] for row in rows_of(log)}
    todo = []
    drawn = random.Random(given.seed).sample(every := places(text), len(every))
    for name, occurrence in drawn:
        if given.sample and len(todo) == given.sample:
            break
        if (changed := made(text, name, occurrence)) is not None:
            todo.append(((name, occurrence), changed))
    wanted = [place for place, _ in todo]
    log.with_suffix(".drawn").write_text(json.dumps({"places": len(every), "wanted": wanted}))
    survived = [place for place in wanted if known.get(place) in LIVED]
    todo = [(p, c) for p, c in todo if (p in survived if given.survivors else p not in known)]
    if not todo:
        return 0
    plan = first_run(path, tests, log.with_suffix(f".{checksum(module, *tests)}.plan"))

    def report(place, changed, outcome, seconds):
        line, before, after = difference(text, changed)
        row = [module, *place, line, before, after, outcome, round(seconds, 2)]
        with log.open("a") as file:
            file.write(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n")

    serving = Serving(path, text, todo, plan, given.slow, report)

    def serve():
        import pytest

        quiet()
        status = pytest.main([*PLAIN, *tests], plugins=[serving])
        later.write_text(json.dumps([place for place, *_ in serving.later]))
        return status

    later = log.with_suffix(".later")
    later.unlink(missing_ok=True)
    pid = os.fork()
    if not pid:
        try:
            serve()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    changed_of = dict(todo)
    for place in map(tuple, json.loads(later.read_text())):
        quick = at_imports(plan, given.slow)
        usual = sum(plan[t][0] for t in quick)
        report(
            place, changed_of[place], *anew(path, text, changed_of[place], quick, (20 + 3 * usual, 240 + 60 * usual))
        )
    return 0


def rows_of(log):
    """What is known of each mutant: its last line in the log."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    return list({(row["operator"], row["occurrence"]): row for row in rows}.values())


def found(log):
    """(table of the wanted mutants, how many places there are)."""
    import pandas as pd

    drawn = json.loads(log.with_suffix(".drawn").read_text())
    wanted = {tuple(place) for place in drawn["wanted"]}
    rows = [row for row in rows_of(log) if (row["operator"], row["occurrence"]) in wanted]
    return pd.DataFrame(rows, columns=COLUMNS), drawn["places"]


def saved(table, path):
    """Puts rows into a table in the place of the same modules' older ones."""
    import pandas as pd

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        before = pd.read_csv(path, keep_default_na=False)
        table = pd.concat([before[~before.module.isin(table.module)], table])
    part = path.with_suffix(".part")
    by = [name for name in ("module", "line", "operator", "occurrence") if name in table]
    table.sort_values(by, kind="stable").to_csv(part, index=False)
    part.replace(path)


def equal(argued, mutant):
    """Is it argued that this survivor changes nothing that a test could or need see? A reason that begins with "gap" says not."""
    return mutant in argued and not argued[mutant].startswith("gap")


def score(module, table, count):
    """The row of results/trust/mutation.csv."""
    from importlib.metadata import version

    from uapkit.intervals import Rate

    lived = table[table.outcome.isin(LIVED)]
    argued = yaml.safe_load((HERE / "survivors.yml").read_text(encoding="utf-8")).get(module, {})
    rate = Rate.of(len(table) - len(lived), len(table))
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    return {
        "module": module,
        "places": count,
        "mutants": len(table),
        "killed": rate.hits,
        "timeouts": int((table.outcome == "ran too long").sum()),
        "survived": len(lived),
        "argued": sum(equal(argued, f"{a} -> {b}") for a, b in zip(lived.before, lived.after, strict=True)),
        "low": round(rate.low, 4),
        "high": round(rate.high, 4),
        "commit": commit.strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "tool": f"cosmic-ray {version('cosmic-ray')}",
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description=__doc__.partition("\n")[0])
    parser.add_argument("module", nargs="*", default=list(MODULES))
    parser.add_argument("--tools", type=Path, required=True, help="the folder of packages in which cosmic-ray lies")
    parser.add_argument("--sample", type=int, help="at most so many mutants of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--slow", type=float, default=2.0, help="tests of more CPU seconds run only where no other does"
    )
    parser.add_argument("--survivors", action="store_true", help="only those that survived the last time")
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    sys.path.append(str(given.tools))
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    for name in LIBRARIES:
        __import__(name)
    import pandas as pd

    kept = ROOT / "build" / "mutation"
    kept.mkdir(parents=True, exist_ok=True)
    done = []
    with tempfile.TemporaryDirectory(prefix="mutants") as place:
        tree = copy_of_project(Path(place))
        os.environ |= {"UAPKIT_ROOT": str(tree), "PYTHONPATH": str(tree), "UAPKIT_CACHE": str(tree / "cache")}
        os.environ.pop("UAPKIT_DATA", None)
        os.chdir(tree)
        sys.path[:] = [str(tree), *(p for p in sys.path if p not in ("", str(ROOT)))]
        for module in given.module:
            log = kept / f"{module.replace('/', '.')}.{checksum(module)}.jsonl"
            in_fork(lambda module=module, log=log: of_module(module, tree, given, log), 10**6, 10**6)
            table, count = found(log)
            done.append((module, table, count))
            killed = int((~table.outcome.isin(LIVED)).sum())
            print(f"{module}: {killed} of {len(table)} killed, {table.seconds.sum():.0f} s", flush=True)
            for row in table[table.outcome.isin(LIVED)].sort_values("line").itertuples():
                print(f"  {row.line}: {row.before} -> {row.after} ({row.outcome})", flush=True)
        sys.path.insert(0, str(ROOT))
    if given.save:
        os.chdir(ROOT)
        saved(pd.concat([table for _, table, _ in done]), ROOT / "results" / "trust" / "mutants.csv")
        saved(pd.DataFrame([score(*each) for each in done]), ROOT / "results" / "trust" / "mutation.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
