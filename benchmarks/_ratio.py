"""What every row of a benchmark says of a ratio: its middle, least and most, its target, and why where it misses."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

REPEATS = 5


def seconds(work: Callable[[], object], device: str = "cpu") -> float:
    """CPU seconds of this process; on another device wall seconds until it has finished."""
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def judged(yardstick: Sequence[float], took: Sequence[float], target: float | None, why: str = "") -> dict[str, object]:
    """Columns of one row. yardstick, took: seconds, taken by turns. target: the ratio that is allowed; None judges not.

    ``why`` stands where the target is missed, and nowhere else.
    """
    ratios = [b / a for a, b in zip(yardstick, took, strict=True)]
    ratio = statistics.median(ratios)
    missed = target is not None and ratio > target
    return {
        "yardstick_s": round(statistics.median(yardstick), 4),
        "seconds": round(statistics.median(took), 4),
        "ratio": round(ratio, 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "repeats": len(ratios),
        "target": "" if target is None else f"<= {target:g}",
        "verdict": "" if target is None else "MISS" if missed else "ok",
        "why": why if missed else "",
    }
