"""Run, load and compare items by their one name: the only code that seeds, times and writes.

Examples
--------
>>> from uapkit import runner
>>> runner.item("khrulkov2018/tab1_layers").ids
('K4',)

"""

from uapkit.runner.catalogue import Item, item, items, papers, project_root
from uapkit.runner.execute import check_parameters, full_parameters, notebook_parameters, run
from uapkit.runner.locate import where
from uapkit.runner.results import load, stored, without_paths
from uapkit.runner.verdicts import compare, evidence, item_verdict, reported, stored_run, verdict

__all__ = [
    "Item",
    "check_parameters",
    "compare",
    "evidence",
    "full_parameters",
    "item",
    "item_verdict",
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
