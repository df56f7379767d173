"""Which submissions say the same: a cheap comparison that tells a teacher where to look, and proves nothing."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Mapping
from difflib import SequenceMatcher

from nbformat import NotebookNode

from uapkit.classroom.properties import about

ENOUGH = 60  # tokens; shorter answers agree by themselves
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def tokens(notebook: NotebookNode, released: NotebookNode) -> list[str]:
    """Code and words of the answers, without comments, strings, layout and what the released notebook says already."""
    given = {about(cell)["grade_id"]: cell.source for cell in released.cells if about(cell)}
    result: list[str] = []
    for cell in notebook.cells:
        name = about(cell).get("grade_id")
        if not about(cell).get("solution") or cell.source.strip() == given.get(name, "").strip():
            continue
        if cell.cell_type != "code":
            result += cell.source.replace(given.get(name, ""), "").split()
            continue
        try:
            found = list(tokenize.generate_tokens(io.StringIO(cell.source).readline))
            result += [one.string for one in found if one.type not in LAYOUT and one.type != tokenize.STRING]
        except (tokenize.TokenError, SyntaxError):
            result += cell.source.split()
    return result


def same_answer_as(
    notebooks: Mapping[str, NotebookNode], released: NotebookNode, least: float = 0.95
) -> dict[str, str]:
    """For every student the others whose answers share at least this part of their tokens, in order, with the share."""
    said = {student: found for student, one in notebooks.items() if len(found := tokens(one, released)) >= ENOUGH}
    names, result = sorted(said), dict.fromkeys(notebooks, "")
    for k, a in enumerate(names):
        match = SequenceMatcher(None, autojunk=False)
        match.set_seq2(said[a])
        for b in names[k + 1 :]:
            match.set_seq1(said[b])
            if match.real_quick_ratio() < least or match.quick_ratio() < least or (share := match.ratio()) < least:
                continue
            for one, other in ((a, b), (b, a)):
                result[one] += f"{'; ' if result[one] else ''}{other} ({int(100 * share)}%)"
    return result
