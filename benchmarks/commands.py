"""What the commands that only look things up cost, against a Python that does nothing: ``python -c pass``.

Both are started in turn, several times, and the ratio of the medians of their CPU seconds is printed with its target; a row
above its target says MISS. The target is one second on a machine where ``pass`` takes 0.05 s. Verdicts and records are
kept before the clock starts, as they are from the second call on. ``python -m benchmarks.commands``
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

import pandas as pd

from uapkit.runner.catalogue import project_root

TARGET = 1.0 / 0.05
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


def _row(name: str, arguments: tuple[str, ...], target: float, repeats: int) -> dict[str, object]:
    _seconds(*arguments)
    times = [(_seconds("-c", "pass"), _seconds(*arguments)) for _ in range(repeats)]
    ratio = statistics.median(b for _, b in times) / statistics.median(a for a, _ in times)
    return {
        "command": name,
        "pass_s": round(statistics.median(a for a, _ in times), 3),
        "command_s": round(statistics.median(b for _, b in times), 3),
        "ratio": round(ratio, 1),
        "target": target,
        "verdict": "ok" if ratio <= target else "MISS",
    }


def run(repeats: int = 9) -> pd.DataFrame:
    """One row a command: CPU seconds, ratio of the medians of interleaved runs, target, verdict (ok or MISS)."""
    return pd.DataFrame([_row(*one, target=TARGET, repeats=repeats) for one in COMMANDS.items()])


if __name__ == "__main__":
    print(run().to_string(index=False))
