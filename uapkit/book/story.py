"""The thread of the book: each chapter's list of items, and what the home page says was found, run and not run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from uapkit.book import html, opening, scoreboard
from uapkit.book.scoreboard import Record
from uapkit.figures.style import short
from uapkit.runner.catalogue import papers, project_root
from uapkit.runner.words import VERDICTS, kind

SHOWN = 5  # findings on the home page


def fragments() -> dict[str, str]:
    """``items_<paper>.md`` for each chapter, and the parts of the home page, ``home_<part>.md``."""
    records = scoreboard.records()
    parts = {key: [r for r in records if r["item"].startswith(f"{key}/")] for key in papers()}
    found = {f"items_{key}.md": html.raw(items_list(part, "../../")) for key, part in parts.items()}
    numbered = "".join(f"{k}. {one}\n" for k, one in enumerate(findings(), 1))
    home = {"findings": numbered, "ran": ran(), "not_run": not_run(), "counts": counts()}
    return found | {f"home_{name}.md": text for name, text in home.items()}


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


def findings() -> list[str]:
    """The home page's findings whose verdicts the stored results give, numbers drawn, the first five; from ``book/home.yml``."""
    return opening.that_stand(_home()["findings"], "book/home.yml", "")[:SHOWN]


def ran() -> str:
    """For each paper how many of its own networks have a stored run here, and which networks stand in."""
    lines, about = [], _home()
    for key, theirs in about["networks"].items():
        stored = {n for r in scoreboard.records() if r["item"].startswith(f"{key}/") for n in r["networks"]}
        own = [name for name, spec in theirs.items() if spec in stored]
        others = sorted(
            {
                short(n)
                for n in stored - {*theirs.values(), *about["drawn"]}
                if not any(n.startswith(f"{s}_") for s in stored)
            }
        )
        note = about["trained_here"].get(key, "")
        said = f"{len(own)} of {len(theirs)}" + (f" ({', '.join(own)}{'; ' + note if note else ''})" if own else "")
        lines.append(f"| {papers()[key]['short']} | {', '.join(theirs)} | {said} | {', '.join(others) or '–'} |")
    return (
        "\n".join(["| | the paper's networks | run here | what else runs here |", "|---|---|---|---|", *lines]) + "\n"
    )


def not_run() -> str:
    """Items without a stored run behind a heading that unfolds, or a sentence where there is none."""
    waiting = [r for r in scoreboard.records() if r["verdict"] in scoreboard.STATES and r["page"]]
    if not waiting:
        return "Every item has a stored run.\n"
    lines = "\n".join(f"- **{r['paper']}** {{ref}}`{r['title']} <{r['item']}>`" for r in waiting)
    return f":::{{dropdown}} Not run yet: {len(waiting)} of {len(scoreboard.records())} pages\n{lines}\n:::\n"


def counts() -> str:
    """Claims by verdict, the papers' apart from our questions; checks of what holds by construction are neither."""
    claims = [c for r in scoreboard.records() for c in r["claims"] if c["kind"] != "check"]
    tally = Counter((kind(c["verdict"]), c["confidence"] == "ours") for c in claims)
    lines = [
        f"| {word} | {tally[word, False] or '–'} | {tally[word, True] or '–'} |"
        for word in VERDICTS
        if tally[word, False] or tally[word, True]
    ]
    all_of = [sum(n for (_, ours), n in tally.items() if ours is whose) for whose in (False, True)]
    head = ["| verdict | claims of the papers | questions of ours |", "|---|---:|---:|"]
    return "\n".join([*head, *lines, f"| **all** | **{all_of[0]}** | **{all_of[1]}** |"]) + "\n"


def _home() -> dict[str, Any]:
    return yaml.safe_load((project_root() / "book" / "home.yml").read_text(encoding="utf-8"))
