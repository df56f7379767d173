"""The thread of the book: each chapter's list of items, with the verdicts on their claims."""

from __future__ import annotations

from collections import Counter

from uapkit.book import html, scoreboard
from uapkit.book.scoreboard import Record
from uapkit.runner.catalogue import papers
from uapkit.runner.verdicts import VERDICTS


def fragments() -> dict[str, str]:
    """``items_<paper>.md`` for each paper: its items in a list, as a chapter includes it."""
    records = scoreboard.records()
    parts = {key: [r for r in records if r["item"].startswith(f"{key}/")] for key in papers()}
    return {f"items_{key}.md": html.raw(items_list(part, "../../")) for key, part in parts.items()}


def items_list(records: list[Record], up: str) -> str:
    """One line an item: experiment ids, a link to its page, and how many of its claims have which verdict.

    up: the way from the page to the book's root, for the links.
    """
    return f'<ul class="uapkit-items">\n{chr(10).join(_line(r, up) for r in records)}\n</ul>'


def _line(record: Record, up: str) -> str:
    ids = ", ".join(record["experiments"]) or "ours"
    title = html.text(record["title"])
    named = f'<a href="{up}{record["page"]}">{title}</a>' if record["page"] else title
    tally = Counter(claim["verdict"] for claim in record["claims"]) or Counter([record["verdict"]])
    known = [word for word in VERDICTS if word in tally] + [word for word in tally if word not in VERDICTS]
    chips = " ".join(html.badge(word) + (f" × {tally[word]}" if tally[word] > 1 else "") for word in known)
    return f"<li><b>{html.text(ids)}</b> {named} {chips}{html.redo(record)}</li>"
