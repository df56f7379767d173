"""Evidence in one form wherever it is shown: what was measured with its interval, the test, the answer, the null.

A row of evidence is a dict as :func:`uapkit.runner.compare` gives it. An interval is never printed as one side of an
inequality that it does not satisfy: the test and its answer stand apart from the number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uapkit.book.markup import badge, breakable, framed, text
from uapkit.runner.words import YES, worst

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
HEAD = ("Setting", "Measured, 95 % interval", "Test", "Answer", "Null")
CLAIM_HEAD = {
    "Verdict": "verdict",
    "Claim": "",
    "Measured": "interval",
    "Test": "our-test",
    "Null": "null",
}  # to the glossary
SIDES = {">": "above", "<": "below", "=": "equal to"}
WHOSE = {
    "paper": "the paper's own number is the test",
    "ours": "our test of the paper's words",
    "question": "our question, our test",
}


def whose(claim: Row) -> str:
    """Whose test a claim is judged by, in words."""
    return WHOSE["question" if claim["confidence"] == "ours" else claim.get("test") or "ours"]


def measured(row: Row) -> str:
    """``0.60 [0.57, 0.62]``, to the digits that the interval supports; without one the value alone."""
    value, low, high = (float(row[k]) for k in ("estimate", "low", "high"))
    return interval(value, low, high)


def interval(value: float, low: float, high: float) -> str:
    """A number with its interval, both to the digits that the interval supports; an end that is not known is left out."""
    if not _known(low) or not _known(high) or low == high:
        return brief(value)
    half = (high - low) / 2
    decimals = max(0, math.ceil(-math.log10(half) - 1e-9)) if math.isfinite(half) else 2
    shown = (f"{v:.{decimals}f}" if math.isfinite(v) else brief(v) for v in (value, low, high))
    first, lower, upper = (s.replace("-", "−") for s in shown)
    return f"{first}\u00a0[{lower},\u00a0{upper}]"


def null(row: Row) -> str:
    """The null's value with its interval and, where networks have several, its name; a dash where there is none."""
    if not _known(row.get("null")) and not _known(row.get("null_low")):
        return "–"
    found = interval(*(float(row[k]) for k in ("null", "null_low", "null_high")))
    return f"{found}, {row['null_name']}" if row.get("null_name") else found


def merged(evidence: Iterable[Row]) -> list[Row]:
    """One row a setting: its tests in words under "test", the worst of their answers under "answer"."""
    found: dict[str, Row] = {}
    for row in evidence:
        one = found.setdefault(row["network"], {**row, "tests": []})
        one["tests"].append((row["sense"], float(row["bound"])))
        one["answer"] = worst(one["answer"], row["answer"])
    return [{**row, "test": _test(row["tests"])} for row in found.values()]


def _test(tests: list[tuple[str, float]]) -> str:
    sides = dict(tests)
    if set(sides) == {">", "<"} and len(tests) == 2:
        return f"between {brief(sides['>'])} and {brief(sides['<'])}"
    return " and ".join(f"{SIDES[sense]} {brief(bound)}" for sense, bound in tests)


def told(evidence: list[Row]) -> dict[str, str]:
    """All settings of a claim in short: what was measured, the test, and the null, each once or as a range."""
    rows = merged(evidence)
    if not rows:
        return {"measured": "–", "test": "–", "null": "–"}
    one, tests = rows[0], list(dict.fromkeys(row["test"] for row in rows))
    senses = {row["sense"] for row in evidence}
    test = tests[0] if len(tests) == 1 else ""
    if not test:
        test = " or ".join(
            f"{SIDES[s]} {span(e['bound'] for e in evidence if e['sense'] == s)}" for s in sorted(senses)
        )
    nulls = [e.get(end) for e in evidence for end in ("null_low", "null_high") if _known(e.get(end))]
    kinds = " or ".join(dict.fromkeys(e["null_name"].split(" (")[0] for e in evidence if e.get("null_name")))
    return {
        "measured": measured(one) if len(rows) == 1 else span(row["estimate"] for row in rows),
        "test": test,
        "null": null(one) if len(rows) == 1 else span(nulls) + f" ({kinds})" * bool(kinds) if nulls else "–",
    }


