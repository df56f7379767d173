"""What a glossary term or a reference says, for the small boxes of ``preview.js``: one script, read when a reader first asks.

sphinx-tippy and sphinx-hoverxref do the same for every link of every page. The first parses each page anew, gives its scripts
random names, so that no two builds agree, and loads its library from elsewhere unless it is vendored; the second asks a server.
"""

import json
import re
from pathlib import Path

from sphinx.util import logging

TERMS = re.compile(r'((?:<dt id="term-[^"]*">.*?</dt>\s*)+)<dd>(.*?)</dd>', re.S)
WORKS = re.compile(r'<div class="citation" id="([^"]*)"[^>]*>.*?<p>(.*?)</p>', re.S)
HEADER = re.compile(r'<a class="headerlink".*?</a>', re.S)


def plain(text):
    """What is read of a definition: links are words, for a box that vanishes is no place to click; an id stands once in a page."""
    return re.sub(r"</?a\b[^>]*>", "", re.sub(r' id="[^"]*"', "", HEADER.sub("", text))).strip()


def terms(page):
    """{"glossary.html#term-null": what the glossary says of it}, from the built page."""
    return {
        f"glossary.html#{name}": plain(words)
        for heads, words in TERMS.findall(page)
        for name in re.findall(r'<dt id="([^"]*)">', heads)
    }


def works(page):
    """{"references.html#id5": the work that is cited}, from the built page."""
    return {f"references.html#{name}": plain(words) for name, words in WORKS.findall(page)}


def write(app, exception):
    """Write ``previews.js``; a page without what was looked for is a warning, which fails the build of the book."""
    if exception or app.builder.format != "html":
        return
    found = {}
    for name, read in (("glossary", terms), ("references", works)):
        page = Path(app.outdir, "book", f"{name}.html")
        texts = read(page.read_text(encoding="utf-8")) if page.is_file() else {}
        if not texts:
            logging.getLogger(__name__).warning("previews: %s.html has no entries that could be shown", name)
        found |= texts
    place = Path(app.outdir, "_static", "previews.js")
    place.write_text(f"window.uapkitPreviews = {json.dumps(found, sort_keys=True)};\n", encoding="utf-8")


def setup(app):
    app.connect("build-finished", write, priority=900)  # when the pages have their last form
    return {"parallel_read_safe": True, "parallel_write_safe": True}
