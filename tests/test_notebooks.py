"""Notebooks in git: no outputs, a parameters cell that is the function's signature, alt text on every figure."""

import ast
import inspect
import json

import pytest

from uapkit import runner

ROOT = runner.project_root()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.ipynb"))
NAMES = [path.relative_to(ROOT / "notebooks").with_suffix("").as_posix() for path in NOTEBOOKS]


def cells(name):
    return json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("name", NAMES)
def test_no_outputs_in_git(name):
    for cell in cells(name):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "run nbstripout"
            assert cell["execution_count"] is None


@pytest.mark.parametrize("name", NAMES)
def test_title_and_anchor(name):
    first = source(cells(name)[0])
    assert first.startswith(f"({name})=\n# "), "the first cell holds the anchor and the title"


@pytest.mark.parametrize("name", NAMES)
def test_parameters_cell_is_the_signature(name):
    tagged = [c for c in cells(name) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    found = {}
    for node in ast.parse(source(tagged[0])).body:
        assert isinstance(node, ast.AnnAssign), "annotated, so that papermill --help-notebook shows the type"
        found[node.target.id] = eval(compile(ast.Expression(node.value), name, "eval"), {"float": float})
    assert found.pop("save") is False
    expected = {k: list(v) if isinstance(v, tuple) else v for k, v in runner.item(name).parameters.items()}
    assert found == expected
    assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(runner.item(name).function).parameters.values())


@pytest.mark.parametrize("name", NAMES)
def test_page_shows_theirs_then_ours_then_the_quick_run(name):
    text = "\n".join(source(c) for c in cells(name))
    assert f'ID = "{name}"' in text
    places = [
        text.find(mark)
        for mark in ("full is not None", "page.verdicts(ID)", "page.setting(quick", "page.provenance(ID)")
    ]
    assert all(place > 0 for place in places), places
    assert places == sorted(places)
    assert "page.not_run(ID)" in text
    assert "page.rerun(ID)" in text


@pytest.mark.parametrize("name", NAMES)
def test_figures_have_alt_text(name):
    for cell in cells(name):
        if cell["cell_type"] == "code" and "plots." in source(cell) and "def " not in source(cell):
            alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 20, source(cell)
