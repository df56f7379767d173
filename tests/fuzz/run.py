"""Fuzz with atheris: ``python -m tests.fuzz.run [--inputs 20000] [--seed 1] [--save] [TARGET ...]``.

atheris is no dependency of the project (``pip install atheris``, Linux or macOS). Each target runs in a fork of its own; an input
that is a find is kept in ``tests/fuzz/found``, from where the suite replays it. ``--save`` stores what was done as
``results/trust/fuzz.csv``, which the page "How this is tested" shows; targets that were not fed keep their rows.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LONGEST, SECONDS, MEGABYTES = 8192, 60, 4000  # of one input; beyond that it is a find
WATCHED = ["uapkit", "numpy.lib", "zipfile", "yaml", "nbformat"]


def feed(act, folder, log, inputs, seed):
    """Fuzz in a fork, which ends with it; the exit status."""
    import atheris

    def kept(data):
        """An input that is a find is kept, whatever the fuzzer itself leaves behind when it ends."""
        try:
            act(data)
        except Exception:
            (folder / "found" / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
            raise

    pid = os.fork()
    if pid == 0:
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        about = {"runs": inputs, "seed": seed, "max_len": LONGEST, "timeout": SECONDS, "rss_limit_mb": MEGABYTES}
        about |= {"artifact_prefix": f"{folder}/found/"}
        try:
            atheris.Setup([sys.argv[0], str(folder / "seeds"), *(f"-{k}={v}" for k, v in about.items())], kept)
            atheris.Fuzz()
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 0)  # and no tidying up of the parent's folders
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def one(targets, name, inputs, seed):
    """The row of a target."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as place:
        folder, log = Path(place), Path(place) / "log"
        for part in ("seeds", "found"):
            (folder / part).mkdir()
        for k, content in enumerate(targets.seeds(name)):
            (folder / "seeds" / f"{k}").write_bytes(content)
        began = time.perf_counter()
        status = feed(targets.TARGETS[name], folder, log, inputs, seed)
        took = time.perf_counter() - began
        said = log.read_text(errors="replace")
        found = list((folder / "found").iterdir())
        for path in found:
            shutil.copy(path, HERE / "found" / f"{name.replace(' ', '_')}-{path.name[:40]}")
        if found or status:
            print(said[-3000:])
        counts = re.findall(r"Done (\d+) runs", said) or re.findall(r"#(\d+)\s", said)
        edges = re.findall(r"cov: (\d+)", said)
    row = {"target": name, "inputs": int(counts[-1]) if counts else 0, "edges": int(edges[-1]) if edges else 0}
    return row | {"finds": max(len(found), int(status != 0)), "seconds": round(took, 1), "seed": seed}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="*")
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="store what was done as results/trust/fuzz.csv")
    asked = parser.parse_args()
    import atheris

    with atheris.instrument_imports(include=WATCHED):  # nothing of the package was imported before
        from tests.fuzz import targets

    finds = 0
    for name in asked.target or targets.TARGETS:
        row = one(targets, name, asked.inputs, asked.seed)
        print(row, flush=True)
        finds += row["finds"]
        if asked.save:
            save(row)
    return int(finds > 0)


def save(row):
    """Put the row in the place of the target's last one, with commit and day."""
    import pandas as pd

    from uapkit.files import alone, write_whole
    from uapkit.runner import results

    os.environ["UAPKIT_ROOT"] = str(ROOT)
    path = ROOT / "results" / "trust" / "fuzz.csv"
    at, dirty = results.commit()
    table = pd.DataFrame([row | {"commit": at, "dirty": dirty, "date": datetime.now(UTC).date().isoformat()}])
    with alone(path):
        if path.is_file():
            old = results.read_table(path.read_bytes())
            table = pd.concat([old[old["target"] != row["target"]], table], ignore_index=True)
        about = {"inputs": int(table["inputs"].sum()), "finds": int(table["finds"].sum()), "commit": at, "dirty": dirty}
        about |= {"date": table["date"].max(), "versions": results.versions() | {"atheris": version("atheris")}}
        write_whole(path, results.table_bytes(table))
        write_whole(path.with_suffix(".json"), (json.dumps(about, indent=1) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
