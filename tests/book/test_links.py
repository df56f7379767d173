"""The check of the built book finds what is wrong with a small one."""

import pytest

from uapkit.book import links as linkcheck

GOOD = '<html><body><h1 id="top">A</h1><a href="b.html#here">b</a><a href="#top">up</a><a href="https://example.org/x">x</a></body></html>'


@pytest.fixture
def built(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<p id="here"></p><a href="sub/">c</a>')
    (tmp_path / "sub" / "index.html").write_text('<a href="../a.html">a</a>')
    return tmp_path


def test_a_sound_book_has_no_problem(built):
    report = linkcheck.check(built)
    assert report.problems == []
    assert report.external == ["https://example.org/x"]
    assert set(report.pages) == {"a.html", "b.html", "sub/index.html"}
    assert "3 pages" in linkcheck.words(report)
    assert "https://example.org/x" in linkcheck.words(report, links=True)


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ('<a href="c.html">c</a>', "which is not there"),
        ('<a href="b.html#gone">b</a>', "a place that the page does not have"),
        ('<a href="#gone">b</a>', "a place that the page does not have"),
        ('<script src="https://cdn.example.org/x.js"></script>', "loads https://cdn"),
        ('<link rel="stylesheet" href="//cdn.example.org/x.css">', "loads //cdn"),
        ('<img src="missing.png" alt="a long text that says what is seen">', "which is not there"),
        ('<img src="_images/x.png" alt="short">', "without a text"),
        (f"<p>{'x' * 3_100_000}</p>", "weighs 3.1 MB"),
    ],
)
def test_each_fault_is_found(built, markup, words):
    (built / "_images").mkdir()
    (built / "_images" / "x.png").write_bytes(b"x")
    (built / "b.html").write_text(f'<p id="here"></p>{markup}')
    assert any(words in problem for problem in linkcheck.check(built).problems)


def test_a_page_weighs_what_it_loads(built):
    (built / "_images").mkdir()
    (built / "_images" / "x.png").write_bytes(b"x" * 3_000_000)
    (built / "b.html").write_text('<p id="here"></p><img src="_images/x.png" alt="a long text that says what is seen">')
    assert any("b.html weighs" in problem for problem in linkcheck.check(built).problems)


def test_the_laboratory_weighs_what_its_scripts_weigh(built):
    for folder, size in (("vendor/mathjax", 3_000_000), ("vendor/laboratory", 2_900_000)):
        (built / "_static" / folder).mkdir(parents=True)
        (built / "_static" / folder / "a.js").write_bytes(b"x" * size)
    scripts = (f'<script src="_static/vendor/{name}/a.js"></script>' for name in ("mathjax", "laboratory"))
    (built / "b.html").write_text(f'<p id="here"></p>{"".join(scripts)}')
    assert linkcheck.check(built).problems == []
    (built / "_static" / "vendor" / "laboratory" / "a.js").write_bytes(b"x" * 3_000_000)
    assert any("b.html weighs 3.0 MB" in problem for problem in linkcheck.check(built).problems)
