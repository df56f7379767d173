"""How readable the built book is, measured page by page in Chromium: screens to the answer, tables, lettering.

``python tests/browser/measure.py BUILT book/measured/after.csv`` measures every page of the book built at BUILT, at desktop and
phone size. The book shows the summary (:mod:`uapkit.book.readable`) beside that of ``book/measured/before.csv``.

A *screen* is one height of the window. What is folded away or not visible counts for nothing. A matrix of networks against
networks is one thing, so its columns are not counted. Lettering is the size of a figure's text as the page renders it:
matplotlib writes text as outlines scaled by size / 100, so an SVG tells its sizes in its own units, and the page tells how
large it draws the SVG. Sub- and superscripts are not counted, nor is the small picture in an answer's box, which shows the
shape of the figure below it. A PNG's sizes stand in
its text chunk ``lettering`` (points and dots per inch, written by :mod:`uapkit.figures.output`); one without is not counted.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import pandas as pd
from PIL import Image

from uapkit.book.readable import summary

if TYPE_CHECKING:
    from playwright.sync_api import Browser

READY = "async () => { await window.MathJax?.startup?.promise; await document.fonts.ready; }"
SIZES = {"1280": (1280, 800), "390": (390, 844)}
# Text as outlines: translate, perhaps rotate, and a scale with the vertical axis turned round.
SCALE = re.compile(r'<g transform="translate\([^)]*\)(?: rotate\([^)]*\))? scale\(([\d.]+) -[\d.]+\)')
LOOK = r"""() => {
  const tall = window.innerHeight, main = document.querySelector('article.bd-article') || document.querySelector('main');
  const seen = e => e.checkVisibility({contentVisibilityAuto: true, opacityProperty: true, visibilityProperty: true});
  const at = e => e ? (e.getBoundingClientRect().top + window.scrollY) / tall : null;
  const all = s => [...main.querySelectorAll(s)].filter(seen);
  const big = e => { const r = e.getBoundingClientRect(); return r.width >= 60 && r.height >= 60; };
  const pictures = all('img, svg, canvas').filter(e => big(e) && !e.closest('mjx-container'));
  const heads = all('h2, h3').find(e => e.textContent.trim().startsWith('Claim by claim'));
  const column = t => [...t.querySelectorAll('thead th')].findIndex(h => h.textContent.trim().toLowerCase() === 'verdict');
  const cell = t => { const k = column(t); return k < 0 ? null : t.querySelector(`tbody td:nth-child(${k + 1})`); };
  const cells = all('table').map(cell);
  const verdicts = [...all('.uapkit-verdict'), ...cells.filter(Boolean)].sort((a, b) => at(a) - at(b));
  const first = list => list.length ? Math.min(...list.map(at)) : null;
  const wide = t => { let box = t.parentElement;
    while (box !== main && !['auto', 'scroll', 'hidden'].includes(getComputedStyle(box).overflowX)) box = box.parentElement;
    return t.getBoundingClientRect().width > box.clientWidth + 1; };
  const across = t => Math.max(0, ...[...t.rows].map(r => [...r.cells].reduce((n, c) => n + c.colSpan, 0)));
  return {
    screens: main.getBoundingClientRect().height / tall, picture: first(pictures), verdict: first(verdicts), claims: at(heads),
    tables: all('table').map(t => [t.classList.contains('uapkit-matrix') ? 2 : across(t), wide(t)]),
    images: pictures.filter(e => e.tagName === 'IMG' && !e.closest('.tag_answer'))
      .map(e => [e.currentSrc, e.getBoundingClientRect().width]),
    texts: all('svg text').filter(e => e.textContent.trim()).map(e => {
      const m = e.getScreenCTM(); return parseFloat(getComputedStyle(e).fontSize) * Math.hypot(m.a, m.b); }),
  };
}"""


def lettering_of_svg(text: str) -> tuple[float, float] | None:
    """(smallest size of its text, its width), both in the SVG's own units; None for one without text."""
    sizes = [100 * float(found) for found in SCALE.findall(text)]
    box = re.search(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) [\d.]+"', text)
    return (min(sizes), float(box[1])) if sizes and box else None


@functools.cache
def lettering(path: Path) -> float | None:
    """Smallest text of a picture as a share of the picture's width; None where the file does not tell."""
    if path.suffix == ".svg":
        found = lettering_of_svg(path.read_text(encoding="utf-8"))
        return found and found[0] / found[1]
    if path.suffix != ".png":
        return None
    with Image.open(path) as picture:
        points, _, dpi = picture.info.get("lettering", "").partition(" ")
        return float(points) / 72 * float(dpi) / picture.width if points and dpi else None


def measured(page, built: Path, name: str) -> dict:
    """What one open page shows: a row of the table."""
    found = page.evaluate(LOOK)
    sizes = list(found["texts"])
    for address, width in found["images"]:
        share = lettering(built / unquote(urlparse(address).path).lstrip("/")) if address.startswith("http") else None
        sizes += [share * width] if share else []
    columns = [n for n, _ in found["tables"]]
    return {
        "page": name,
        "screens": round(found["screens"], 2),
        "to_picture": None if found["picture"] is None else round(found["picture"], 2),
        "to_verdict": None if found["verdict"] is None else round(found["verdict"], 2),
        "to_claims": None if found["claims"] is None else round(found["claims"], 2),
        "tables": len(columns),
        "tables_cut": sum(cut for _, cut in found["tables"]),
        "most_columns": max(columns, default=0),
        "tables_over_5_columns": sum(n > 5 for n in columns),
        "figures_with_text": len(sizes),
        "smallest_lettering_px": round(min(sizes), 1) if sizes else None,
        "figures_under_8_px": sum(size < 7.95 for size in sizes),
    }


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the book without a line for each request."""

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(built: Path) -> Iterator[str]:
    """Address of the built book while the block runs."""
    handler = functools.partial(Quiet, directory=str(built))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def opened() -> Iterator[Browser]:
    """A Chromium without a window while the block runs."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("UAPKIT_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    )
    with sync_playwright() as tools:
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = tools.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


def measure(built: Path, names: list[str]) -> pd.DataFrame:
    """All measurements of the named pages, one row a page and width."""
    rows = []
    with serving(built) as home, opened() as browser:
        for width, (across, down) in SIZES.items():
            page = browser.new_page(viewport={"width": across, "height": down})
            page.set_default_timeout(120_000)
            for name in names:
                page.goto(f"{home}/{name}.html", wait_until="load")
                page.evaluate(READY)
                rows.append({"width": width} | measured(page, built, name))
    return pd.DataFrame(rows)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("built", type=Path, help="folder of the built book")
    arguments.add_argument("out", type=Path, help="file to write, .csv")
    given = arguments.parse_args()
    pages = (path.relative_to(given.built).with_suffix("").as_posix() for path in given.built.rglob("*.html"))
    names = sorted(name for name in pages if any((given.built / "_sources").glob(f"{name}.*")))  # not lists and indexes
    table = measure(given.built, names)
    table.to_csv(given.out, index=False)
    for (what, width), value in summary(table).items():
        print(f"{width:>5}  {what}: {value}")


if __name__ == "__main__":
    main()
