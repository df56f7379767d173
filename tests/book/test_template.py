"""A new item's first notebook: what every page must have, from the module alone; and the worked example of the guide runs."""

import ast
import importlib.util
import json
import re

import nbformat
import pytest
import yaml

from uapkit import runner
from uapkit.book import template
from uapkit.lab import Run

ROOT = runner.project_root()
NAME = "khrulkov2018/tab1_layers"


def test_parameters_are_written_as_a_notebook_can_run_them():
    for value in (float("inf"), [2.0, float("inf")], ["a", '"b"'], [[1], None], True, "é"):
        assert eval(template.written(value), {"float": float}) == value


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    monkeypatch.setenv("UAPKIT_ROOT", str(tmp_path))
    return tmp_path


def test_the_notebook_has_the_cells_of_every_page(project):
    notebook, full = template.write(NAME)
    nbformat.validate(nbformat.read(notebook, as_version=4))
    made = json.loads(notebook.read_text())["cells"]
    finished = json.loads((ROOT / "notebooks" / f"{NAME}.ipynb").read_text())["cells"]
    wanted = [line for cell in finished for line in cell["source"] if line.startswith(("page", "quick", "from", "## "))]
    found = [line for cell in made for line in cell["source"]]
    own = [line for line in found if line.startswith("page.answer(")]  # its question is the author's
    assert len(own) == 1
    assert [line for line in wanted if line not in found and not line.startswith("page.answer(")] == []
    given = {}
    parameters = next(cell for cell in made if cell["metadata"].get("tags") == ["parameters"])
    for node in ast.parse("".join(parameters["source"])).body:
        given[node.target.id] = eval(compile(ast.Expression(node.value), NAME, "eval"), {"float": float})
    assert given.pop("save") is False
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in runner.item(NAME).parameters.items()}
    assert given == plain == yaml.safe_load(full.read_text())
    drawn = [cell for cell in made if "item.figure" in "".join(cell["source"])]
    assert len(drawn) == 2
    assert all(len(cell["metadata"]["mystnb"]["image"]["alt"]) > 20 for cell in drawn)


def test_nothing_is_overwritten(project):
    template.write(NAME)
    with pytest.raises(ValueError, match=rf"notebooks/{NAME}\.ipynb and .*\.full\.yml would be overwritten"):
        template.write(NAME)


def test_without_a_module_there_is_no_page(project, monkeypatch):
    monkeypatch.setattr(type(runner.item(NAME)), "module", property(lambda self: None))
    with pytest.raises(ValueError, match=rf"uapkit/papers/{NAME}\.py with run\(\) and figure\(\) comes first"):
        template.write(NAME)


def test_the_worked_example_of_the_guide_runs_and_passes_its_own_test(tmp_path, monkeypatch):
    text = (ROOT / "book" / "add_item.md").read_text(encoding="utf-8")
    code, test = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)[:2]
    (tmp_path / "ext_example.py").write_text(code)
    spec = importlib.util.spec_from_file_location("ext_example", tmp_path / "ext_example.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "ext_example", module)
    spec.loader.exec_module(module)
    test = test.replace("from uapkit.papers.khrulkov2018 import ext_example", "import ext_example")
    names = {}
    exec(compile(test, "test of the worked example", "exec"), names)
    names["test_ext_example"]()
    stated = re.search(r"^khrulkov2018/ext_example,,(\w+),", text, re.M).group(1)
    assert {one.name for one in module.claims(Run.of(module.run(n_eval=50, n_random=1)))} == {stated}
