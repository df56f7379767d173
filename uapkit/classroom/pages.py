"""Feedback pages: one HTML file that fetches nothing, with formulas drawn and without the text of the hidden tests."""

from __future__ import annotations

import copy
import html
import re
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode

from uapkit.classroom.properties import about

HIDDEN = re.compile(r"\n?[ \t]*### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS[ \t]*", re.S)
FORMULA = re.compile(
    r"(?P<code>```.*?```|~~~.*?~~~|`[^`\n]+`)"
    r"|\$\$(?P<block>.+?)\$\$|\\\[(?P<bracket>.+?)\\\]|(?P<environment>\\begin\{(\w+\*?)\}.+?\\end\{\5\})"
    r"|(?<![\\\w$])\$(?P<line>(?:[^$\\\n]|\\.|\n(?!\s*\n))+?)\$(?!\w)|\\\((?P<paren>.+?)\\\)",
    re.S,
)
NOTHING_FROM_ELSEWHERE = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    'img-src data:; font-src data:">'
)


class FeedbackPage(HTMLExporter):
    """The exporter of ``nbgrader generate_feedback`` in a course folder; ``nbgrader_config.py`` names it."""

    def _preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        nb, resources = super()._preprocess(nb, resources)
        nb = without_hidden_tests(nb)
        self._formulas: list[str] = []
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = self._set_aside(cell.source)
            if about(cell).get("comment"):
                cell.metadata.nbgrader.comment = self._set_aside(cell.metadata.nbgrader.comment)
        return nb, resources

    def from_notebook_node(self, nb: NotebookNode, resources: Any = None, **words: Any) -> tuple[Any, Any]:
        """The page of an autograded notebook."""
        page, resources = super().from_notebook_node(nb, resources, **words)
        page = re.sub(r"<script\b.*?</script\s*>", "", page, flags=re.S | re.I)
        page = re.sub(r"<link\b[^>]*>", "", page, flags=re.I)
        page = re.sub(r"formula(\d+)set", lambda found: self._formulas[int(found[1])], page)
        return page.replace("<head>", f"<head>\n{NOTHING_FROM_ELSEWHERE}", 1), resources

    def _set_aside(self, text: str) -> str:
        """Markdown with a word of letters and digits in place of every formula, so that nothing in it is taken for markup."""

        def one(found: re.Match[str]) -> str:
            if found["code"]:
                return found[0]
            inline = found["line"] or found["paren"]
            tex = inline or found["block"] or found["bracket"] or found["environment"]
            self._formulas.append(mathml(tex, block=not inline))
            return f"formula{len(self._formulas) - 1}set"

        return FORMULA.sub(one, text)


def mathml(tex: str, *, block: bool = False) -> str:
    """A formula that every browser draws by itself; its TeX as it was typed where it cannot be read."""
    from latex2mathml.converter import convert

    try:
        return convert(tex.strip(), display="block" if block else "inline")
    except Exception:  # whatever students type; latex2mathml raises many kinds
        return f"<code>{html.escape(tex)}</code>"


def without_hidden_tests(notebook: NotebookNode) -> NotebookNode:
    """A copy as the student may see it: of test cells the visible part, what was passed, and messages without the way there."""
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        if cell.cell_type != "code":
            continue
        test = about(cell).get("grade") and not about(cell).get("solution")
        if test:
            cell.source = HIDDEN.sub("", cell.source).rstrip()
            cell.outputs = [one for one in cell.outputs if one.output_type != "execute_result"]
        for one in cell.outputs:
            if one.output_type == "error" and test:
                one.traceback = [f"{one.ename}: {one.evalue}"]
            elif one.output_type == "error":
                one.traceback = [re.sub(r"(/[^/\s:]+)+/(?=[^/\s:]+\.py\b)", "", line) for line in one.traceback]
    return result
