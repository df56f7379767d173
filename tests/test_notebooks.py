"""Notebooks in git: no outputs, a parameters cell that is the function's signature, alt text on every figure."""

import ast
import importlib
import inspect
import json

import papermill
import pytest

from uapkit import runner

ROOT = runner.project_root()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.ipynb"))
NAMES = [path.relative_to(ROOT / "notebooks").with_suffix("").as_posix() for path in NOTEBOOKS]
ORDER = (
    "page.answer(",
    'page.setting(full, "Stored full run")',
    "page.verdicts()",
    "## What is measured",
    "## Ours: ",
    "page.not_run()",
    "page.exercise()",
    "## The quick run",
    "page.quick_run(globals())",
    "save: bool = False",
    "quick = page.run(globals())",
    "page.setting(quick",
    "page.about()",
)


def cells(name):
    return json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def code(name):
    return [cell for cell in cells(name) if cell["cell_type"] == "code"]


@pytest.mark.parametrize("name", NAMES)
def test_no_outputs_in_git(name):
    for cell in code(name):
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
def test_papermill_knows_every_parameter_and_its_type(name):
    """It reads the cell as text: a type with | would be passed over, and the parameter called unknown."""
    shown = papermill.inspect_notebook(ROOT / "notebooks" / f"{name}.ipynb")
    assert list(shown) == [*runner.item(name).parameters, "save"]
    assert all(about["inferred_type_name"] != "None" for about in shown.values())


@pytest.mark.parametrize("name", NAMES)
def test_page_answers_first_and_ends_with_the_quick_run(name):
    paper, slug = name.split("/")
    text = "\n".join(source(c) for c in cells(name))
    if "item." in text:
        assert f"from uapkit.papers.{paper} import {slug} as item" in text
    assert f'page = Page("{name}")\n' in text
    places = [text.find(mark) for mark in ORDER]
    assert all(place > 0 for place in places), dict(zip(ORDER, places, strict=True))
    assert places == sorted(places), dict(zip(ORDER, places, strict=True))
    assert source(cells(name)[-1]) == "page.about()", "one block ends every page"
    assert text.count("page.about()") == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_a_line_right_under_the_title(name):
    """Title, answer, figure; the question is one line of plain words."""
    box = cells(name)[1]
    assert box["metadata"]["tags"] == ["remove-input", "answer"]
    last = ast.parse(source(box)).body[-1].value
    assert ast.unparse(last.func) == "page.answer"
    question = last.args[0].value
    assert 10 < len(question) <= 100
    assert not set(question) & set("$`{}\\"), "it is shown as it stands"
    assert len(source(cells(name)[0]).strip().splitlines()) == 2, "the title alone; the question at length comes later"


@pytest.mark.parametrize("name", NAMES)
def test_the_figure_follows_the_answer(name):
    kinds = [found for cell, found in shown(code(name)) if cell["id"] != "answer"]
    if any("figure" in found for found in kinds):
        assert "figure" in kinds[0]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_before_the_quick_run_comes_from_it(name):
    """All that is told above the quick run is told of the stored run."""
    seen = [source(c) for c in code(name)]
    start = next(i for i, text in enumerate(seen) if text.startswith("page.quick_run("))
    for text in seen[:start]:
        assert "quick" not in {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}, text


def shown(notebook):
    """(cell, {"figure", "widget"}) of each code cell: what its calls make, by the return types of the functions."""
    known, own = {}, {}
    for cell in notebook:
        for node in ast.walk(tree := ast.parse(source(cell))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("uapkit"):
                home = importlib.import_module(node.module)
                for alias in node.names:
                    found = getattr(home, alias.name, None) or importlib.import_module(f"{node.module}.{alias.name}")
                    known[alias.asname or alias.name] = found
        local = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        own |= {name: made(node, known, own) for name, node in local.items()}
        runs = [node for node in tree.body if node not in local.values()]
        yield cell, set().union(*(made(node, known, own) for node in runs))


def made(node, known, own):
    found = set()
    for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
        match call.func:
            case ast.Name(id=name) if name in own:
                found |= own[name]
            case ast.Name(id=name) if inspect.isfunction(known.get(name)):
                found |= returned(known[name])
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if inspect.ismodule(known.get(name)):
                found |= returned(getattr(known[name], attr))
    return found


def returned(function):
    says = str(inspect.signature(function).return_annotation)
    assert says != "Any", f"{function.__module__}.{function.__name__} must say what it returns"
    return {kind for word, kind in (("Figure", "figure"), ("Frames", "widget")) if word in says}


def alt(cell):
    return cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")


@pytest.mark.parametrize("name", NAMES)
def test_figures_and_nothing_else_have_alt_text(name):
    """Also the other way round: an alt text where the test sees no figure would be one that it could not miss."""
    for cell, kinds in shown(code(name)):
        if "figure" in kinds:
            assert len(alt(cell)) > 20, f"say in the cell's metadata what is seen: {source(cell)}"
        elif not kinds:
            assert not alt(cell), f"an alt text without a figure: {source(cell)}"


def test_a_figure_is_seen_however_it_is_shown():
    lines = {
        "from uapkit.papers.khrulkov2018 import tab1_layers as item\nfrom uapkit.book.page import table": set(),
        "item.figure(full)": {"figure"},
        "if full is not None:\n    for network in full:\n        display(item.figure(full, network))": {"figure"},
        "drawn = item.figure(full) if full else None": {"figure"},
        "def both(run):\n    return item.figure(run), table(run)": set(),
        "display(*both(full))": {"figure"},
        "from uapkit.figures import pictures": set(),
        "pictures.gallery(full.arrays)": {"figure"},
        "from uapkit.figures.widgets import frames\nframes([], title='t')": {"widget"},
        "table(full.rows)": set(),
    }
    notebook = [{"source": [line]} for line in lines]
    assert [kinds for _, kinds in shown(notebook)] == list(lines.values())
