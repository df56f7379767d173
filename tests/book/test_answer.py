"""The box that opens a page: computed from the stored run and its evidence, and saying no more than they do."""

import re

import pandas as pd
import pytest

from uapkit import runner
from uapkit.book import answer
from uapkit.lab import Run

ROWS = pd.DataFrame({"model": ["a", "b", "a"], "fooling_rate": [0.5, 0.25, 0.125], "is_null": [False, False, True]})
RUN = Run.of(ROWS)


def judged(*verdicts, **evidence):
    claims = [
        {"claim": f"c{i}", "kind": "order", "text": f"claim <{i}>", "carried": "1 of 2", "verdict": word}
        for i, word in enumerate(verdicts)
    ]
    table = pd.DataFrame(claims, columns=["claim", "kind", "text", "carried", "verdict"])
    row = {"claim": "c0", "network": "a", "estimate": 0.6, "low": 0.5, "high": 0.7, "sense": ">", "bound": 0.4}
    row |= {"answer": "yes", "n": 10} | evidence
    table.attrs["evidence"] = [row, row | {"network": "b", "estimate": 0.3, "low": 0.2, "high": 0.4, "answer": "no"}]
    return table


def test_the_box_has_question_verdict_number_and_null():
    text = answer.box("How <often>?", judged("holds on 1 of 2", "differs", "differs", null_low=0.1, null_high=0.2), RUN)
    assert "How &lt;often&gt;?" in text
    assert 'data-verdict="holds on 1 of 2"' in text
    assert "for a</span>" in text
    assert "Measured 0.30 to 0.60; the test: above 0.40; the null gives 0.10 to 0.20." in text
    assert "claim &lt;0&gt;" in text
    assert "2 more claims: differs 2" in text
    assert "<em>The claim:</em> <strong>claim" in text, "nobody takes the claim for the finding"
    ours = judged("differs").assign(confidence="ours")
    ours.attrs = judged("differs").attrs
    assert "<em>We asked whether this holds:</em>" in answer.box("How?", ours, RUN)


def test_without_a_null_none_is_named_and_one_estimate_has_its_interval():
    table = judged("confirmed")
    table.attrs["evidence"] = table.attrs["evidence"][:1]
    text = answer.box("How?", table, RUN)
    assert "Measured 0.6\u00a0[0.5,\u00a00.7]; the test: above 0.40.</p>" in text
    assert "more claim" not in text


def test_a_claim_that_is_judged_goes_before_one_that_is_not():
    rows = judged("not judged", "confirmed")
    assert answer.leading(rows)["claim"] == "c1"
    assert answer.leading(judged("not judged"))["claim"] == "c0"
    assert answer.leading(judged()) is None


def test_without_a_claim_rates_stand_beside_their_nulls():
    text = answer.box("How?", judged(), RUN)
    assert "shown, no claim" in text
    assert "Measured fooling rates: 0.25 to 0.50; their nulls: 0.12." in text
    assert "has 1 rows" in answer.rates(Run.of(pd.DataFrame({"x": [1.0]})))


def test_without_a_stored_run_nothing_is_said_of_it():
    text = answer.box("How?", judged("not run here"), None)
    assert "No full run of this item is stored yet" in text
    assert "Measured" not in text


@pytest.mark.parametrize("name", list(runner.items()))
def test_every_item_has_an_answer(name):
    run = runner.stored_run(name)
    text = answer.box("How?", runner.compare(name), run)
    assert not re.search(r"\bnan\b", text)
    claims = runner.compare(name)
    lead = answer.leading(claims[claims["kind"] != "check"])
    word = "not run here" if run is None else "shown, no claim" if lead is None else lead["verdict"]
    assert f'data-verdict="{word}"' in text