def which(evidence: list[Row]) -> str:
    """Where a claim holds and where it does not, the shorter list by name: "not for a, b"; "" where all or none agree."""
    rows = merged(evidence)
    yes, rest = [r["network"] for r in rows if r["answer"] == YES], [r for r in rows if r["answer"] != YES]
    if not yes or not rest:
        return ""
    if len(yes) <= len(rest):
        return f"for {', '.join(yes)}"
    return f"not for {', '.join(r['network'] for r in rest)}"


def claims(judged: pd.DataFrame, label: str, *, after: str = "") -> str:
    """The claims of :func:`uapkit.runner.compare` as an HTML table, the settings of each unfolding below it.

    after: a remark behind each verdict, for example that the run is to be redone.
    """
    rows = []
    for claim in judged.to_dict("records"):
        mine = [e for e in judged.attrs.get("evidence", []) if e["claim"] == claim["claim"]]
        short = told(mine)
        if claim["kind"] == "level":
            short |= {"measured": text(claim["ours"]), "test": "the published number"}
        theirs = f"published {text(claim['theirs'])}; " if claim["theirs"] else ""
        where = which(mine)
        about = f"<small>{theirs}{text(claim['source'])} ({text(claim['confidence'])})</small>"
        cells = (
            badge(f"{claim['verdict']}{after}") + (f"<br><small>{breakable(where)}</small>" if where else ""),
            f"{text(claim['text'])}<br>{about}",
            short["measured"],
            f"{text(short['test'])}<br><small>{whose(claim)}</small>" if mine else text(short["test"]),
            text(short["null"]),
        )
        rows.append(f"<tr>{''.join(map(_cell, CLAIM_HEAD, cells))}</tr>")
        if len(merged(mine)) > 1:
            inner = table(mine, f"settings of {claim['claim']}")
            words = f"{len(merged(mine))} settings, one by one"
            rows.append(
                f'<tr class="uapkit-unfold"><td colspan="5"><details><summary>{words}</summary>{inner}</details></td></tr>'
            )
    head = "".join(f'<th scope="col">{_explained(*one)}</th>' for one in CLAIM_HEAD.items())
    return framed(head, rows, label, "uapkit-claimtable")


def _explained(head: str, term: str) -> str:
    """A head of an item's table of claims, linked to the word's entry in the glossary."""
    return f'<a href="../../book/glossary.html#term-{term}">{head}</a>' if term else head


def _cell(head: str, cell: str) -> str:
    empty = " data-empty" if cell == "–" else ""
    return f'<td data-label="{head}"{empty}>{cell}</td>'


def table(evidence: list[Row], label: str) -> str:
    """Every setting of a claim as an HTML table."""
    rows = []
    for r in merged(evidence):
        cells = (breakable(r["network"]), measured(r), text(r["test"]), text(r["answer"]), text(null(r)))
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return framed("".join(f'<th scope="col">{h}</th>' for h in HEAD), rows, label)


def span(values: Iterable[Any]) -> str:
    """The smallest and the largest of some numbers, "0.37 to 0.67", once where they read alike."""
    numbers = [float(v) for v in values if _known(v)]
    if not numbers:
        return "–"
    return " to ".join(dict.fromkeys((brief(min(numbers)), brief(max(numbers)))))


def brief(value: float) -> str:
    """Two decimals or two digits, whichever shows more; no more digits than that of large numbers."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"  # also for -0.0
    if abs(value) >= 100 or float(value).is_integer():
        shown = f"{value:.0f}" if abs(value) < 1e6 else f"{value:.1e}"
    else:
        shown = f"{value:.2f}" if 0.1 <= abs(value) < 10 else f"{value:.2g}"
    return shown.replace("-", "−")


def _known(value: Any) -> bool:
    return value is not None and not math.isnan(float(value))
