"""nbgrader's Execute, with test cells tried property by property; ``nbgrader_config.py`` puts it in its place."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import Execute

from uapkit.classroom import properties
from uapkit.classroom.judge import TOKEN


class ExecuteByProperty(Execute):
    """Runs a submission; a test cell's output says which properties passed, and its value is the points.

    The course's ``source/`` folder has the tests and the right functions; the text of the test cells is put back after
    the run, so the formgrader shows them as they are. Points are believed that the judge has given, and no others.
    """

    def preprocess(self, nb: NotebookNode, resources: Any = None, km: Any = None) -> tuple[NotebookNode, Any]:
        """Execute the notebook of ``resources``."""
        about = resources["nbgrader"]
        root = Path(resources["metadata"]["path"]).parents[2]
        source = root / "source" / about["assignment"] / f"{about['notebook']}.ipynb"
        plans = properties.plans(nbformat.read(source, as_version=4)) if source.is_file() else {}
        kept, token = {}, secrets.token_hex()
        for index, cell in enumerate(nb.cells):
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in plans and cell.cell_type == "code":
                kept[index] = cell.source
                cell.source = properties.cell_source(plans[name], token)
        try:
            nb, resources = super().preprocess(nb, resources, km)
        finally:
            for index, text in kept.items():
                nb.cells[index].source = text
                nb.cells[index].outputs = believed(nb.cells[index].outputs, token)
        return nb, resources


def believed(outputs: list[Any], token: str) -> list[Any]:
    """The outputs of a test cell as they may be graded: one result, the last, with the judge's token; else an error.

    nbgrader takes the first result, and gives full points where there is none.
    """
    results = [one for one in outputs if one.output_type == "execute_result"]
    if len(results) == 1 and results[0] is outputs[-1] and results[0].data.pop(TOKEN, "") == token:
        return outputs
    if any(one.output_type == "error" for one in outputs):
        return outputs
    said = f"{len(results)} results came out of this test cell, and not the one of the grader: no points"
    error = nbformat.v4.new_output("error", ename="NotJudged", evalue=said, traceback=[f"NotJudged: {said}"])
    return [one for one in outputs if one.output_type == "stream"] + [error]
