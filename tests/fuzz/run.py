"""Fuzz with atheris: ``python -m tests.fuzz.run [--inputs 20000] [--seed 1] [--save] [TARGET ...]``.

atheris is no dependency of the project (``pip install atheris``, Linux or macOS). Each target runs in a process of its own; an
input that is a find is kept in ``tests/fuzz/found``, from where the suite replays it. ``--save`` stores what was done as
``results/trust/fuzz.csv``, which the page "How this is tested" shows.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from uapkit.files import write_whole
from uapkit.runner import results

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LONGEST, SECONDS, MEGABYTES = 8192, 20, 3000  # of one input; beyond that it is a find


def one(name, inputs, seed):
    """The row of a target."""
    from tests.fuzz import targets

    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        place = Path(folder)
        for k, content in enumerate(targets.seeds(name)):
            (place / f"seed{k}").write_bytes(content)
        found = place / "found"
        found.mkdir()
        command = [sys.executable, "-m", "tests.fuzz.feed", name, folder, f"-runs={inputs}", f"-seed={seed}"]
        command += [
            f"-max_len={LONGEST}",
            f"-timeout={SECONDS}",
            f"-rss_limit_mb={MEGABYTES}",
            f"-artifact_prefix={found}/",
        ]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        took = time.perf_counter() - began
        for path in found.iterdir():
            shutil.copy(path, HERE / "found" / f"{name.replace(' ', '_')}-{path.name[:40]}")
            print(done.stdout[-1500:], done.stderr[-1500:])
        said = done.stderr
        counts = re.findall(r"Done (\d+) runs", said) or re.findall(r"#(\d+)\s", said)
        edges = re.findall(r"cov: (\d+)", said)
        row = {"target": name, "inputs": int(counts[-1]) if counts else 0, "edges": int(edges[-1]) if edges else 0}
        return row | {"finds": len(list(found.iterdir())), "seconds": round(took, 1)}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="*")
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="store what was done as results/trust/fuzz.csv")
    asked = parser.parse_args()
    from tests.fuzz import targets

    rows = []
    for name in asked.target or targets.TARGETS:
        rows.append(one(name, asked.inputs, asked.seed))
        print(rows[-1], flush=True)
        if asked.save and not asked.target:
            save(pd.DataFrame(rows), asked)
    return int(any(row["finds"] for row in rows))


def save(table, asked):
    os.environ["UAPKIT_ROOT"] = str(ROOT)
    from importlib.metadata import version

    at, dirty = results.commit()
    about = {"inputs": int(table["inputs"].sum()), "finds": int(table["finds"].sum()), "seed": asked.seed, "commit": at}
    about |= {"dirty": dirty, "date": datetime.now(UTC).date().isoformat(), "versions": results.versions()}
    about["versions"]["atheris"] = version("atheris")
    write_whole(ROOT / "results" / "trust" / "fuzz.csv", results.table_bytes(table))
    write_whole(ROOT / "results" / "trust" / "fuzz.json", (json.dumps(about, indent=1) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
