"""What the book's chapters draw when it is built: pictures of ideas, outputs of "try it" cells, citations."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import re
import textwrap

import yaml

from uapkit.book import benchmarks
from uapkit.figures.output import as_svg
from uapkit.runner.catalogue import papers, project_root

TRY = re.compile(r"^```\{code-block\} python\n:name: try/(\w+)\n(?::.*\n)*(.*?)^```", re.M | re.S)


def try_cells() -> dict[str, str]:
    """The "try it" code of each chapter that has one, by paper."""
    pages = sorted((project_root() / "book" / "papers").glob("*.md"))
    return {key: code for page in pages for key, code in TRY.findall(page.read_text(encoding="utf-8"))}


def output(name: str, code: str) -> str:
    """What a chapter's cell prints; RuntimeError naming the chapter if it fails."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"try it, book/papers/{name}.md", "exec"), {"__name__": "__try__"})
    except Exception as error:
        raise RuntimeError(f"the cell try/{name} of book/papers/{name}.md fails: {error}") from error
    return printed.getvalue()


def pictured() -> list[str]:
    """The papers whose idea is drawn: those with a module ``uapkit.papers.<paper>.idea`` that has ``figure()``."""
    return [paper for paper in papers() if importlib.util.find_spec(f"uapkit.papers.{paper}.idea")]


def picture(paper: str) -> bytes:
    """The idea of a paper as SVG."""
    return as_svg(importlib.import_module(f"uapkit.papers.{paper}.idea").figure(), paper)


def our_bibtex() -> str:
    """BibTeX of this project, from ``CITATION.cff``."""
    about = yaml.safe_load((project_root() / "CITATION.cff").read_text(encoding="utf-8"))
    names = [one.get("name") or f"{one['family-names']}, {one['given-names']}" for one in about["authors"]]
    config = yaml.safe_load((project_root() / "_config.yml").read_text(encoding="utf-8"))
    fields = {
        "author": " and ".join(f"{{{name}}}" if "," not in name else name for name in names),
        "title": f"{{{about['title']}}}",
        "year": str(about["date-released"])[:4],
        "version": about["version"],
        "url": about.get("repository-code") or config["repository"]["url"],
    }
    return "@software{uapkit,\n" + ",\n".join(map(_field, fields.items())) + "\n}"


def _field(pair: tuple[str, str]) -> str:
    """``name = {value}``, broken over lines that a page can show whole."""
    return textwrap.fill(f"  {pair[0]} = {{{pair[1]}}}", 64, subsequent_indent="    ", break_on_hyphens=False)


def papers_bibtex() -> dict[str, str]:
    """The entries of the four papers as they stand in ``book/references.bib``, by key."""
    text = (project_root() / "book" / "references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^(@\w+\{(\w+),.*?^\})", text, re.M | re.S)
    return {key: entry for entry, key in entries if key in papers()}


def citations() -> dict[str, str]:
    """The "cite this" boxes: ``cite.md`` with ours and each paper, ``cite_ours.md`` with ours alone."""
    own = ("This book and its package", our_bibtex())
    all_four = [(f"{papers()[k]['short']}: {papers()[k]['paper']}", entry) for k, entry in papers_bibtex().items()]

    def box(entries: list[tuple[str, str]], end: str = "") -> str:
        shown = "\n\n".join(f"**{title}**\n\n```{{code-block}} bibtex\n{entry}\n```" for title, entry in entries)
        return f"````{{admonition}} Cite this\n:class: tip\n\n{shown}\n{end}````\n"

    papers_too = "\nCite the paper whose experiment you use, too: {ref}`their entries <cite>`.\n"
    return {"cite.md": box([own, *all_four]), "cite_ours.md": box([own], papers_too)}


def fragments() -> dict[str, bytes]:
    """Files that pages include from ``book/_generated``."""
    found = {f"idea_{paper}.svg": picture(paper) for paper in pictured()}
    found |= {f"try_{name}.txt": output(name, code).encode() for name, code in try_cells().items()}
    return found | {name: text.encode() for name, text in (citations() | benchmarks.fragments()).items()}
