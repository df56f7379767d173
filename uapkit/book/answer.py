"""The box that opens every item's page: the question in a line, the verdict, one sentence with the number and its null.

Nothing in it is typed but the question: verdict and sentence are computed from the stored run and its evidence.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from uapkit.book import evidence as shown
from uapkit.book.markup import badge, breakable, text
from uapkit.lab import Run
from uapkit.runner.words import VERDICTS, kind

RATES = {"fooling_rate": "fooling rates", "error_rate": "error rates", "accuracy": "accuracies"}
UNJUDGED = ("not judged", "not run here", "planned")


def box(question: str, judged: pd.DataFrame, run: Run | None, *, waits: bool = False) -> str:
    """The box as HTML. judged: the rows of :func:`uapkit.runner.compare`; run: the stored run they were judged by.

    waits: whether the verdicts are to be redone, see :func:`uapkit.book.waiting.waiting`.
    """
    claims = judged[judged["kind"] != "check"]
    lead = leading(claims)
    if run is None:
        chip, sentence = badge("not run here"), "No full run of this item is stored yet."
    elif lead is None:
        chip, sentence = badge("shown, no claim"), rates(run)
    else:
        mine = [e for e in judged.attrs.get("evidence", []) if e["claim"] == lead["claim"]]
        where = shown.which(mine)
        held = f" <span>{breakable(where)}</span>" if where and where.count(",") < 3 else ""
        chip, sentence = (
            badge(lead["verdict"]) + held,
            f"<em>{_whose(lead)}</em> <strong>{text(lead['text'])}.</strong> {numbers(mine)}",
        )
    redo = ' <span class="uapkit-redo">to be redone</span>' if waits else ""
    rest = others(claims, lead)
    more = f'<p class="uapkit-more"><a href="#claim-by-claim">{rest}</a></p>' if rest else ""
    return (
        f'<div class="uapkit-answer"><p class="uapkit-question">{text(question)}</p>'
        f'<p class="uapkit-chip">{chip}{redo}</p><p>{sentence}</p>{more}</div>'
    )


def _whose(lead: dict[str, Any]) -> str:
    """Words before a claim, lest the bold sentence be read as what was found."""
    return "We asked whether this holds:" if lead.get("confidence") == "ours" else "The claim:"


def leading(claims: pd.DataFrame) -> dict[str, Any] | None:
    """The claim that the box speaks of: the first that is judged, else the first; None where there is none."""
    rows = claims.to_dict("records")
    return next((r for r in rows if r["verdict"] not in UNJUDGED), rows[0] if rows else None)


def others(claims: pd.DataFrame, lead: dict[str, Any] | None) -> str:
    """The verdicts of the other claims, counted: "2 more claims: confirmed 1, differs 1"; "" where there is none."""
    rest = [kind(r["verdict"]) for r in claims.to_dict("records") if lead is None or r["claim"] != lead["claim"]]
    counted = ", ".join(f"{word} {rest.count(word)}" for word in VERDICTS if word in rest)
    return f"{len(rest)} more claim{'s' * (len(rest) > 1)}: {counted}" if rest else ""


def numbers(evidence: list[dict[str, Any]]) -> str:
    """Estimates, what the test asks for and what the null gives, in one sentence."""
    if not evidence:
        return "No stored number bears on it."
    told = {name: text(words) for name, words in shown.told(evidence).items()}
    sentence = f"Measured {told['measured']}; the test: {told['test']}"
    return f"{sentence}; the null gives {told['null']}." if told["null"] != "–" else f"{sentence}."


def rates(run: Run) -> str:
    """Where nothing is claimed: the rates that were measured beside those of their nulls, else what the table holds."""
    column = next((c for c in RATES if c in run.rows and run.rows[c].notna().any()), None)
    if column is None:
        return f"No claim is judged here; the stored table has {len(run.rows)} rows."
    nulls = run.rows.loc[run.rows["is_null"], column].dropna()
    found = f"Measured {RATES[column]}: {shown.span(run.measured[column].dropna())}"
    return f"{found}; their nulls: {shown.span(nulls)}." if len(nulls) else f"{found}."
