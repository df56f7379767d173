"""The texts of the previews: what the glossary and the references say, as words without links and without a second id."""

import importlib.util

import pytest

from uapkit import runner

PLACE = runner.project_root() / "book" / "_ext" / "previews.py"


@pytest.fixture(scope="module")
def previews():
    spec = importlib.util.spec_from_file_location("previews", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_terms_that_share_an_entry_both_have_it(previews):
    page = (
        '<dl><dt id="term-a">a<a class="headerlink" href="#term-a">#</a></dt>\n<dt id="term-b">b</dt><dd><p>See '
        '<a href="x.html#y"><span id="id2" class="std">the <em>other</em></span></a>.</p></dd>'
        '<dt id="term-c">c</dt><dd><p>third</p></dd></dl>'
    )
    both = '<p>See <span class="std">the <em>other</em></span>.</p>'
    expected = {"term-a": both, "term-b": both, "term-c": "<p>third</p>"}
    assert previews.terms(page) == {f"glossary.html#{name}": words for name, words in expected.items()}


def test_a_reference_is_its_work(previews):
    page = '<div class="citation" id="id7" role="listitem">\n<span class="label">B</span>\n<p>Boyd. <em>Norms</em>.</p>\n</div>'
    assert previews.works(page) == {"references.html#id7": "Boyd. <em>Norms</em>."}


def test_every_term_of_the_glossary_has_its_text_in_the_built_book(previews):
    page = runner.project_root() / "build" / "staging" / "_build" / "html" / "book" / "glossary.html"
    if not page.is_file():
        pytest.skip("no built book; `make book` makes it")
    text = page.read_text(encoding="utf-8")
    assert len(previews.terms(text)) == text.count('<dt id="term-') > 20
