"""The scoreboard's opening words: counts, findings that stand on verdicts, and all claims by what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import yaml

from uapkit.book import checked, scoreboard
from uapkit.book.html import raw
from uapkit.book.markup import badge, framed
from uapkit.book.prose import REDO, draw
from uapkit.runner.catalogue import papers, project_root
from uapkit.runner.words import SOME, VERDICTS, kind


def findings() -> list[dict[str, Any]]:
    """What held up, fell or surprised us, as ``book/findings.yml`` says it: words, and the verdicts on which they stand."""
    return yaml.safe_load((project_root() / "book" / "findings.yml").read_text(encoding="utf-8"))


def standing(says: str) -> list[str]:
    """The findings of one kind (a key of :data:`SAYS`) whose verdicts are those of the stored results, with their numbers drawn."""
    mine, allowed = [one for one in findings() if one["says"] == says], STANDS_ON.get(says)
    for one in mine:
        if allowed and not all(set(str(word).split(" or ")) <= allowed for word in one["when"].values()):
            raise ValueError(
                f"book/findings.yml: {SAYS[says]!r} stands on {sorted(allowed)} alone, not on {one['when']}"
            )
    return that_stand(mine, "book/findings.yml", "../")


def that_stand(chosen: Iterable[dict[str, Any]], file: str, up: str) -> list[str]:
    """The words of the findings whose verdicts the stored results give now, their numbers drawn; for every page that has such.

    A finding's ``when`` maps "item claim" to a verdict, or a kind of verdict, several joined by " or ". file: where the
    findings stand, for the message of a ValueError; up: the way from the page to the book's root.
    """
    records = scoreboard.records()
    verdicts = {f"{r['item']} {c['claim']}": c["verdict"] for r in records for c in r["claims"]}
    stale = {r["item"] for r in records if r["stale"]}
    found = []
    for one in chosen:
        if unknown := sorted(set(one["when"]) - set(verdicts)):
            raise ValueError(f"{file} names claims that do not exist: {unknown}")
        if all({verdicts[c], kind(verdicts[c])} & set(str(words).split(" or ")) for c, words in one["when"].items()):
            rests = sorted({claim.split(" ")[0] for claim in one["when"]} & stale)
            found.append(draw(one["words"].strip(), up) + (f" *(To be redone: {', '.join(rests)}.)*" if rests else ""))
    return found


COUNTED = (
    "The four papers' {experiments} experiments are {items} items here, {ours} that we added among them: {states}. The papers "
    "make {claims} claims; {judged} of them are judged: {verdicts}. We ask {asked} questions of our own; {asked_judged} of them "
    "are judged: {asked_verdicts}."
)
STATES = (
    ("run", "have a stored full run"),
    ("stale", "of these are to be redone"),
    ("waiting", "have code but no stored run yet"),
    ("planned", "are planned"),
)


def counts() -> dict[str, Any]:
    """The numbers of :data:`COUNTED`: the papers' claims and our own questions apart, each with its verdicts counted."""
    records = scoreboard.records()
    claims = [c for r in records for c in r["claims"] if c["kind"] != "check"]
    has_run = [r for r in records if r["verdict"] not in scoreboard.STATES]
    found: dict[str, Any] = {
        "experiments": len({one for r in records for one in r["experiments"]}),
        "items": len(records),
        "ours": sum(not r["experiments"] for r in records),
        "run": len(has_run),
        "stale": sum(bool(r["stale"]) for r in records),
        "waiting": sum(r["verdict"] == "not run here" for r in records),
        "planned": sum(r["verdict"] == "planned" for r in records),
    }
    for total, judged, verdicts, asked in (
        ("claims", "judged", "verdicts", False),
        ("asked", "asked_judged", "asked_verdicts", True),
    ):
        tally = Counter(kind(c["verdict"]) for c in claims if (c["confidence"] == "ours") == asked)
        found[verdicts] = {w: tally[w] for w in VERDICTS if tally[w] and w not in UNJUDGED}
        found |= {total: sum(tally.values()), judged: sum(found[verdicts].values())}
    return found


