"""The whole book as one PDF, without TeX: the built pages joined into one page, everything open, printed by Chromium."""

from __future__ import annotations

import html
import os
import posixpath
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from uapkit.files import write_whole

NAME = "whole_book.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
HOME = "book/index"
MARK = "<!-- uapkit: whole book -->"  # where the home page links the file
LINK = re.compile(re.escape(MARK) + r'<p id="whole-book">.*?</p>', re.S)
LONG, SHOWN = 40, 25  # rows of a table from which on paper shows only the first, and how many
TABLE = re.compile(r"(<table\b(?:(?!<table\b).)*?<tbody>)(.*?)(</tbody>)", re.S)  # the innermost, such as stored runs
ROW = re.compile(r"<tr\b.*?</tr>", re.S)
COLUMNS = re.compile(r'<details class="uapkit-columns">.*?</details>', re.S)  # whole tables, which paper does not show
PATIENCE = 3600  # seconds for the browser; an idle machine needs a few minutes
QUICK = '<details class="uapkit-quick">'  # a smoke test, no finding
LAYOUT = """
@page { size: A4; margin: 17mm 15mm; @bottom-center { content: counter(page); font-size: 9pt; } }
html, body { background: #fff; scrollbar-gutter: auto; }
body { max-width: none; margin: 0; font-size: 10pt; }
article.whole { break-before: page; max-width: none; padding: 0; }
article.whole :is(.headerlink, .copybtn, .toctree-wrapper) { display: none; }
.whole-contents ol { columns: 2; column-gap: 3em; overflow-wrap: anywhere; }
article.whole :is(td details > ul, details.hide.above-input) { display: none; }
/* A soft shadow is printed as a picture and shows nothing; the theme's are important, too, so a name that nothing has must
   outweigh them. Below a thumbnail stands its figure. */
:not(#_), :not(#_)::before, :not(#_)::after { box-shadow: none !important; text-shadow: none !important; }
article.whole .tag_answer .cell_output { display: block; }
article.whole .tag_answer .cell_output img { display: none; }
"""
# A formula is one thing with its source as its name; else every box that it is drawn of would be a tag of the PDF.
NAMED = """<script>window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  for (const one of window.MathJax?.startup?.document?.math ?? []) {
    one.typesetRoot.setAttribute("role", "img");
    one.typesetRoot.setAttribute("aria-label", one.math);
  }
});</script>"""


