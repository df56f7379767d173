"""How many bytes an installation fetches, by package: sizes that the package index states for the locked versions.

For Linux on x86_64 and Python 3.11. What only graphics cards need is summed up: the CUDA libraries and Triton, which PyTorch's
usual build asks for; ``make setup TORCH=cpu`` leaves them out. The last rows say what each extra adds to the bare package.
Needs the network. ``python -m benchmarks.install``
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

from uapkit.runner.catalogue import project_root

CARDS = re.compile(r"nvidia-|cuda-|triton$")  # as the Makefile leaves out
PLATFORM, PYTHON = "x86_64-manylinux_2_28", "3.11"
LARGEST = 10


def locked(*extras: str) -> dict[str, float]:
    """{package: MB of the file that is fetched} for the package with these extras, in the versions of the lock."""
    root = project_root()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pylock.toml"
        command = [str(root / ".tools" / "bin" / "uv"), "pip", "compile", str(root / "pyproject.toml"), "--quiet"]
        command += [word for extra in extras for word in ("--extra", extra)]
        command += ["--python-version", PYTHON, "--python-platform", PLATFORM, "--format", "pylock.toml"]
        command += ["--constraint", str(root / "requirements.lock"), "--output-file", str(out)]
        subprocess.run(command, check=True, capture_output=True)
        return sizes(tomllib.loads(out.read_text(encoding="utf-8")))


def sizes(lock: dict[str, Any]) -> dict[str, float]:
    """{package: MB} of a lock in the standard form; the wheel, or the source where there is none. KeyError without a size."""
    files = {p["name"]: (p.get("wheels") or [p["sdist"]])[0] for p in lock["packages"] if "directory" not in p}
    return {name: one["size"] / 1e6 for name, one in files.items()}


def table(whole: dict[str, float], bare: dict[str, float], more: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Rows of totals, of the largest packages, of extras. whole, bare, more: of everything, of no extra, of each extra."""
    cards = {name: mb for name, mb in whole.items() if CARDS.match(name)}
    rest = {name: mb for name, mb in whole.items() if name not in cards}
    rows = [("everything", whole), ("only for graphics cards", cards), ("everything else", rest)]
    largest = sorted(rest, key=lambda name: -rest[name])[:LARGEST]
    rows += [(name, {name: rest[name]}) for name in largest]
    rows += [(f"extra `{extra}`", {n: mb for n, mb in found.items() if n not in bare}) for extra, found in more.items()]
    total = sum(whole.values())
    columns = {"packages": [len(s) for _, s in rows], "MB": [round(sum(s.values()), 1) for _, s in rows]}
    share = [round(sum(s.values()) / total, 3) for _, s in rows]
    return pd.DataFrame({"what": [name for name, _ in rows], **columns, "share": share})


def run() -> pd.DataFrame:
    """Packages, MB to fetch and share of all, for everything, for what cards need, the largest packages, each extra."""
    extras = tomllib.loads((project_root() / "pyproject.toml").read_text(encoding="utf-8"))
    names = [name for name in extras["project"]["optional-dependencies"] if name != "all"]
    return table(locked("all"), locked(), {name: locked(name) for name in names})


if __name__ == "__main__":
    print(run().to_string(index=False))
