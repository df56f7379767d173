"""The first notebook of a new item, written from its module: the cells that every page has, in their order."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

import yaml

from uapkit.files import write_whole
from uapkit.runner.catalogue import Item, item, project_root

QUICK = "Quick run (embedded digits, small networks; a smoke test of the method, not a reproduction)"
UNCHANGED = "# The parameters of the quick run; nothing is larger yet."


def write(name: str) -> list[Path]:
    """Write ``notebooks/<item>.ipynb`` and ``.full.yml`` of an item whose module has ``run`` and ``figure``.

    Title, question, parameters and alt texts come from the catalogue, the signature and the docstrings; the author goes on
    from there. Returns what was written. Raises ValueError where a file is there already or the item has no module yet.
    """
    about = item(name)
    if about.module is None or not hasattr(about.module, "figure"):
        raise ValueError(f"uapkit/papers/{name}.py with run() and figure() comes first; it was not found")
    files = {about.path("notebook"): _notebook(about), about.path("full"): _full(about)}
    there = [str(path.relative_to(project_root())) for path in files if path.exists()]
    if there:
        raise ValueError(f"{' and '.join(there)} would be overwritten; delete what you do not want to keep")
    for path, text in files.items():
        write_whole(path, text.encode())
    return list(files)


def _full(about: Item) -> str:
    given = {k: list(v) if isinstance(v, tuple) else v for k, v in about.parameters.items()}
    return f"{UNCHANGED}\n{yaml.safe_dump(given, sort_keys=False)}"


def _notebook(about: Item) -> str:
    function, module = about.function, about.module
    assert function is not None
    assert module is not None
    question = (inspect.getdoc(function) or "").partition("\n\n")[0]
    alt = (inspect.getdoc(module.figure) or "").partition("\n\n")[0]
    drawn = {"mystnb": {"image": {"alt": " ".join(alt.split())}}}
    cells = [
        _text(f"({about.name})=\n# {about.title}"),
        _code(
            "from uapkit.book.page import Page, table\n"
            f"from uapkit.papers.{about.paper} import {about.slug} as item\n\n"
            f'page = Page("{about.name}")\n'
            "full = page.full\n"
            f"page.answer({written(_first_sentence(question))})",
            "remove-input",
            "answer",
        ),
        _code("if full is not None:\n    display(item.figure(full))", "hide-input", **drawn),
        _code('page.setting(full, "Stored full run")', "remove-input"),
        _text("## Claim by claim"),
        _code("page.verdicts()", "remove-input"),
        _text(f"## What is measured\n\n**The question.** {question}"),
        _text("## Theirs"),
        _code("page.published()", "remove-input"),
        _text("## Ours: the stored full run"),
        _code('if full is not None:\n    display(table(full.rows, "Stored full run, 95 % intervals"))', "hide-input"),
        _code("page.not_run()", "remove-input"),
        _text("## Exercise"),
        _code("page.exercise()", "remove-input"),
        _text("## The quick run"),
        _code("page.quick_run(globals())  # the names defined from here on are its parameters", "remove-input"),
        _code("\n".join(_parameters(about.parameters)), "parameters"),
        _code("quick = page.run(globals())  # refuses a parameter that the item does not have", "hide-input"),
        _code(f'page.setting(quick, "{QUICK}")', "remove-input"),
        _code("item.figure(quick)", "hide-input", **drawn),
        _code('table(quick.table, "Quick run, 95 % intervals")', "remove-input"),
        _text("## Where the numbers come from"),
        _code("page.about()", "remove-input"),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = "answer" if "answer" in cell["metadata"].get("tags", ()) else f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}}
    return json.dumps(whole | {"nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _parameters(defaults: dict[str, Any]) -> list[str]:
    """``name: type = default`` of each parameter, and of ``save``."""
    lines = []
    for name, value in defaults.items():
        value = list(value) if isinstance(value, tuple) else value
        kind = "object" if value is None else type(value).__name__
        shown = written(value)
        lines.append(f"{name}: {kind} = {shown}".replace("'", '"'))
    return [*lines, "save: bool = False  # store table and provenance in results/"]


def _first_sentence(question: str) -> str:
    """The line of the box that opens the page; the author shortens it."""
    return " ".join(question.split()).partition(". ")[0]


def _text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source.splitlines(keepends=True)}


def _code(source: str, *tags: str, **metadata: Any) -> dict[str, Any]:
    about = {"tags": list(tags), **metadata}
    lines = source.splitlines(keepends=True)
    return {"cell_type": "code", "execution_count": None, "metadata": about, "outputs": [], "source": lines}


def written(value: Any) -> str:
    """A parameter as Python that a notebook can run: infinity has no name of its own there."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
