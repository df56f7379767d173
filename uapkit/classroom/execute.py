"""nbgrader's Execute, with test cells tried property by property; ``nbgrader_config.py`` puts it in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import Execute

from uapkit.classroom import properties


class ExecuteByProperty(Execute):
    """Runs a submission; a test cell's output says which properties passed, and its value is the points.

    The course's ``source/`` folder has the tests and the right functions; the text of the test cells is put back after
    the run, so the formgrader shows them as they are.
    """

    def preprocess(self, nb: NotebookNode, resources: Any = None, km: Any = None) -> tuple[NotebookNode, Any]:
        """Execute the notebook of ``resources``."""
        about = resources["nbgrader"]
        root = Path(resources["metadata"]["path"]).parents[2]
        source = root / "source" / about["assignment"] / f"{about['notebook']}.ipynb"
        plans = properties.plans(nbformat.read(source, as_version=4)) if source.is_file() else {}
        kept = {}
        for index, cell in enumerate(nb.cells):
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in plans and cell.cell_type == "code":
                kept[index] = cell.source
                cell.source = properties.cell_source(plans[name])
        try:
            nb, resources = super().preprocess(nb, resources, km)
        finally:
            for index, text in kept.items():
                nb.cells[index].source = text
        return nb, resources
