"""Find the numbers of the four chapters again: ``python -m tests.independent [--save] [--only K]``."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

import pandas as pd
import torch

from tests.independent import base, e, j, j_lenet, k, m

TRUST = base.ROOT / "results" / "trust"
PACKAGES = ("torch", "torchvision", "numpy", "pandas", "pillow", "safetensors")
CHAPTERS = (k, m, e, j, j_lenet)


def computed(only: str = "") -> pd.DataFrame:
    """The table of all numbers, or of one chapter's."""
    found = []
    for one in sorted(base.NUMBERS, key=lambda one: "KMEJ".index(one.chapter)):
        if not only or one.chapter == only:
            began = time.process_time()
            found.append(one.row())
            show = {name: found[-1].get(name) for name in ("agrees", "stored", "recomputed", "tolerance", "n")}
            print(one.chapter, one.what, show, f"{time.process_time() - began:.0f} s", flush=True)
    return pd.DataFrame(found, columns=base.COLUMNS)


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=base.ROOT, capture_output=True, text=True, check=True).stdout.strip()


def state() -> dict[str, object]:
    """The code that runs, asked before anything is computed."""
    dirty = bool(_git("status", "--porcelain", "--untracked-files=no"))
    return {"commit": _git("rev-parse", "HEAD"), "dirty": dirty, "date": datetime.date.today().isoformat()}


def record(table: pd.DataFrame, before: dict[str, object], seconds: float) -> dict[str, object]:
    """Where the table comes from."""
    agrees = table["agrees"].value_counts()
    return before | {
        "seconds": round(seconds),
        "rows": len(table),
        "agree": int(agrees.get("yes", 0)),
        "by_chapter": table.groupby("chapter", sort=False).size().to_dict(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "system": sys.platform,
    }


def write(name: str, text: str) -> None:
    """A whole file or none."""
    new = TRUST / f".{name}.{os.getpid()}"
    new.write_text(text, encoding="utf-8")
    new.replace(TRUST / name)


def main() -> None:
    """Compute, print, and store on demand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="store results/trust/independent.csv and .json")
    parser.add_argument("--only", default="", choices=["", "K", "M", "E", "J"], help="one chapter, without storing")
    given = parser.parse_args()
    if given.save and given.only:
        parser.error("a part of the table is not stored")
    torch.set_num_threads(1)
    before, began = state(), time.process_time()
    table = computed(given.only)
    print(table["agrees"].value_counts().to_string(), f"\n{time.process_time() - began:.0f} s of one processor")
    if given.save:
        about = record(table, before, time.process_time() - began)
        write("independent.csv", table.to_csv(index=False, float_format="%.9g"))
        write("independent.json", json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
