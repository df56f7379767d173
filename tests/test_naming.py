"""One name finds everything: each item's function, test, notebook, page, published rows and full run."""

import ast
import importlib
import re

import pytest
import yaml

from uapkit import runner
from uapkit.book import pages

ROOT = runner.project_root()
ITEMS = runner.items()
MADE = [name for name, about in ITEMS.items() if about.function is not None]


def test_catalogue_names_are_well_formed():
    for name in ITEMS:
        assert re.fullmatch(r"[a-z]+\d{4}/(fig|tab|sec|thm|ext)\d*_[a-z0-9_]+", name), name


def test_every_function_is_in_the_catalogue():
    for paper in runner.papers():
        if (ROOT / "uapkit" / "experiments" / f"{paper}.py").is_file():
            module = importlib.import_module(f"uapkit.experiments.{paper}")
            unknown = [slug for slug in module.__all__ if f"{paper}/{slug}" not in ITEMS]
            assert not unknown, f"{unknown} of {paper} are not in uapkit/items.yml"
            assert set(module.EVIDENCE) <= set(module.__all__)


def test_every_notebook_and_stored_result_is_of_an_item():
    for folder, suffixes in (("notebooks", (".ipynb", ".full.yml")), ("results", (".csv", ".json", ".npz"))):
        for path in sorted((ROOT / folder).glob("*/*")):
            if path.is_file() and path.name.endswith(suffixes) and path.parent.name != "benchmarks":
                name = path.relative_to(ROOT / folder).as_posix()
                for suffix in suffixes:
                    name = name.removesuffix(suffix)
                assert name in ITEMS, f"{path.relative_to(ROOT)} belongs to no item"


@pytest.mark.parametrize("name", MADE)
def test_item_has_all_its_partners(name):
    about = runner.item(name)
    assert about.path("notebook").is_file(), "no notebook"
    assert f"notebooks/{name}" in pages(), "its page is absent from _toc.yml"
    tests = "".join(path.read_text(encoding="utf-8") for path in about.tests)
    assert f"def test_{about.slug}" in tests, f"no test_{about.slug} in tests/experiments/test_{about.paper}*.py"
    assert about.path("full").is_file(), "no parameters of a full run"
    assert set(runner.full_parameters(about)) <= set(about.parameters), "the full run has parameters the item lacks"


@pytest.mark.parametrize("name", MADE)
def test_claims_have_words_and_evidence_has_claims(name):
    about = runner.item(name)
    rows = runner.reported(about)
    claims = set(rows.loc[rows["kind"] == "order", "metric"])
    evidence = runner.evidence(name)
    assert set(evidence["claim"]) <= claims, "evidence for a claim that reported/ does not state"
    assert all(rows.loc[rows["kind"] == "order", "note"].str.len() > 10)


def test_every_published_row_is_of_an_item_and_complete():
    for paper in runner.papers():
        rows = [r for name in ITEMS if name.startswith(paper) for r in runner.reported(ITEMS[name]).to_dict("records")]
        lines = (ROOT / "reported" / f"{paper}.csv").read_text(encoding="utf-8").count("\n") - 1
        assert len(rows) == lines, f"reported/{paper}.csv has rows of no item"
        for row in rows:
            assert row["kind"] in ("level", "order", "context"), row
            assert row["source"], row
            assert row["confidence"], row
            assert row["kind"] != "level" or float(row["tolerance"]) > 0 or row["value"], row


def test_public_docstrings_of_items_name_their_paper():
    for name in MADE:
        assert runner.item(name).paper in (runner.item(name).function.__doc__ or ""), name


def test_papers_have_a_page_and_a_reference():
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    for paper in runner.papers():
        assert f"book/papers/{paper}" in pages()
        assert f"{{{paper}," in bibliography


def test_theorems_name_tests_that_exist():
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    for sheet in (ROOT / "classroom").rglob("*.ipynb"):  # task sheets name the tests of their notebook
        tests |= set(re.findall(r"\b(test_\w+)", sheet.read_text(encoding="utf-8")))
    for page in (ROOT / "book").rglob("*.md"):
        for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")):
            assert name in tests or (ROOT / "tests" / f"{name}.py").is_file(), f"{page.name} names {name}"


def test_toc_pages_exist():
    for page in pages():
        assert any((ROOT / f"{page}{end}").is_file() for end in (".md", ".ipynb")), page
    assert yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["format"] == "jb-book"
