"""What the commands that only look things up cost, against a Python that does nothing: ``python -c pass``.

Both are started in turn, several times, and the ratio of their CPU seconds is printed with its target; a row above its
target says MISS. What computes is imported beside torch and torchvision alone. The target of the others is one second on a
machine where ``pass`` takes 0.05 s. Verdicts and records are kept before the clock starts, as they are from the second
call on. ``python -m benchmarks.commands``
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pandas as pd

from benchmarks._ratio import judged
from uapkit.runner.catalogue import project_root

TARGET = 1.0 / 0.05
EVERYTHING = "import uapkit; uapkit.attacks.uap, uapkit.models.load, uapkit.evaluate.fooling_rate, uapkit.operators"
IMPORTS = 1.5  # of importing torch and torchvision
WHY = "what the command imports is what is left of it"
COMMANDS = {
    "import uapkit": ("-c", "import uapkit"),
    "uapkit --help": ("-m", "uapkit", "--help"),
    "uapkit where tab1": ("-m", "uapkit", "where", "tab1"),
    "uapkit list": ("-m", "uapkit", "list"),
    "uapkit scoreboard": ("-m", "uapkit", "scoreboard"),
}


def _seconds(*arguments: str) -> float:
    """CPU seconds of one Python, bytecode kept. Raises CalledProcessError where it fails."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=project_root(), env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _row(name: str, arguments: tuple[str, ...], target: float, repeats: int, beside: str = "pass") -> dict[str, object]:
    _seconds(*arguments)
    times = [(_seconds("-c", beside), _seconds(*arguments)) for _ in range(repeats)]
    return {"command": name, "beside": beside, **judged(*zip(*times, strict=True), target, WHY)}


def run(repeats: int = 9) -> pd.DataFrame:
    """One row a command: CPU seconds, ratio of interleaved runs with its least and most, target, verdict, why."""
    rows = [_row(*one, target=TARGET, repeats=repeats) for one in COMMANDS.items()]
    heavy = "import torch, torchvision"
    return pd.DataFrame([*rows, _row("attacks, models, rates, operators", ("-c", EVERYTHING), IMPORTS, repeats, heavy)])


if __name__ == "__main__":
    print(run().to_string(index=False))
