"""Small files of names and values: records of runs, lists in YAML; one that is damaged is said to be, by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml


def mapping(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """The mapping in a YAML or JSON file, or in its bytes ``data``; {} for an empty YAML file.

    ValueError with the file's name where it is damaged or holds anything else.
    """
    try:
        text = (path.read_bytes() if data is None else data).decode()
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text) or {}
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, not names with values")
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        where, why = "/".join(path.parts[-3:]), " ".join(str(error).split())
        raise ValueError(f"{where} is damaged ({why}); restore it from git, or delete it") from None
    return found
