"""The scoreboard as HTML: one table a paper, plain without JavaScript; ``scoreboard.js`` adds sorting and filters."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import yaml

from uapkit.book import checked, evidence, scoreboard
from uapkit.book.markup import badge, breakable, framed, text
from uapkit.book.scoreboard import Record, describe, number
from uapkit.runner.catalogue import papers, project_root
from uapkit.runner.results import commit
from uapkit.runner.words import VERDICTS, kind

HEAD = ("Id", "Experiment", "Claim: published, ours, verdict", "Networks and n", "Seconds")
ERRATA_HEAD = ("Id", "Claim", "Was", "Is", "Why")
CLAIM_HEAD = ("Id", "Claim", "Published", "Ours, 95 % interval", "Verdict")


@cache
def repository() -> str:
    """Address of the project's files at the commit that the book is built from."""
    config = yaml.safe_load((project_root() / "_config.yml").read_text(encoding="utf-8"))["repository"]
    name, _ = commit()
    return f"{config['url']}/blob/{name if name != 'unknown' else config['branch']}/"


def redo(record: Record, *, why: bool = False) -> str:
    """A mark behind what a stored run says that is to be made again, with the reason where ``why``; else nothing."""
    if not record["stale"]:
        return ""
    reason = f": {text(record['stale'])}" if why else ""
    return f' <span class="uapkit-redo" title="{text(record["stale"])}">to be redone{reason}</span>'


def seconds_of(record: Record) -> str:
    """How long the stored run took; old records say no more than "at most"."""
    if not record["seconds"]:
        return "–"
    return f"{'at most ' if record['seconds_at_most'] else ''}{number(record['seconds'])}"


def ours_of(claim: Record) -> str:
    """What we measured for a claim, the test and the null in one line; the settings one by one unfold."""
    rows = evidence.merged(claim["evidence"])
    if not rows:
        return text(claim["ours"])
    told = evidence.told(claim["evidence"])
    null = f"; null {told['null']}" if told["null"] != "–" else ""
    summary = f"{told['measured']}; test: {text(told['test'])}{null}"
    if len(rows) == 1:
        return f"{breakable(rows[0]['network'])}: {summary}{_of(rows[0]['n'])}"
    lines = "".join(f"<li>{_setting(row)}</li>" for row in rows)
    return f"<details><summary>{summary}; {len(rows)} settings</summary><ul>{lines}</ul></details>"


def _setting(row: Record) -> str:
    null = evidence.null(row)
    beside = f", null {null}" if null != "–" else ""
    said = f"{evidence.measured(row)}, {text(row['test'])}? {text(row['answer'])}{beside}"
    return f"{breakable(row['network'])}: {said}{_of(row['n'])}"


def _of(n: Any) -> str:
    return f"; n = {int(n)}" if isinstance(n, (int, float)) and not math.isnan(n) and n else ""


def _claim(claim: Record, mark: str) -> str:
    theirs = f'<span class="uapkit-theirs">published {text(claim["theirs"])}</span> ' if claim["theirs"] else ""
    tag = f" <small>({evidence.whose(claim)}{_unsure(claim)})</small>" if claim["kind"] != "level" else ""
    ours = ours_of(claim)
    shown = f'<div class="uapkit-ours">ours: {ours}</div>' if ours != "–" else ""
    where = evidence.which(claim["evidence"])
    carried = f" <small>({breakable(where)})</small>" if where else ""
    asked = "ours" if claim["confidence"] == "ours" else "papers"
    keys = f'data-verdict="{text(kind(claim["verdict"]))}" data-whose="{asked if claim["kind"] != "check" else ""}"'
    return f"<li {keys}>{badge(claim['verdict'])}{mark}{carried} {text(claim['text'])}{tag} {theirs}{shown}</li>"


def _unsure(claim: Record) -> str:
    known = claim["confidence"].startswith(("verified", "ours"))
    return "" if known else f"; {text(claim['confidence'])}"


def _claims(record: Record) -> str:
    lines = [f"<li>{redo(record, why=True)}</li>"] if record["stale"] else []
    if record["published"]:
        ours = f'<div class="uapkit-ours">ours: {text(describe(record["ours"]))}</div>' if record["ours"] else ""
        lines.append(f"<li>published {text(describe(record['published']))}{ours}</li>")
    lines += [_claim(claim, redo(record)) for claim in record["claims"]]
    if not record["claims"]:
        lines.append(f"<li>{badge(record['verdict'])}</li>")
    return f'<ul class="uapkit-claims">{"".join(lines)}</ul>'


def _links(record: Record, up: str) -> str:
    """Page, notebook (a copy lies in the book), code and test in the repository, and the hash of the data."""
    found = []
    if record["notebook"]:
        found += [
            f'<a href="{up}{record["page"]}">page</a>',
            f'<a href="{up}_sources/{record["notebook"]}">notebook</a>',
        ]
    for name in ("code", "test", "result"):
        if record[name]:
            found.append(f'<a href="{repository()}{record[name]}">{"stored table" if name == "result" else name}</a>')
    for name, digest in record["data"].items():
        found.append(f'<span title="{text(name)}: sha256 {digest}">data <code>{digest[:10]}</code></span>')
    return " · ".join(found)


