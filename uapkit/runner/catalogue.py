"""Items: one name, and everything that carries it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from uapkit import checks

if TYPE_CHECKING:
    import pandas as pd

    from uapkit.lab import Claim

PACKAGE = Path(__file__).resolve().parent.parent


def project_root() -> Path:
    """The project's folder (it holds ``_toc.yml``): ``$UAPKIT_ROOT``, else the checkout of this package, or the current folder.

    FileNotFoundError where it is none of them, also where UAPKIT_ROOT says another: results would go where nobody looks.
    """
    wish = os.environ.get("UAPKIT_ROOT")
    for place in (wish,) if wish else (PACKAGE.parent, Path.cwd()):
        if (Path(place) / "_toc.yml").is_file():
            return Path(place).resolve()
    if wish:
        raise FileNotFoundError(
            f"UAPKIT_ROOT is {wish!r}, which holds no _toc.yml; set it to a clone of uapkit, or to nothing"
        )
    raise FileNotFoundError(
        "no project folder with _toc.yml was found: run inside a clone of uapkit, or set UAPKIT_ROOT to one"
    )


@dataclass(frozen=True)
class Item:
    """One figure, table, algorithm or claim of one paper. ``name`` is ``<paper>/<slug>``; ``ids`` are experiment ids.

    beside: (parameter of the item's ``claims``, name of another item) for each other item whose stored run holds a null that
    this one's claims are judged by.
    """

    name: str
    title: str
    ids: tuple[str, ...]
    beside: tuple[tuple[str, str], ...] = ()

    @property
    def paper(self) -> str:
        """Bibliography key of the paper."""
        return self.name.split("/")[0]

    @property
    def slug(self) -> str:
        """The item's own part of the name; also the name of its module."""
        return self.name.split("/")[1]

    @property
    def module(self) -> ModuleType | None:
        """The item's module, ``uapkit.papers.<paper>.<slug>``, or None while the item is planned."""
        name = f"uapkit.papers.{self.paper}.{self.slug}"
        return importlib.import_module(name) if importlib.util.find_spec(name) else None

    @property
    def function(self) -> Callable[..., pd.DataFrame] | None:
        """The item's pure function, ``run`` of its module, or None while the item is planned."""
        return getattr(self.module, "run", None)

    @property
    def claims(self) -> Callable[..., Iterable[Claim]] | None:
        """The function that turns a run into evidence for the item's claims, if it has claims; see ``beside`` for its keywords."""
        return getattr(self.module, "claims", None)

    @property
    def parameters(self) -> dict[str, Any]:
        """Names and defaults of the function's keywords."""
        if self.function is None:
            raise ValueError(f"{self.name} is planned: it has no code yet")
        return {k: p.default for k, p in inspect.signature(self.function).parameters.items()}

    def path(self, kind: str) -> Path:
        """Where a partner of the item lies: notebook, full, csv, json, npz, reported, module or test."""
        places = {
            "notebook": f"notebooks/{self.name}.ipynb",
            "full": f"notebooks/{self.name}.full.yml",
            "csv": f"results/{self.name}.csv",
            "json": f"results/{self.name}.json",
            "npz": f"results/{self.name}.npz",
            "reported": f"reported/{self.paper}.csv",
            "module": f"uapkit/papers/{self.name}.py",
            "test": f"tests/papers/{self.paper}/test_{self.slug}.py",
        }
        return project_root() / places[checks.one_of(kind, places, "kind of file")]


@cache
def papers() -> dict[str, dict[str, Any]]:
    """The catalogue as written in ``uapkit/papers/items.yml``."""
    return yaml.safe_load((PACKAGE / "papers" / "items.yml").read_text(encoding="utf-8"))


@cache
def items() -> dict[str, Item]:
    """All items by name, in the catalogue's order."""
    return {
        f"{paper}/{slug}": Item(
            f"{paper}/{slug}", entry["title"], tuple(entry["ids"]), tuple(entry.get("beside", {}).items())
        )
        for paper, about in papers().items()
        for slug, entry in about["items"].items()
    }


def item(name: str) -> Item:
    """The item called ``name``; ValueError with the nearest names if there is none."""
    return items()[checks.one_of(str(name), items(), "item", "`uapkit list` names them all")]


def without_paths(text: str) -> str:
    """``text`` with this machine's folders replaced by what they stand for, so that pages and records hold none."""
    places = {str(project_root()): "<project>", os.environ.get("UAPKIT_DATA") or "": "<data>", str(Path.home()): "~"}
    for place, name in places.items():
        if len(place) > 1:
            text = text.replace(place, name)
    return text
