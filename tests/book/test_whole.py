"""The whole book as one file: links lead within it, all is open, and a missing browser is one sentence."""

import re
import shutil

import pytest

from uapkit import cli
from uapkit.book import build, whole

PAGES = ["book/index", "notebooks/a/one"]
PAGE = """<html><head><title>T</title><link rel="stylesheet" href="{up}_static/s.css">
<script>window.MathJax = {{}}</script>
<script src="{up}_static/other.js"></script></head><body><article class="bd-article">
<h1>{name}<a class="headerlink" href="#top">#</a></h1>
<p id="top">{body}</p><details><summary>more</summary>folded</details>
<script>gone()</script></article></body></html>"""


@pytest.fixture
def built(tmp_path):
    bodies = {
        "book/index": (
            "../",
            f'{whole.MARK}<a href="../notebooks/a/one.html#top">to it</a> <a href="../x.zip">file</a>',
        ),
        "notebooks/a/one": ("../../", '<a href="../../book/index.html">back</a><img src="../../_images/p.svg">'),
    }
    for page, (up, body) in bodies.items():
        path = tmp_path / f"{page}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(up=up, name=page, body=body), encoding="utf-8")
    return tmp_path


def test_links_lead_within_the_joined_page(built):
    text = whole.joined(built, PAGES)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    inner = re.findall(r'href="#([^"]+)"', text)
    assert len(inner) == 6  # two of the contents, two headings, to it, back
    assert set(inner) <= set(ids)
    assert 'src="_images/p.svg"' in text
    assert 'href="_static/s.css"' in text
    assert "x.zip" not in text, "a PDF holds no files beside it"
    assert text.count("<details open>") == 2
    assert "gone()" not in text
    assert "other.js" not in text
    assert "MathJax" in text


def test_the_quick_run_stays_in_the_browser(built):
    path = built / "notebooks" / "a" / "one.html"
    quick = f"{whole.QUICK}<summary>smoke</summary>quick<details><summary>code</summary>c</details>more</details>after"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("<details>", f"{quick}<details>", 1), encoding="utf-8")
    text = whole.joined(built, PAGES)
    assert "smoke" not in text
    assert "more</details>" not in text
    assert "after<details open>" in text
    assert "has the quick run" in text


def test_a_page_that_is_missing_is_named(built):
    with pytest.raises(FileNotFoundError, match="page book/none was not built"):
        whole.joined(built, [*PAGES, "book/none"])


def test_without_a_browser_one_sentence_comes_before_the_build(monkeypatch, capsys):
    monkeypatch.delenv("UAPKIT_CHROMIUM", raising=False)
    monkeypatch.setattr(whole.shutil, "which", lambda name: None)
    monkeypatch.setattr(build, "make", lambda **settings: pytest.fail("built before the browser was looked for"))
    assert cli.main(["book", "--pdf"]) != 0
    told = capsys.readouterr().err.strip()
    assert told.count("\n") == 0
    assert "no Chromium was found" in told
    assert "UAPKIT_CHROMIUM" in told


def test_the_link_comes_with_the_file_and_goes_with_it(built, monkeypatch):
    def printed(browser, source, made, profile):
        assert source.is_file()
        made.write_bytes(b"%PDF-1.7")

    monkeypatch.setattr(whole, "chromium", lambda: "chromium")
    monkeypatch.setattr(whole, "_print", printed)
    home = built / "book" / "index.html"
    before = home.read_text(encoding="utf-8")
    for _ in range(2):
        assert whole.make(built, PAGES).is_file()
        assert home.read_text(encoding="utf-8").count(f'href="../{whole.NAME}"') == 1
    assert not list(built.glob("*.source.html"))
    whole.withdraw(built)
    assert home.read_text(encoding="utf-8") == before
    assert not (built / whole.NAME).exists()


def test_a_browser_that_prints_nothing_is_an_error(built, monkeypatch):
    monkeypatch.setattr(whole, "chromium", lambda: "chromium")
    monkeypatch.setattr(whole, "_print", lambda *given: None)
    with pytest.raises(RuntimeError, match="printed no PDF"):
        whole.make(built, PAGES)
    assert not (built / whole.NAME).exists()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on the path")
def test_chromium_prints_what_was_joined(built):
    assert whole.make(built, PAGES).read_bytes().startswith(b"%PDF")


def test_a_long_stored_table_is_short_on_paper(built):
    path = built / "notebooks" / "a" / "one.html"
    text = path.read_text(encoding="utf-8")
    head = '<table class="uapkit-table"><thead><tr><th>a</th><th>b</th></tr></thead><tbody>'
    few, many = (
        f"{head}{''.join(f'<tr><td>{k}</td><td>x</td></tr>' for k in range(n))}</tbody></table>" for n in (40, 200)
    )
    whole_table = f'<details class="uapkit-columns"><summary>all 9 columns</summary>{few}</details>'
    path.write_text(text.replace("<details>", f"{few}{many}{whole_table}<details>", 1), encoding="utf-8")
    text = whole.joined(built, PAGES)
    assert text.count("<td>x</td>") == 40 + whole.SHOWN
    assert '<td colspan="2">175 more rows are in the page in the browser.</td>' in text
    assert "all 9 columns" not in text
    assert text.count("<table") == text.count("</table>") == 2