def chromium() -> str:
    """The browser that prints: ``UAPKIT_CHROMIUM``, else the first on the path. FileNotFoundError where there is none."""
    found = os.environ.get("UAPKIT_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None or shutil.which(found) is None:
        named = f" at {found}" if found else ""
        raise FileNotFoundError(
            f"no Chromium was found{named}, which prints the PDF: install the package `chromium`, or set UAPKIT_CHROMIUM "
            "to a browser's path"
        )
    return found


def make(built: Path, pages: Sequence[str]) -> Path:
    """Print the pages of the built book into ``whole_book.pdf`` beside them, link it from the home page; the file.

    pages: their names without suffix, in order. FileNotFoundError without a browser or a page, RuntimeError if printing fails.
    """
    browser = chromium()
    source = built / "whole_book.source.html"  # beside the pages, whose pictures and styles it uses
    write_whole(source, joined(built, pages).encode())
    try:
        with tempfile.TemporaryDirectory(prefix="uapkit-print-") as place:
            made = Path(place) / NAME
            _print(browser, source, made, Path(place) / "profile")
            data = made.read_bytes() if made.is_file() else b""
    finally:
        source.unlink()
    if not data.startswith(b"%PDF"):
        raise RuntimeError(f"{Path(browser).name} printed no PDF of {len(pages)} pages; try it with a newer Chromium")
    write_whole(built / NAME, data)
    home = built / f"{HOME}.html"
    text = LINK.sub(MARK, home.read_text(encoding="utf-8"))
    up = "../" * HOME.count("/")
    said = f'<p id="whole-book">The whole book <a href="{up}{NAME}">as one PDF</a> ({len(data) / 1e6:.0f} MB).</p>'
    write_whole(home, text.replace(MARK, MARK + said).encode())
    return built / NAME


def withdraw(built: Path) -> None:
    """Take a PDF away that is older than the pages, and its link."""
    (built / NAME).unlink(missing_ok=True)
    home = built / f"{HOME}.html"
    if home.is_file() and LINK.search(text := home.read_text(encoding="utf-8")):
        write_whole(home, LINK.sub(MARK, text).encode())


def joined(built: Path, pages: Sequence[str]) -> str:
    """One page of all pages: links between them lead within it, what is folded is open, scripts but MathJax are gone."""
    if missing := [page for page in pages if not (built / f"{page}.html").is_file()]:
        raise FileNotFoundError(f"page {missing[0]} was not built; run `uapkit book` and look for what failed")
    texts = {page: (built / f"{page}.html").read_text(encoding="utf-8") for page in pages}
    first = pages[0]
    head = re.findall(r'<link[^>]*rel="stylesheet"[^>]*>', texts[first])
    head += [
        s for s in re.findall(r"<script.*?</script>", texts[first], re.S) if "mathjax" in s.partition("</")[0].lower()
    ]
    styles = _within("\n".join(dict.fromkeys(head)), first, frozenset())
    title = re.search(r"<title>(.*?)</title>", texts[first], re.S)
    names = {page: _title(text) or page for page, text in texts.items()}
    contents = "".join(f'<li><a href="#{_slug(page)}">{name}</a></li>' for page, name in names.items())
    known = frozenset(pages)
    body = "\n".join(
        f'<article class="bd-article whole" id="{_slug(page)}">{_within(_article(text), page, known)}</article>'
        for page, text in texts.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{title[1].strip() if title else 'The book'}</title>\n{styles}\n<style>{LAYOUT}</style>\n{NAMED}</head>\n<body>"
        f'<nav class="whole-contents"><h1>{names[first]}</h1><ol>{contents}</ol></nav>\n{body}\n</body></html>\n'
    )


def _print(browser: str, source: Path, made: Path, profile: Path) -> None:
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [browser, "--headless", *root, "--disable-gpu", f"--user-data-dir={profile}", "--no-pdf-header-footer"]
    command += ["--allow-file-access-from-files", "--generate-pdf-document-outline", "--virtual-time-budget=60000"]
    try:
        subprocess.run(
            [*command, f"--print-to-pdf={made}", source.as_uri()], capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(
            f"{Path(browser).name} was still printing the book after {PATIENCE} s and was stopped"
        ) from None


def _slug(page: str) -> str:
    return page.replace("/", "-")


def _title(text: str) -> str:
    """The first heading of a page, as plain words."""
    found = re.search(r"<h1>(.*?)(?:<a class=\"headerlink\"|</h1>)", text, re.S)
    return html.escape(html.unescape(re.sub(r"<.*?>", "", found[1])).strip(), quote=False) if found else ""


def _article(text: str) -> str:
    """What a reader reads of a page: no scripts, no quick run, folded parts open, what is there without JavaScript visible.

    A stored table of thousands of rows would be most of the paper; its first rows stand for it.
    """
    start = text.index(">", text.index('<article class="bd-article"')) + 1
    own = text[start : text.index("</article>", start)]
    own = _without_quick_run(re.sub(r"<script.*?</script>", "", own, flags=re.S))
    own = TABLE.sub(_first_rows, COLUMNS.sub("", own))
    own = re.sub(r"<(/?)noscript>", r"<\1div>", own)
    return re.sub(r"<details(?![^>]*\bopen\b)", "<details open", own)


def _first_rows(table: re.Match[str]) -> str:
    rows = ROW.findall(table[2])
    if len(rows) <= LONG:
        return table[0]
    across = max(len(re.findall(r"<t[dh]\b", row)) for row in rows[:SHOWN])
    more = f"{len(rows) - SHOWN} more rows are in the page in the browser."
    return "\n".join([table[1], *rows[:SHOWN], f'<tr><td colspan="{across}">{more}</td></tr>', table[3]])


def _without_quick_run(own: str) -> str:
    start, depth = own.find(QUICK), 0
    for tag in re.compile(r"<(/?)details\b[^>]*>").finditer(own, max(start, 0)) if start >= 0 else ():
        depth += -1 if tag[1] else 1
        if not depth:
            return own[:start] + "<p>The page in the browser has the quick run.</p>" + own[tag.end() :]
    return own


def _within(text: str, page: str, known: frozenset[str]) -> str:
    """Ids with the page's name before them, links to the joined page, files as they lie from the book's root."""
    here = posixpath.dirname(page)

    def name(found: re.Match[str]) -> str:
        return f' {found[1]}="' + " ".join(f"{_slug(page)}--{one}" for one in found[2].split()) + '"'

    def lead(found: re.Match[str]) -> str:
        key, target = found[1], html.unescape(found[2])
        if re.match(r"[a-z]+:|//", target):
            return found[0]
        path, _, anchor = target.partition("#")
        path = path.partition("?")[0]
        place = posixpath.normpath(posixpath.join(here, path)) if path else f"{page}.html"
        other = place.removesuffix(".html")
        if key == "href" and other in known:
            return f' href="#{_slug(other)}{f"--{anchor}" if anchor else ""}"'
        if key == "href" and known:
            return ""  # a file beside the pages, which a PDF does not hold
        return f' {key}="{html.escape(place)}"'

    text = re.sub(r' (id|name|for|aria-labelledby|aria-describedby|aria-controls)="([^"]*)"', name, text)
    return re.sub(r' (href|src|data)="([^"]*)"', lead, text)
