"""What has changed since a run was stored: its code and its weights, told from checksums; nothing is run or imported for it.

The code of a run is its item's ``run`` with all modules that it imports (:mod:`uapkit.sources`); comments do not count.
Whether another text gives other numbers only a rerun tells. A checksum of code is taken from what Python's parser makes of it,
so only those of one Python version (3.11, say) are compared. Weights are compared where the catalogue names a checksum; of
data, and of networks that each machine trains, a rerun tells.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from uapkit.runner.catalogue import item
from uapkit.runner.drawn import present
from uapkit.runner.records import of_a_run

SAME = "same code"
RERUN = "code changed, rerun with the present code"
OLDER = "code changed since the last rerun"
CHANGED = "code changed, not rerun"
STATES = (SAME, RERUN, OLDER, CHANGED)
Record = Mapping[str, Any]


def of(name: str, rerun: Record | None, now: Record | None = None) -> dict[str, Any]:
    """{"code": one of :data:`STATES`, "" where it cannot be told; "weights": names of weights that are another file now}.

    rerun: the record of the item's last rerun, None where there was none. now: what :func:`uapkit.runner.drawn.present`
    says; asked for where it is not given. An item without a stored run has no state.
    """
    path = item(name).path("json")
    if not path.is_file():
        return {"code": "", "weights": []}
    stored, now = of_a_run(path), present() if now is None else now
    return {"code": code(stored, rerun, now["code"].get(name, "")), "weights": weights(stored, now["weights"])}


def code(stored: Record, rerun: Record | None, today: str) -> str:
    """The state of a stored run's code; ``today`` is the sha256 of the code as it is now.

    A rerun counts only if it was held against the table that is stored now. Whether it agreed is not asked here.
    """
    before = str(stored.get("code_sha256", ""))
    known = before and not before.startswith("unknown") and _minor(str(stored.get("versions", {}).get("python", "")))
    if not today or not known or known != _minor(platform.python_version()):
        return ""
    if before == today:
        return SAME
    if rerun is None or rerun["table_sha256"] != stored.get("table_sha256"):
        return CHANGED
    if known != _minor(rerun["on"].partition("Python ")[2]):
        return ""
    return RERUN if rerun["code_sha256"] == today else OLDER


def _minor(version: str) -> list[str]:
    """The first two parts of a version of Python; empty for ""."""
    return version.split(".")[:2] if version else []


def weights(stored: Record, known: Mapping[str, str]) -> list[str]:
    """Weights that the stored run read and for which the catalogue names another checksum now."""
    read = stored.get("inputs", {})
    return sorted(name for name in read.keys() & known.keys() if not str(read[name]).startswith(known[name]))
