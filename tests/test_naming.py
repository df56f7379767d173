"""One name finds everything: each item's module, test, notebook, page, published rows and full run."""

import ast
import inspect
import re

import pytest
import yaml

from uapkit import runner
from uapkit.book.build import pages
from uapkit.runner.verdicts import STATED

ROOT = runner.project_root()
ITEMS = runner.items()
MADE = [name for name, about in ITEMS.items() if about.function is not None]
# test folders and files that guard no single module: the project, the classroom as a whole, the built book in a browser
OF_THE_WHOLE = {
    "test_imports",
    "test_naming",
    "test_notebooks",
    "test_project",
    "test_results",
    "test_workflow",
    "test_home",
}
OF_THE_WHOLE |= {
    "test_same_with_and_without_store",
    "test_figures",
    "test_own",
    "test_chapter",
    "test_stored_values",
    "test_wheel",
}  # all items, or all of a paper
OF_THE_WHOLE |= {
    "test_english",
    "test_repository",
    "test_metamorphic",
    "test_previews",
    "test_threads",
}  # all prose, all links to the repository, all algorithms, the extension with the previews, all tables
OF_THE_WHOLE_FOLDERS = {
    "docs",
    "mutation",
    "browser",
    "classroom",
    "benchmarks",
    "conformance",
    "faults",
    "fuzz",
    "hostile",
    "independent",
    "release",
}
OF_NO_ITEM = {"benchmarks", "trust", "verified", "quick"}  # folders of results/ that hold no item's run


def test_catalogue_names_are_well_formed():
    for name in ITEMS:
        assert re.fullmatch(r"[a-z]+\d{4}/(fig|tab|sec|thm|ext)\d*_[a-z0-9_]+", name), name


def test_every_module_with_a_run_is_an_item():
    """Any other module of a paper is shared by its items: none is called like an item that the catalogue lacks."""
    for path in (ROOT / "uapkit" / "papers").glob("*/*.py"):
        name = path.relative_to(ROOT / "uapkit" / "papers").with_suffix("").as_posix()
        defined = {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if hasattr(node, "name")}
        assert name in ITEMS or not {"run", "claims"} & defined, f"{name} is not in uapkit/papers/items.yml"
        assert name not in ITEMS or "run" in defined, f"{name} has no run()"


def test_every_test_lies_where_the_package_has_what_it_guards():
    """tests/<folder>/test_<module>.py, or test_<module>_<topic>.py, beside uapkit/<folder>/<module>.py."""
    lost = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place, names = path.relative_to(ROOT / "tests"), path.stem.split("_")[1:]
        if path.stem in OF_THE_WHOLE or place.parts[0] in OF_THE_WHOLE_FOLDERS:
            continue
        beside = (ROOT / "uapkit" / place.parent).glob("*")
        modules = {one.stem for one in beside if one.suffix == ".py" or one.is_dir()}
        if not {"_".join(names[:k]) for k in range(1, len(names) + 1)} & modules:
            lost.append(place.as_posix())
    assert not lost, "these guard no module in the same place of the package"


def test_every_notebook_and_stored_result_is_of_an_item():
    for folder, suffixes in (("notebooks", (".ipynb", ".full.yml")), ("results", (".csv", ".json", ".npz"))):
        for path in sorted((ROOT / folder).glob("*/*")):
            if path.is_file() and path.name.endswith(suffixes) and path.parent.name not in OF_NO_ITEM:
                name = path.relative_to(ROOT / folder).as_posix()
                for suffix in suffixes:
                    name = name.removesuffix(suffix)
                assert name in ITEMS, f"{path.relative_to(ROOT)} belongs to no item"


@pytest.mark.parametrize("name", MADE)
def test_item_has_all_its_partners(name):
    about = runner.item(name)
    assert about.path("notebook").is_file(), "no notebook"
    assert f"notebooks/{name}" in pages(), "its page is absent from _toc.yml"
    assert about.path("module").is_file()
    assert about.path("test").is_file(), "no tests"
    assert f"def test_{about.slug}" in about.path("test").read_text(encoding="utf-8"), f"no test_{about.slug}"
    assert about.path("full").is_file(), "no parameters of a full run"
    assert set(runner.full_parameters(about)) <= set(about.parameters), "the full run has parameters the item lacks"


@pytest.mark.parametrize("name", MADE)
def test_claims_have_words_and_evidence_has_claims(name):
    about = runner.item(name)
    rows = runner.reported(about)
    stated = rows["kind"].isin(STATED)
    claims = set(rows.loc[stated, "metric"])
    evidence = runner.evidence(name)
    assert set(evidence["claim"]) <= claims, "evidence for a claim that reported/ does not state"
    if claims and about.claims is None:
        judged = rows.loc[stated, "confidence"]
        assert not set(judged) & {"verified", "verified-code", "ours"}, "claims that may be judged, and no claims(run)"
    assert about.claims is None or claims, "claims(run) for an item of which reported/ states no claim"
    assert all(rows.loc[stated, "note"].str.len() > 10)


def test_every_published_row_is_of_an_item_and_complete():
    for paper in runner.papers():
        rows = [r for name in ITEMS if name.startswith(paper) for r in runner.reported(ITEMS[name]).to_dict("records")]
        lines = (ROOT / "reported" / f"{paper}.csv").read_text(encoding="utf-8").count("\n") - 1
        assert len(rows) == lines, f"reported/{paper}.csv has rows of no item"
        for row in rows:
            assert row["kind"] in ("level", *STATED, "context"), row
            assert row["source"], row
            assert row["confidence"], row
            assert row["kind"] != "level" or float(row["tolerance"]) > 0 or row["value"], row


def test_public_docstrings_of_items_name_their_paper():
    for name in MADE:
        about = runner.item(name)
        assert about.paper in (inspect.getdoc(about.function) or ""), name


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
            assert name in tests or list((ROOT / "tests").rglob(f"{name}.py")), f"{page.name} names {name}"


def test_toc_pages_exist():
    for page in pages():
        assert any((ROOT / f"{page}{end}").is_file() for end in (".md", ".ipynb")), page
    assert yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["format"] == "jb-book"
