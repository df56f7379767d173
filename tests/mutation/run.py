"""Mutation testing: ``python -m tests.mutation.run --tools FOLDER [MODULE ...] [--sample N] [--save]``.

cosmic-ray makes the mutants; it is no package of this project, so install it where you like and name its folder of packages:

    python -m venv /tmp/tools && /tmp/tools/bin/pip install cosmic-ray==8.7.0
    python -m tests.mutation.run --tools /tmp/tools/lib/python3.12/site-packages uapkit/norms.py --save

Each mutant is tested in a fork of a process that has imported the libraries, in a copy of the project. Mutants that differ
only in annotations or docstrings are none. What is done is kept in ``build/mutation`` under the checksum of module and tests,
so that an interrupted run goes on. ``--save`` puts the table into ``results/trust/mutants.csv``.
"""

import argparse
import ast
import difflib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import yaml

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
COLUMNS = ["module", "code", "operator", "occurrence", "line", "before", "after", "outcome", "seconds"]


def meaning(text):
    """The code without annotations and docstrings, which change nothing."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(0)
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    return ast.dump(tree)


def mutants(path):
    """(operator, occurrence, mutated text) of every mutant of a module that means something else."""
    from cosmic_ray import plugins
    from cosmic_ray.mutating import mutate_code

    text = path.read_text(encoding="utf-8")
    plain, seen = meaning(text), set()
    for name in sorted(plugins.operator_names()):
        operator = plugins.get_operator(name)
        if operator.arguments():
            continue
        for occurrence in range(10_000):
            changed = mutate_code(text, operator(), occurrence)
            if changed is None:
                break
            try:
                now = meaning(changed)
            except SyntaxError:
                continue
            if now != plain and now not in seen:
                seen.add(now)
                yield name, occurrence, changed


def difference(before, after):
    """(line, what stood there, what stands there now)."""
    matcher = difflib.SequenceMatcher(None, a := before.splitlines(), b := after.splitlines(), autojunk=False)
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        if kind != "equal":
            return a0 + 1, " ".join(" ".join(a[a0:a1]).split()), " ".join(" ".join(b[b0:b1]).split())
    return 0, "", ""


def tested(tree, tests, limit):
    """("survived", "killed" or "ran too long", seconds) of the tests in a fork."""
    began = time.perf_counter()
    pid = os.fork()
    if not pid:
        status = 3
        try:
            os.setpgid(0, 0)
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            os.chdir(tree)
            sys.path[:] = [str(tree), *(p for p in sys.path if p not in ("", str(ROOT)))]
            import pytest

            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]))
        finally:
            os._exit(status)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        took = time.perf_counter() - began
        if done:
            return ("survived" if status == 0 else "killed"), took
        if took > limit:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "ran too long", took
        time.sleep(0.02)


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


def checksum(module):
    """Of a module's text and of its tests'."""
    digest = hashlib.sha256((ROOT / module).read_bytes())
    for name in MODULES[module]:
        for path in sorted((ROOT / name).rglob("*.py")) if (ROOT / name).is_dir() else [ROOT / name]:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def of_module(module, tree, sample, seed):
    """The module's mutants with what became of each; what was done before is read from its file."""
    import pandas as pd

    code, path = checksum(module), tree / module
    log = ROOT / "build" / "mutation" / f"{module.replace('/', '.')}.{code}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    known = {(row["operator"], row["occurrence"]) for row in rows}
    original = path.read_text(encoding="utf-8")
    todo = list(mutants(path))
    if sample and len(todo) > sample:
        todo = random.Random(seed).sample(todo, sample)
    outcome, usual = tested(tree, MODULES[module], 1800)
    if outcome != "survived":
        raise SystemExit(f"the tests of {module} fail without any mutant")
    os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
    try:
        for operator, occurrence, changed in todo:
            if (operator, occurrence) in known:
                continue
            for old in path.parent.glob(f"__pycache__/{path.stem}.*"):
                old.unlink()
            path.write_text(changed, encoding="utf-8")
            outcome, took = tested(tree, MODULES[module], 10 + 5 * usual)
            line, before, after = difference(original, changed)
            row = [module, code, operator, occurrence, line, before, after, outcome, round(took, 2)]
            rows.append(dict(zip(COLUMNS, row, strict=True)))
            with log.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    finally:
        path.write_text(original, encoding="utf-8")
    wanted = {(operator, occurrence) for operator, occurrence, _ in todo}
    return pd.DataFrame([row for row in rows if (row["operator"], row["occurrence"]) in wanted], columns=COLUMNS)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description=__doc__.partition("\n")[0])
    parser.add_argument("module", nargs="*", default=list(MODULES))
    parser.add_argument("--tools", type=Path, required=True, help="the folder of packages in which cosmic-ray lies")
    parser.add_argument("--sample", type=int, help="at most so many mutants of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    sys.path.append(str(given.tools))
    for name in LIBRARIES:
        __import__(name)
    import pandas as pd

    os.environ["OMP_NUM_THREADS"] = "1"
    found = []
    with tempfile.TemporaryDirectory(prefix="mutants") as place:
        tree = copy_of_project(Path(place))
        os.environ |= {"UAPKIT_ROOT": str(tree), "PYTHONPATH": str(tree), "UAPKIT_CACHE": str(tree / "cache")}
        os.environ.pop("UAPKIT_DATA", None)
        for module in given.module:
            table = of_module(module, tree, given.sample, given.seed)
            found.append(table)
            print(f"{module}: {(table.outcome != 'survived').sum()} of {len(table)} killed", flush=True)
    table = pd.concat(found)
    if given.save:
        path = ROOT / "results" / "trust" / "mutants.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            before = pd.read_csv(path, keep_default_na=False)
            table = pd.concat([before[~before.module.isin(table.module)], table])
        part = path.with_suffix(".part")
        table.sort_values(["module", "line"], kind="stable").to_csv(part, index=False)
        part.replace(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
