"""What a bug report needs and nothing more: versions, machine, state of data and weights, without a path, name or address."""

from __future__ import annotations

import os
import platform
import re
import sys
from typing import Any

from uapkit.runner import results
from uapkit.runner.catalogue import project_root, without_paths

SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "UAPKIT_WARM", "UAPKIT_STATIC")
PLACES = ("UAPKIT_DATA", "UAPKIT_CACHE", "UAPKIT_ROOT", "UAPKIT_RELEASE_URL")  # whether they are set, never to what


def text() -> str:
    """The report, ready to be pasted; lines ``name: value``."""
    sections = [
        ("uapkit", _project()),
        ("packages", results.versions()),
        ("machine", _machine()),
        ("settings", _settings()),
        ("data", _data()),
        ("weights", _weights()),
    ]
    lines = []
    for title, about in sections:
        lines += [f"[{title}]", *(f"{name}: {_clean(str(value))}" for name, value in about.items()), ""]
    return "\n".join(lines).rstrip()


def _project() -> dict[str, str]:
    try:
        project_root()
    except FileNotFoundError:
        return {"clone": "none (installed as a package)"}
    at, dirty = results.commit()
    return {"clone": "yes", "commit": at, "changed files": "yes" if dirty else "no"}


def _machine() -> dict[str, Any]:
    import torch

    found = {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads of torch": torch.get_num_threads(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "encoding of file names": sys.getfilesystemencoding(),
    }
    for k in range(torch.cuda.device_count()):
        found[f"GPU {k}"] = torch.cuda.get_device_name(k)
    return found


def _settings() -> dict[str, str]:
    plain = {name: os.environ.get(name, "not set") for name in SETTINGS}
    return plain | {name: "set" if os.environ.get(name) else "not set" for name in PLACES}


def _data() -> dict[str, str]:
    from uapkit import data

    try:
        return {row["name"]: "here" if row["here"] else "missing" for row in data.status().to_dict("records")}
    except ValueError as error:  # $UAPKIT_DATA is no folder: that is what the report must say
        return {"problem": _sentence(error)}


def _weights() -> dict[str, str]:
    from uapkit import models

    try:
        rows = models.status().to_dict("records")
    except ValueError as error:
        return {"problem": _sentence(error)}
    here = [f"{row['name']}[{row['weights']}]" for row in rows if row["state"] == "here"]
    return {
        "here": ", ".join(here) or "none",
        "missing": f"{sum(row['state'] == 'missing' for row in rows)} of {len(rows)}",
    }


def _sentence(error: Exception) -> str:
    """The message without what stands in quotes, which may be a folder."""
    return re.sub(r"'[^']*'", "'...'", str(error))


def _clean(value: str) -> str:
    """One line without folders of this machine and without the user's name in them."""
    return re.sub(r"(?<![\w<])(/[\w.@+-]+){2,}|[A-Za-z]:\\\\[^\s,;]+", "<path>", " ".join(without_paths(value).split()))
