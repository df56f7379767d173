"""Run, load and compare items by their one name: the only code that seeds, times and writes.

Names load on first use, so that what only names items, or reads kept verdicts, waits for neither torch nor pandas.

Examples
--------
>>> from uapkit import runner
>>> runner.item("khrulkov2018/tab1_layers").ids
('K4',)

"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from uapkit.runner.catalogue import Item, item, items, papers, project_root, without_paths

if TYPE_CHECKING:
    from uapkit.runner.drawn import item_verdict, item_verdicts
    from uapkit.runner.execute import check_parameters, full_parameters, notebook_parameters, run
    from uapkit.runner.locate import where
    from uapkit.runner.results import load, stored
    from uapkit.runner.verdicts import compare, evidence, reported, stored_run, verdict

_FROM = {
    "drawn": ("item_verdict", "item_verdicts"),
    "execute": ("check_parameters", "full_parameters", "notebook_parameters", "run"),
    "locate": ("where",),
    "results": ("load", "stored"),
    "verdicts": ("compare", "evidence", "reported", "stored_run", "verdict"),
}

__all__ = [
    "Item",
    "check_parameters",
    "compare",
    "evidence",
    "full_parameters",
    "item",
    "item_verdict",
    "item_verdicts",
    "items",
    "load",
    "notebook_parameters",
    "papers",
    "project_root",
    "reported",
    "run",
    "stored",
    "stored_run",
    "verdict",
    "where",
    "without_paths",
]


def _modules() -> None:  # never called: what a name may stand for, for :mod:`uapkit.sources`, which reads imports
    from uapkit.runner import drawn, execute, locate, results, verdicts  # noqa: F401


def __getattr__(name: str) -> Any:
    for module, names in _FROM.items():
        if name in names:
            return getattr(importlib.import_module(f"uapkit.runner.{module}"), name)
    raise AttributeError(f"module 'uapkit.runner' has no attribute {name!r}")
