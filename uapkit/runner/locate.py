"""Where everything of an item is: one guess, no map."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from uapkit.runner.catalogue import Item, item, items, project_root
from uapkit.runner.verdicts import item_verdict, reported


def line_of(path: Path, name: str) -> int | None:
    """Line of the first definition whose name begins with ``name`` in a Python file, by its text; None if there is none."""
    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith(f"def {name}"):
                return number
    return None


def places(about: Item) -> dict[str, str]:
    """Place (relative to the project) and state of each partner of an item."""
    root = project_root()

    def there(kind: str) -> str:
        path = about.path(kind)
        return str(path.relative_to(root)) if path.is_file() else "none yet"

    rows = reported(about)

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
        "published rows": f"reported/{about.paper}.csv: {len(rows)} rows",
        "full run": there("full"),
        "results": f"{there('csv')}, {there('json')}",
        "page": f"notebooks/{about.name}.html" if about.path("notebook").is_file() else "planned",
        "verdicts": item_verdict(about.name),
    }


def where(pattern: str) -> pd.DataFrame:
    """All partners of the items whose name, id or title contains ``pattern``; ValueError if there is none."""
    low = pattern.lower()
    found = [
        about
        for about in items().values()
        if low in about.name.lower() or low in about.title.lower() or pattern.upper() in about.ids
    ]
    if not found:
        item(pattern)  # raises with the nearest names
    return pd.DataFrame([places(about) for about in found])
