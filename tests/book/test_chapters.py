"""Chapters: cells that run, pictures that are drawn, citations made by code, one form for all four papers."""

import re

import pytest

from uapkit import runner
from uapkit.book import chapters

ROOT = runner.project_root()
PAPERS = sorted((ROOT / "book" / "papers").glob("*.md"))
PARTS = ("Problem", "The idea in a picture", "Algorithms", "Try it", "What it means", "Exercises", "Limits", "Items")


@pytest.mark.parametrize("paper", sorted(chapters.try_cells()))
def test_try_it_cells_run_and_print(paper):
    assert len(chapters.output(paper, chapters.try_cells()[paper])) > 20


def test_a_failing_cell_is_named():
    with pytest.raises(RuntimeError, match=r"try/demo.*no such thing"):
        chapters.output("demo", "raise ValueError('no such thing')")


@pytest.mark.parametrize("paper", chapters.pictured())
def test_pictures_are_vector_graphics_and_the_same_each_time(paper):
    data = chapters.picture(paper)
    assert data == chapters.picture(paper)
    assert data.startswith(b"<?xml")
    assert len(data) < 300_000


def test_our_bibtex_is_that_of_the_citation_file():
    text = chapters.our_bibtex()
    assert "the uapkit contributors" in text
    assert "year = {2026}" in text
    assert text.count("{") == text.count("}")


def test_the_four_papers_can_be_cited():
    found = chapters.papers_bibtex()
    assert set(found) == set(runner.papers())
    for key, entry in found.items():
        assert entry.startswith("@")
        assert key in entry
        assert entry.count("{") == entry.count("}")
        assert entry in chapters.citations()["cite.md"]


@pytest.mark.parametrize("page", PAPERS, ids=lambda p: p.stem)
def test_pictures_and_outputs_that_a_chapter_shows_are_made(page):
    text = page.read_text(encoding="utf-8")
    made = {f"idea_{paper}.svg" for paper in chapters.pictured()} | {f"try_{name}.txt" for name in chapters.try_cells()}
    made |= {f"{kind}_{page.stem}.md" for kind in ("items", "claims")}
    assert set(re.findall(r"_generated/([\w.]+)", text)) <= made
    for figure in re.findall(r"```\{figure\}.*?```", text, re.S):
        alt = re.search(r":alt: (.+)", figure)
        assert alt
        assert len(alt.group(1)) > 40


@pytest.mark.parametrize("page", PAPERS, ids=lambda p: p.stem)
def test_every_exercise_has_a_hidden_solution(page):
    text = page.read_text(encoding="utf-8")
    asked = re.findall(r"```\{exercise\}.*\n:label: (\S+)", text)
    solved = re.findall(r"```\{solution\} (\S+)\n:class: dropdown", text)
    assert sorted(asked) == sorted(solved)


def test_the_first_chapter_has_every_part():
    heads = re.findall(r"^## (.+)$", (ROOT / "book" / "papers" / "khrulkov2018.md").read_text(encoding="utf-8"), re.M)
    assert [part for part in PARTS if part not in heads] == []


BLOCKS = re.compile(r"^```(?:\{code-block\} )?\w+\n(.*?)^```", re.M | re.S)
# add_item.md shows templates to authors, whose long lines are explanations
PROSE = [page for page in (ROOT / "book").rglob("*.md") if page.name != "add_item.md"]


@pytest.mark.parametrize("page", PROSE, ids=lambda p: p.stem)
def test_code_of_a_page_is_read_whole(page):
    """What stands in a block of code fits between the two bars of a page that is 1280 points wide."""
    blocks = BLOCKS.findall(page.read_text(encoding="utf-8"))
    assert [line for block in blocks for line in block.splitlines() if len(line) > 77] == []


def test_terms_that_pages_use_are_in_the_glossary():
    glossary = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^(\S.*)\n    ", glossary, re.M))
    for page in (ROOT / "book").rglob("*.md"):
        text = re.sub(r"````md.*?````", "", page.read_text(encoding="utf-8"), flags=re.S)
        for term in re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", text):
            assert term in known, f"{page.name} uses {term!r}"
