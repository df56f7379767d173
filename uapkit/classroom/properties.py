"""Points split by property: a test cell's parts, and what the grader needs to try each of them by itself.

A part begins with a comment, ``# 2 points, p_norm: signs do not matter``: the points, the function that is tried, the property
in words. Hidden tests go on with a property under ``# p_norm: signs do not matter``, without points. What comes before the
first such line is run once and costs nothing.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

HEAD = re.compile(r"# (?:(?P<points>\d+(?:\.\d+)?) points?, )?(?P<function>[A-Za-z_]\w*): (?P<title>.+)")
MARK = re.compile(r"^\s*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)\n?", re.M)


def about(cell: NotebookNode) -> dict:
    """The cell's nbgrader metadata: grade_id, grade, solution, points; empty for an ordinary cell."""
    return cell.metadata.get("nbgrader", {})


def parts(source: str) -> tuple[list[dict[str, Any]], list[tuple[int | None, str]]]:
    """(properties, segments) of a test cell, as :func:`uapkit.classroom.judge.judge` takes them."""
    properties: list[dict[str, Any]] = []
    segments: list[tuple[int | None, list[str]]] = [(None, [])]
    for line in source.splitlines():
        if MARK.match(line):  # what the hidden tests begin with is run whatever has failed
            segments.append((None, []))
            continue
        head = HEAD.fullmatch(line)
        if head and head["points"]:
            properties.append({"function": head["function"], "title": head["title"], "points": float(head["points"])})
            segments.append((len(properties) - 1, []))
        elif head and (
            known := [
                k
                for k, one in enumerate(properties)
                if (one["function"], one["title"]) == (head["function"], head["title"])
            ]
        ):
            segments.append((known[0], []))
        segments[-1][1].append(line)
    return properties, [(index, "\n".join(lines)) for index, lines in segments]


def functions(source: str) -> dict[str, str]:
    """The functions that a solution cell defines, each with its source."""
    source = MARK.sub("", source)
    found = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(source, node) or "" for node in found}


def bound(source: str) -> set[str]:
    """Names that the top level of a cell defines, imports or assigns."""
    result: set[str] = set()
    for node in ast.parse(MARK.sub("", source)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            result.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            result |= {(one.asname or one.name).split(".")[0] for one in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            result |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    return result


def plans(source: NotebookNode) -> dict[str, dict[str, Any]]:
    """For every test cell of a source notebook what the judge needs; cells without properties are left out."""
    result: dict[str, dict[str, Any]] = {}
    right: dict[str, str] = {}
    again: list[str] = []
    names: set[str] = set()
    for cell in source.cells:
        meta = about(cell)
        if cell.cell_type != "code":
            continue
        if not meta.get("grade"):
            names |= bound(cell.source)
        if meta.get("solution"):
            right |= functions(cell.source)
        elif not meta.get("grade"):
            if right:
                again.append(cell.source)
        else:
            properties, segments = parts(cell.source)
            if properties:
                plan = {"properties": properties, "segments": segments, "right": right, "again": again}
                plan["names"] = sorted(names)
                result[meta["grade_id"]] = plan
            right, again = {}, []
    return result


def cell_source(plan: dict[str, Any], token: str = "") -> str:
    """Python that judges a test cell in any kernel and ends with its points, which carry the token."""
    text = Path(__file__).with_name("judge.py").read_text(encoding="utf-8")
    return (
        f"_judge = {{'__name__': 'judge'}}\nexec({text!r}, _judge)\n"
        f"_judge['judge'](__import__('json').loads({json.dumps(plan)!r}), globals(), {token!r})"
    )
