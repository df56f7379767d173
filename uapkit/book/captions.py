"""What the caption of a figure says first: the finding. Drawn from the verdicts of the stored run, never typed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd

from uapkit import runner
from uapkit.book import answer
from uapkit.lab import Run
from uapkit.runner.catalogue import items


def findings() -> dict[str, dict[str, str]]:
    """By item: the sentence of its first figure under "", and that of each of its claims under the claim's id.

    A cell of a notebook names the claim that its figure shows in its metadata, ``"claim": "dominant_labels"``.
    """
    stored = [name for name, about in items().items() if about.path("json").is_file()]
    return {name: sentences(runner.compare(name), partial(runner.stored_run, name)) for name in stored}


def sentences(judged: pd.DataFrame, load: Callable[[], Run | None]) -> dict[str, str]:
    """The first sentence of captions by claim, and under "" that of the figure which opens the page.

    judged: the rows of :func:`uapkit.runner.compare`; load: gives the run, whose rates are told where nothing is claimed.
    """
    claims = judged[judged["kind"] != "check"]
    found = {row["claim"]: verdict(row["verdict"], row["text"]) for row in claims.to_dict("records")}
    lead = answer.leading(claims)
    if lead is not None:
        return {"": verdict(lead["verdict"], lead["text"])} | found
    run = load()
    told = run is not None and any(column in run.rows for column in answer.RATES)
    return {"": answer.rates(run) if run is not None and told else ""} | found


def verdict(word: str, words: str) -> str:
    """A verdict on a claim as one sentence: "Confirmed: One vector fools more than a tenth of the images."."""
    return f"{word[:1].upper()}{word[1:]}: {words[:1].upper()}{words[1:].rstrip('.')}."