UNJUDGED = ("not run here", "planned", "not judged")


def counted(up: str = "") -> str:
    """The counts in words; each verdict links to the scoreboard filtered by it."""
    numbers = counts()
    words = {
        key: ", ".join(
            f'<a href="{up}scoreboard.html?whose={whose}&amp;verdict={word.replace(" ", "%20")}">{word} {count}</a>'
            for word, count in numbers[key].items()
        )
        for key, whose in (("verdicts", "papers"), ("asked_verdicts", "ours"))
    }
    states = ", ".join(
        f"{numbers[key]} {_of_one(what) if numbers[key] == 1 else what}" for key, what in STATES if numbers[key]
    )
    return COUNTED.format(**numbers | words | {"states": states})


def _of_one(words: str) -> str:
    return words.replace("are ", "is ").replace("have ", "has ")


def matrix() -> str:
    """The papers' claims by verdict and paper, our own questions in a column of their own, as a table."""
    claims = [(r["paper"], c) for r in scoreboard.records() for c in r["claims"]]
    short = [about["short"] for about in papers().values()]
    tally = Counter(("ours" if c["confidence"] == "ours" else p, kind(c["verdict"])) for p, c in claims)
    head = "".join(f'<th scope="col">{one}</th>' for one in ("claims", *short, "all four", "our questions"))
    rows = []
    for word in (w for w in VERDICTS if any(tally[p, w] for p in [*short, "ours"])):
        numbers = [tally[p, word] for p in short]
        cells = "".join(f"<td>{n or '–'}</td>" for n in [*numbers, sum(numbers), tally["ours", word]])
        rows.append(f'<tr><th scope="row">{badge(word)}</th>{cells}</tr>')
    return raw(framed(head, rows, "claims by verdict and paper", "uapkit-matrix"))


def _listed(title: str, verdicts: tuple[str, ...]) -> str:
    """Claims with one of the verdicts behind a heading that unfolds, a line each; the words are the papers'."""
    lines = []
    for record in (r for r in scoreboard.records() if r["page"]):
        for claim in (c for c in record["claims"] if kind(c["verdict"]) in verdicts):
            word = "" if verdicts == ("confirmed",) or verdicts == ("undecided",) else f" *({claim['verdict']})*"
            word += REDO if record["stale"] else ""
            asked = ", our question" if claim["confidence"] == "ours" else ""
            lines.append(f"- **{record['paper']}**{asked}: {claim['text']} ({{ref}}`page <{record['item']}>`){word}")
    body = "\n".join(lines) or "Nothing yet."
    return f"````{{admonition}} {title}: {len(lines)}\n:class: dropdown\n\n{body}\n````"


SAYS = {
    "held": "What held up",
    "some": "What held up on some networks only",
    "fell": "What did not hold up",
    "surprised": "What surprised us",
}
STANDS_ON = {"held": {"confirmed"}, "some": {SOME, "depends on the training"}}  # what a finding of a kind may stand on
LISTS = (
    ("held", "All that held up, on every network where it was tested", ("confirmed",)),
    ("some", "All that held up on some", (SOME, "depends on the training")),
    ("fell", "All that did not hold up", ("differs", "not above chance")),
    ("surprised", "What our runs are too small to say", ("undecided",)),
)


def summary() -> str:
    """The scoreboard's opening words: what held up, what did not, what surprised us, each claim a line behind a heading."""
    records = scoreboard.records()
    parts = [counted(), matrix(), checked.counted(records), checked.code_counted(records)]
    for says, title in SAYS.items():
        words = "\n".join(f"- {one}" for one in standing(says)) or "- Nothing yet that stands on a stored run."
        lists = [_listed(head, verdicts) for place, head, verdicts in LISTS if place == says]
        parts += [f"**{title}**\n\n{words}", *lists]
    return "\n\n".join(parts) + "\n"
