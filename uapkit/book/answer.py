"""The box that opens every item's page: the question in a line, the verdict, one sentence with the number and its null.

Nothing in it is typed but the question: verdict and sentence are computed from the stored run and its evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from uapkit.book.markup import badge, text
from uapkit.lab import Run
from uapkit.runner.words import VERDICTS

RATES = {"fooling_rate": "fooling rates", "error_rate": "error rates", "accuracy": "accuracies"}
ASKED = {">": "more than", "<": "less than", "=": "exactly"}
UNJUDGED = ("not judged", "not run here", "planned")


def box(question: str, judged: pd.DataFrame, run: Run | None) -> str:
    """The box as HTML. judged: the rows of :func:`uapkit.runner.compare`; run: the stored run they were judged by."""
    claims = judged[judged["kind"] != "check"]
    lead = leading(claims)
    if run is None:
        chip, sentence = badge("not run here"), "No full run of this item is stored yet."
    elif lead is None:
        chip, sentence = badge("shown, no claim"), rates(run)
    else:
        mine = [e for e in judged.attrs.get("evidence", []) if e["claim"] == lead["claim"]]
        held = f" <span>holds on {text(lead['carried'])}</span>" if lead["carried"] else ""
        chip, sentence = badge(lead["verdict"]) + held, f"<strong>{text(lead['text'])}.</strong> {numbers(mine)}"
    redo = ' <span class="uapkit-redo">to be redone</span>' if run is not None and run.stale else ""
    rest = others(claims, lead)
    more = f'<p class="uapkit-more"><a href="#claim-by-claim">{rest}</a></p>' if rest else ""
    return (
        f'<div class="uapkit-answer"><p class="uapkit-question">{text(question)}</p>'
        f'<p class="uapkit-chip">{chip}{redo}</p><p>{sentence}</p>{more}</div>'
    )


def leading(claims: pd.DataFrame) -> dict[str, Any] | None:
    """The claim that the box speaks of: the first that is judged, else the first; None where there is none."""
    rows = claims.to_dict("records")
    return next((r for r in rows if r["verdict"] not in UNJUDGED), rows[0] if rows else None)


def others(claims: pd.DataFrame, lead: dict[str, Any] | None) -> str:
    """The verdicts of the other claims, counted: "2 more claims: confirmed 1, differs 1"; "" where there is none."""
    rest = [r["verdict"] for r in claims.to_dict("records") if lead is None or r["claim"] != lead["claim"]]
    counted = ", ".join(f"{word} {rest.count(word)}" for word in VERDICTS if word in rest)
    return f"{len(rest)} more claim{'s' * (len(rest) > 1)}: {counted}" if rest else ""


def numbers(evidence: list[dict[str, Any]]) -> str:
    """Estimates, what the test asks for and what the null gives, in one sentence; what they are of where there are several."""
    if not evidence:
        return "No stored number bears on it."
    one = evidence[0]
    found = span(e["estimate"] for e in evidence)
    if len(evidence) == 1 and not math.isnan(one["low"]) and one["low"] < one["high"]:
        found += f" [{brief(one['low'])}, {brief(one['high'])}]"
    nulls = [e[end] for e in evidence for end in ("null_low", "null_high") if _known(e.get(end))]
    senses = dict.fromkeys(e["sense"] for e in evidence)
    asked = " or ".join(f"{ASKED[s]} {span(e['bound'] for e in evidence if e['sense'] == s)}" for s in senses)
    sentence = f"Measured {found}; the test asks for {asked}"
    return f"{sentence}; the null gives {span(nulls)}." if nulls else f"{sentence}."


def rates(run: Run) -> str:
    """Where nothing is claimed: the rates that were measured beside those of their nulls, else what the table holds."""
    column = next((c for c in RATES if c in run.rows and run.rows[c].notna().any()), None)
    if column is None:
        return f"No claim is judged here; the stored table has {len(run.rows)} rows."
    nulls = run.rows.loc[run.rows["is_null"], column].dropna()
    found = f"Measured {RATES[column]}: {span(run.measured[column].dropna())}"
    return f"{found}; their nulls: {span(nulls)}." if len(nulls) else f"{found}."


def span(values: Iterable[Any]) -> str:
    """The smallest and the largest of some numbers, "0.37 to 0.67", once where they read alike."""
    numbers = [float(v) for v in values if _known(v)]
    if not numbers:
        return "nothing"
    return " to ".join(dict.fromkeys((brief(min(numbers)), brief(max(numbers)))))


def brief(value: float) -> str:
    """Two decimals or two digits, whichever shows more; no more digits than that of large numbers."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0 or abs(value) >= 100 or float(value).is_integer():
        shown = f"{value:.0f}" if abs(value) < 1e6 else f"{value:.1e}"
    else:
        shown = f"{value:.2f}" if 0.1 <= abs(value) < 10 else f"{value:.2g}"
    return shown.replace("-", "−")


def _known(value: Any) -> bool:
    return value is not None and not math.isnan(float(value))
