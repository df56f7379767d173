"""The words of a verdict, and why a stored run must be made again; to read them needs neither torch nor pandas."""

from __future__ import annotations

import yaml

from uapkit.runner.catalogue import project_root

DEPENDS = "depends on the training"
VERDICTS = (
    "confirmed",
    "partly",
    DEPENDS,
    "differs",
    "undecided",
    "not above chance",
    "not judged",
    "not run here",
    "planned",
)


def stale() -> dict[str, str]:
    """Why a stored run must be made again, by item, from ``results/stale.yml``; its page and the scoreboard say so."""
    path = project_root() / "results" / "stale.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.is_file() else {}
