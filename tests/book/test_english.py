"""Prose in natural order: patterns that editors struck out again and again do not come back."""

import re

import pytest

from uapkit import runner

ROOT = runner.project_root()
PAGES = [*sorted((ROOT / "book").rglob("*.md")), ROOT / "README.md"]
PAGES = [page for page in PAGES if "_generated" not in page.parts and page.name != "style.md"]
STRUCK = {  # what is wrong, and how it looks
    "the verb before its subject": r", (?:says|tells|shows|names) the (?:page|line|table|figure|column|sentence)\b",
    "a clause as the subject": (
        r"(?:^|[.:] )(?:What|How (?:many|much|far))\b[^.?!:;]*\b(?:stands?|is (?:told|said|measured))\b[^.?!]*\."
    ),
    "a sentence that begins with its place": r"(?:^|\. )Beside [^.]*? stands?\b",
    "nobody who tries": r"\b(?:can|could)(?:not| not)? be had\b",
    "nobody who tells": r"\bis (?:not )?told (?:in|by|on)\b",
}


def prose(text):
    """Paragraphs on one line each, without code, mathematics and drawn numbers."""
    text = re.sub(r"^(`{3,4})(?:\{code-block\} )?\w+.*?^\1$", "", text, flags=re.M | re.S)
    text = re.sub(r"\[\[.*?\]\]|\$[^$]+\$|`[^`\n]*`", "X", text)
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=[-|#]|\d+\. )", text)]


def struck(text):
    """(what is wrong, the words) of everything in a page that was struck out before."""
    return [(why, m[0]) for part in prose(text) for why, how in STRUCK.items() for m in re.finditer(how, part)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_struck_patterns_stay_away(page):
    assert struck(page.read_text(encoding="utf-8")) == []


def test_the_patterns_are_those_of_the_style_page():
    rows = re.findall(r"^\| \d+ \| (.+?) \| (.+?) \|", (ROOT / "book" / "style.md").read_text(encoding="utf-8"), re.M)
    assert len(rows) == 10
    caught = {why for before, _ in rows for why, _ in struck(before)}
    assert caught == set(STRUCK), "every pattern has its pair"
    assert [after for _, after in rows if struck(after)] == []


def test_questions_and_code_are_no_faults():
    assert struck("How many images stand behind a rate?\n\n```python\n# What stands here\n```\n") == []
