"""Where everything of an item is: one guess, no map."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from uapkit.runner.catalogue import Item, item, items, project_root

if TYPE_CHECKING:
    import pandas as pd


def line_of(path: Path, name: str) -> int | None:
    """Line of the first definition whose name begins with ``name`` in a Python file, by its text; None if there is none."""
    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith(f"def {name}"):
                return number
    return None


def places(about: Item) -> dict[str, str]:
    """Place (relative to the project) and state of each partner of an item."""
    from uapkit import runner

    root = project_root()

    def there(kind: str) -> str:
        path = about.path(kind)
        return str(path.relative_to(root)) if path.is_file() else "none yet"

    def at(kind: str, name: str) -> str:
        line = line_of(about.path(kind), name)
        return f"{about.path(kind).relative_to(root)}:{line}" if line else "planned"

    return {
        "item": about.name,
        "title": about.title,
        "experiments": ", ".join(about.ids) or "an extension of ours",
        "notebook": there("notebook"),
        "function": at("module", "run("),
        "test": at("test", f"test_{about.slug}"),
        "published rows": f"reported/{about.paper}.csv: {_published(about)} rows",
        "full run": there("full"),
        "results": f"{there('csv')}, {there('json')}",
        "page": f"notebooks/{about.name}.html" if about.path("notebook").is_file() else "planned",
        "verdicts": runner.item_verdict(about.name),
    }


def _published(about: Item) -> int:
    path = about.path("reported")
    if not path.is_file():
        return 0
    with open(path, encoding="utf-8", newline="") as file:
        return sum(row["item"] == about.name for row in csv.DictReader(file))


def found(pattern: str) -> list[Item]:
    """The items whose name, id or title contains ``pattern``; ValueError with the nearest names if there is none."""
    low = pattern.lower()
    these = [
        about
        for about in items().values()
        if low in about.name.lower() or low in about.title.lower() or pattern.upper() in about.ids
    ]
    return these or [item(pattern)]


def where(pattern: str) -> pd.DataFrame:
    """All partners of the items that :func:`found` finds, one row an item. ValueError if there is none."""
    import pandas as pd

    return pd.DataFrame([places(about) for about in found(pattern)])