def _row(record: Record, up: str) -> str:
    ids = ", ".join(record["experiments"]) or "ours"
    name = f'<a href="{up}{record["page"]}">{text(record["title"])}</a>' if record["page"] else text(record["title"])
    when = (
        f'<br><small class="uapkit-checked">{text(checked.brief(record["verified"]))}</small>'
        if record["commit"]
        else ""
    )
    about = f"{name}<br><code>{breakable(record['item'])}</code><br><small>{_links(record, up)}</small>{when}"
    networks = ", ".join(breakable(n) for n in record["networks"]) or "–"
    sizes = f"<br>n = {record['n']}" if record["n"] else ""
    verdicts = sorted({kind(c["verdict"]) for c in record["claims"]} or {record["verdict"]})
    keys = {
        "paper": record["paper"],
        "verdicts": "|".join(verdicts),
        "order": ids if ids != "ours" else "",
        "title": record["title"],
        "n": record["n"] or "",
        "seconds": record["seconds"] or "",
        "verified": record["verified"]["when"] if record["verified"]["current"] else "",
    }
    data = " ".join(f'data-{k}="{text(v) if v != "" else ""}"' for k, v in keys.items())
    cells = (
        text(ids),
        about,
        _claims(record),
        networks + sizes,
        seconds_of(record),
    )
    body = "".join(f'<td data-label="{text(h)}">{c}</td>' for h, c in zip(HEAD, cells, strict=True))
    return f"<tr {data}>{body}</tr>"


def table(records: list[Record], up: str, label: str) -> str:
    """HTML table of some items, links relative to a page that lies ``up`` from the book's root."""
    header = "".join(f'<th scope="col">{h}</th>' for h in HEAD)
    rows = "\n".join(_row(r, up) for r in records)
    return (
        f'<table class="uapkit-table uapkit-scoreboard" aria-label="{text(label)}"><thead><tr>{header}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>"
    )


def claims_table(records: list[Record], up: str, label: str, wanted: set[tuple[str, str]] | None = None) -> str:
    """Every claim of some items (or the ``wanted`` (item, claim) pairs): words, theirs, ours, verdict, page."""
    rows = []
    for record in records:
        for claim in record["claims"]:
            if wanted is not None and (record["item"], claim["claim"]) not in wanted:
                continue
            ids = ", ".join(record["experiments"]) or "ours"
            where = f'<a href="{up}{record["page"]}">{text(ids)}</a>' if record["page"] else text(ids)
            who = f"{record['paper']}, {claim['source']} ({claim['confidence']})"
            said = f"{text(claim['text'])}<br><small>{text(who)}</small>"
            cells = (where, said, text(claim["theirs"]), ours_of(claim), badge(claim["verdict"]) + redo(record))
            named = zip(CLAIM_HEAD, cells, strict=True)
            marked = ((h, c, " data-empty" if c == "–" else "") for h, c in named)
            rows.append("<tr>" + "".join(f'<td data-label="{h}"{empty}>{c}</td>' for h, c, empty in marked) + "</tr>")
    head = "".join(f'<th scope="col">{h}</th>' for h in CLAIM_HEAD)
    return framed(head, rows, label, "uapkit-claimtable")


def errata_table(records: list[Record], up: str) -> str:
    """Verdicts that changed: the claim, what its verdict was, what it is now, why; a sentence where none did."""
    rows = []
    for record in records:
        where = f"{record['paper']}, {', '.join(record['experiments']) or 'ours'}"
        linked = f'<a href="{up}{record["page"]}">{text(where)}</a>' if record["page"] else text(where)
        for one in record["errata"]:
            now = badge(one["is"]) if kind(one["is"]) in VERDICTS else text(one["is"].replace("_", " "))
            cells = (linked, text(one["text"]), badge(one["was"]), now + redo(record), text(one["why"].strip()))
            named = zip(ERRATA_HEAD, cells, strict=True)
            rows.append("<tr>" + "".join(f'<td data-label="{h}">{c}</td>' for h, c in named) + "</tr>")
    if not rows:
        return "<p>No verdict has changed.</p>"
    head = "".join(f'<th scope="col">{h}</th>' for h in ERRATA_HEAD)
    return framed(head, rows, "verdicts that changed", "uapkit-claimtable")


def fragments() -> dict[str, str]:
    """Files that the book's pages include: each paper's claims, the whole scoreboard, and its errata."""
    found, whole = {}, []
    records = scoreboard.records()
    for key, about in papers().items():
        part = [r for r in records if r["item"].startswith(f"{key}/")]
        found[f"claims_{key}.md"] = raw(claims_table(part, "../../", f"claims of {about['short']}"))
        shown = raw(table(part, "../", f"items of {about['short']}"))
        authors, _, title = about["paper"].partition("), ")
        head = f"{about['short']}: {authors}{')' if title else ''}"
        whole.append(f"### {head}\n\n{title or about['paper']} ({{ref}}`the chapter <{key}/algorithms>`)\n\n{shown}")
    found["scoreboard.md"] = "\n".join(whole)
    found["errata.md"] = raw(errata_table(records, "../"))
    return found


def raw(markup: str) -> str:
    """HTML as a block of a Markdown page."""
    return f"```{{raw}} html\n{markup}\n```\n"
