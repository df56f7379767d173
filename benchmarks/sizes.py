"""Jobs, hours and storage of the items at the papers' own sizes, from the stored run of ``device`` and ``sizes.yml``.

A kernel is taken to cost a network what its multiply-adds cost: its stored rate on the networks that were measured, times
their multiply-adds, is the device's speed at this kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torchvision
import yaml

from uapkit.book.benchmarks import stored

KERNELS = ("forward", "power", "deepfool", "uap")
COUNTS = {"forward": "forward", "power": "power", "deepfool": "deepfool", "uap": "visits"}
VECTOR = 3 * 224 * 224 * 4  # bytes


def operations(network: str) -> float:
    """Thousand millions of multiply-adds of one forward pass of 224 x 224 pixels, as torchvision states them."""
    return float(torchvision.models.get_model_weights(network).DEFAULT.meta["_ops"])


def speeds(table: pd.DataFrame) -> dict[str, float]:
    """Kernel -> how many of it a second, times multiply-adds of the network: the mean over the measured networks."""
    speed = table["a_second"] * table["network"].map(operations)
    return {kernel: float(speed[table["kernel"] == kernel].mean()) for kernel in KERNELS}


def row(item: str, size: Mapping[str, Any], speed: Mapping[str, float]) -> dict[str, object]:
    """One item: networks, jobs, hours in all and of a job on this device, GB kept."""
    work = sum(operations(network) for network in size["networks"])
    hours = sum(size.get(COUNTS[k], 0) * work / speed[k] for k in KERNELS) / 3600
    kept = size.get("vectors", 0) * len(size["networks"]) * VECTOR + 8 * size.get("forward", 0) * len(size["networks"])
    return {
        "item": item,
        "networks": len(size["networks"]),
        **{name: size.get(name, 0) for name in COUNTS.values()},
        "jobs": size["jobs"],
        "hours": round(hours, 2),
        "hours_a_job": round(hours / size["jobs"], 3),
        "GB_kept": round(kept / 1e9, 3),
    }


def run() -> pd.DataFrame:
    """One row an item. ValueError where no run of ``device`` is stored."""
    table = stored("device")
    if table is None:
        raise ValueError("no run of `device` is stored; `uapkit bench device --save` makes one")
    sizes = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    rows = [row(item, size, speeds(table)) for item, size in sizes.items()]
    return pd.DataFrame(rows).assign(device=table["device"].iloc[0])


if __name__ == "__main__":
    print(run().to_string(index=False))
