"""The built book, looked through page by page: links and anchors that lead nowhere, loads from elsewhere, sizes, alt texts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

PAGE_LIMIT = 3_000_000  # bytes of a page with what it alone loads
LOADS = {"object": "data"} | dict.fromkeys(("script", "img", "iframe", "source", "video", "audio", "embed"), "src")
NO_PAGES = ("genindex.html", "search.html", "prf-prf.html")


@dataclass
class Page(HTMLParser):
    """What one page holds: ids, links, what it loads, and pictures without words."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect one tag."""
        found = {k: v or "" for k, v in attrs}
        for key in ("id", "name"):
            if key in found:
                self.ids.add(found[key])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if (
            tag == "link"
            and found.get("href")
            and found.get("rel") not in ("canonical", "index", "search", "next", "prev")
        ):
            self.loads.append(found["href"])
        if tag in LOADS and found.get(LOADS[tag]):
            self.loads.append(found[LOADS[tag]])
        if tag == "img" and "_images/" in found.get("src", "") and len(found.get("alt", "").strip()) < 20:
            self.unnamed.append(found["src"])


def read(path: Path) -> Page:
    """A page, parsed."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@dataclass
class Report:
    """``problems`` in words; ``external`` addresses that a reader may click, listed and never fetched; sizes in bytes."""

    problems: list[str]
    external: list[str]
    pages: dict[str, int]
    total: int


def check(html: Path) -> Report:
    """Look through the book built in the folder ``html``."""
    pages = {
        path.relative_to(html).as_posix(): read(path)
        for path in sorted(html.rglob("*.html"))
        if "_static" not in path.parts
    }
    problems, external, sizes = [], set(), {}
    for name, page in pages.items():
        here = html / name
        size = here.stat().st_size
        for address in dict.fromkeys(page.loads):
            if urlsplit(address).scheme in ("http", "https") or address.startswith("//"):
                problems.append(f"{name} loads {address}")
            elif not address.startswith("data:"):
                file = _target(html, here, address)
                if not file.is_file():
                    problems.append(f"{name} loads {address}, which is not there")
                elif (
                    "_static" not in file.parts or "laboratory" in file.parts
                ):  # the rest is shared by all pages, loaded once
                    size += file.stat().st_size
        sizes[name] = size
        if size > PAGE_LIMIT:
            problems.append(f"{name} weighs {size / 1e6:.1f} MB with what it loads, more than {PAGE_LIMIT / 1e6:.0f}")
        problems += [f"{name} shows {src} without a text that says what is seen" for src in page.unnamed]
        for address in dict.fromkeys(page.links):
            parts = urlsplit(address)
            if parts.scheme:
                external |= {address} if parts.scheme.startswith("http") else set()
                continue
            file = _target(html, here, address) if parts.path else here
            if not file.exists():
                problems.append(f"{name} links to {address}, which is not there")
            elif parts.fragment and file.suffix == ".html":
                known = pages.get(file.relative_to(html).as_posix())
                if known and name not in NO_PAGES and unquote(parts.fragment) not in known.ids:
                    problems.append(f"{name} links to {address}, a place that the page does not have")
    total = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
    return Report(problems, sorted(external), sizes, total)


def _target(html: Path, here: Path, address: str) -> Path:
    path = unquote(urlsplit(address).path)
    base = html if path.startswith("/") else here.parent
    found = (base / re.sub(r"^/", "", path)).resolve()
    return found / "index.html" if found.is_dir() else found


def words(report: Report, *, links: bool = False) -> str:
    """The report for people: total, the heaviest pages, how many external links (all of them with ``links``), problems."""
    heavy = sorted(report.pages.items(), key=lambda one: -one[1])[:5]
    lines = [
        f"{len(report.pages)} pages, {report.total / 1e6:.1f} MB in all; the heaviest: "
        + ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in heavy),
        f"{len(report.external)} external links, none of them loaded and none fetched",
    ]
    lines += [f"  {address}" for address in report.external] if links else []
    return "\n".join([*lines, *(f"problem: {one}" for one in report.problems)])
