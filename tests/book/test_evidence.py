"""Evidence in one form: a number with its interval, the test, the answer, the null; no inequality that is false as it stands."""

import re

import pandas as pd
import pytest

from uapkit import runner
from uapkit.book import evidence

ROW = {"claim": "c", "network": "a", "estimate": 0.596, "low": 0.572, "high": 0.618, "sense": "<", "bound": 0.5}
ROW |= {"answer": "no", "n": 10, "null": 0.41, "null_low": 0.4, "null_high": 0.42}


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.369, "0.37"), (0.0192, "0.019"), (49900, "49900"), (-0.5, "\u22120.50"), (float("inf"), "∞"), (0.0, "0")],
)
def test_numbers_are_short(value, words):
    assert evidence.brief(value) == words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0.596, 0.572, 0.618), "0.60 [0.57, 0.62]"),
        ((0.1314, 0.1271, 0.1353), "0.131 [0.127, 0.135]"),
        ((49900.4, 48000.2, 52000.9), "49900 [48000, 52001]"),
        ((0.5, 0.5, 0.5), "0.50"),
        ((0.5, float("nan"), float("nan")), "0.50"),
    ],
)
def test_digits_are_those_that_the_interval_supports(given, words):
    assert evidence.interval(*given).replace("\u00a0", " ") == words


def test_columns_say_one_thing_each():
    text = evidence.table([ROW], "x")
    assert re.findall("<td>(.*?)</td>", text) == [
        "a", "0.60\u00a0[0.57,\u00a00.62]", "below 0.50", "no", "0.41\u00a0[0.40,\u00a00.42]"
    ]  # fmt: skip
    assert re.findall('<th scope="col">(.*?)</th>', text) == list(evidence.HEAD)
    assert len(evidence.HEAD) == len(evidence.CLAIM_HEAD) == 5


def test_a_null_that_differs_between_networks_is_named():
    rows = [ROW | {"null_name": "random signs"}, ROW | {"network": "b", "null_name": "best pattern (checks, period 4)"}]
    assert evidence.null(rows[1]) == "0.41\u00a0[0.40,\u00a00.42], best pattern (checks, period 4)"
    assert evidence.told(rows)["null"] == "0.40 to 0.42 (random signs or best pattern)"
    assert evidence.told(rows[:1])["null"] == evidence.null(rows[0])


def test_two_tests_of_one_setting_are_one_row():
    low = ROW | {"sense": ">", "bound": 0.75, "answer": "yes"}
    (one,) = evidence.merged([low, low | {"sense": "<", "bound": 1.25, "answer": "open"}])
    assert (one["test"], one["answer"]) == ("between 0.75 and 1.25", "open")


def test_the_shorter_list_of_settings_is_named():
    rows = [ROW | {"network": name, "answer": answer} for name, answer in zip("abc", ("yes", "no", "yes"), strict=True)]
    assert evidence.which(rows) == "not for b"
    assert evidence.which(rows[:2]) == "for a"
    assert evidence.which([rows[0]]) == evidence.which([rows[1]]) == ""


def test_whose_test_it_is_is_said():
    assert "paper's own number" in evidence.whose({"confidence": "verified", "test": "paper"})
    assert "our test" in evidence.whose({"confidence": "verified", "test": "ours"})
    assert "our question" in evidence.whose({"confidence": "ours", "test": "ours"})


@pytest.mark.parametrize("name", list(runner.items()))
def test_every_null_that_decides_is_shown(name):
    judged = runner.compare(name)
    text = evidence.claims(judged, "x")
    assert not re.search(r"\bnan\b", text)
    for claim in judged.to_dict("records"):
        mine = [e for e in judged.attrs["evidence"] if e["claim"] == claim["claim"]]
        if any(e["answer"] == "the null too" for e in mine):
            assert evidence.told(mine)["null"] != "–"
    assert text.count("uapkit-verdict") == len(judged)


def test_markup_in_data_stays_text():
    claim = {
        "claim": "c",
        "kind": "order",
        "text": "<b>",
        "theirs": "",
        "ours": "",
        "carried": "",
        "verdict": "differs",
    }
    judged = pd.DataFrame([claim | {"confidence": "verified", "source": "<i>", "test": "ours", "networks": "a"}])
    judged.attrs["evidence"] = [ROW | {"network": "<u>"}, ROW | {"network": "<s>", "answer": "yes"}]
    text = evidence.claims(judged, "x")
    assert not re.search("<[bius]>", text)
