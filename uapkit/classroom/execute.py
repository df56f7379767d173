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

TEXT = 50_000  # characters that a cell may show; of a picture's code twenty count as one
LINE = 2_000  # characters of an error's message, and of a line of its traceback
LEFT_OUT = "\n... the rest of this cell's output is left out: it is more than a reader can use ...\n"


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
        self.left: dict[int, int] = {}
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

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """A message of the kernel, cut to what a cell may show: a loop that prints without end fills no memory and no page."""
        if msg["msg_type"].startswith("comm"):  # widgets: nobody looks at them
            return None
        cut, self.left[cell_index] = shortened(msg, self.left.get(cell_index, TEXT))
        return None if cut is None else super().process_message(cut, cell, cell_index)


def shortened(msg: dict[str, Any], left: int) -> tuple[dict[str, Any] | None, int]:
    """(the message as it may be shown, None where it may not; how many characters are left for its cell).

    Where nothing is left, a few results still are: that of the judge comes last.
    """
    kind, content = msg["msg_type"], msg["content"]
    if kind == "stream":
        text = content["text"]
        if left <= 0:
            return None, left
        shown = text if len(text) <= left else text[:left] + LEFT_OUT
        return msg | {"content": content | {"text": shown}}, max(0, left - len(text))
    if kind == "error":
        lines = [line[:LINE] for line in content["traceback"][-200:]]
        return msg | {"content": content | {"evalue": content["evalue"][:LINE], "traceback": lines}}, left
    if kind in ("display_data", "execute_result", "update_display_data"):
        if left <= (0 if kind != "execute_result" else -3 * LINE):
            return None, left
        sizes = {
            key: len(str(value)) // (20 if key.startswith("image/") else 1) for key, value in content["data"].items()
        }
        data = {key: value for key, value in content["data"].items() if sizes[key] <= TEXT}
        if len(data) < len(sizes):
            data["text/plain"] = str(content["data"].get("text/plain", ""))[:LINE] + LEFT_OUT
        cost = sum(min(size, TEXT) for size in sizes.values())
        return msg | {"content": content | {"data": data}}, max(0, left - cost) if left > 0 else left - LINE
    return msg, left


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
