"""The page "What holds" draws the stored evidence of claims that exist, every setting once, at its place."""

import math
import re

import pytest

from uapkit.book import scoreboard, what_holds
from uapkit.book.evidence import merged

ROW = {"network": "a", "estimate": 0.5, "low": 0.4, "high": 0.6, "sense": ">", "bound": 0.3, "answer": "yes"}
NULL = {"null": 0.1, "null_low": 0.0, "null_high": 0.2}
NONE = dict.fromkeys(NULL, math.nan)


def claims():
    return {(r["item"], c["claim"]): c for r in scoreboard.records() for c in r["claims"]}


def test_the_headlines_are_about_a_dozen_and_have_evidence():
    chosen = [one for rows in what_holds.headlines().values() for one in rows]
    assert 10 <= len(chosen) <= 16
    assert len({(one["item"], one["claim"]) for one in chosen}) == len(chosen)
    known = claims()
    assert all(known[one["item"], one["claim"]]["evidence"] for one in chosen)
    assert set(what_holds.headlines()) == {"moosavi2017", "khrulkov2018", "equivariant2019", "jetley2018"}


def test_every_setting_has_one_lane_and_its_stored_number():
    page = what_holds.fragments()["what_holds.md"]
    known = claims()
    wanted = [known[one["item"], one["claim"]] for rows in what_holds.headlines().values() for one in rows]
    assert page.count("<g>") == sum(len(merged(claim["evidence"])) for claim in wanted) + 1, "and the key's"
    for claim in wanted:
        assert f'data-verdict="{claim["verdict"]}"' in page


@pytest.mark.parametrize(
    ("written", "match"),
    [
        ("moosavi2017:\n- {claim: moosavi2017/tab2_transfer none, measured: a rate}\n", "no claim"),
        ("khrulkov2018:\n- {claim: moosavi2017/tab2_transfer transfers, measured: a rate}\n", "no claim"),
        ("nobody:\n- {claim: moosavi2017/tab2_transfer transfers, measured: a rate}\n", "no paper"),
    ],
)
def test_a_claim_that_does_not_exist_is_refused(monkeypatch, tmp_path, written, match):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "what_holds.yml").write_text(written)
    known = scoreboard.records()
    monkeypatch.setattr(scoreboard, "records", lambda: known)
    monkeypatch.setattr(what_holds, "project_root", lambda: tmp_path)
    with pytest.raises(ValueError, match=match):
        what_holds.headlines()


def test_dot_interval_null_and_test_lie_at_their_places():
    drawn = what_holds.plot([ROW | NULL], "words")
    ticks = what_holds.axis([ROW | NULL])
    assert ticks[0] <= 0.0
    assert ticks[-1] >= 0.6
    dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', drawn)]
    assert dots == pytest.approx([what_holds.place(v, ticks) for v in (0.1, 0.5)], abs=0.01)
    assert what_holds.place(ticks[0], ticks) == what_holds.ROOM
    assert what_holds.place(ticks[-1], ticks) == 100 - what_holds.ROOM
    assert what_holds.place(1e9, ticks) == 100 - what_holds.ROOM, "what lies beyond stays at the end"
    side = re.search(r'class="side" x="([\d.]+)%"', drawn)
    assert float(side[1]) == pytest.approx(what_holds.place(0.3, ticks), abs=0.01), (
        "the claimed side starts at the test"
    )
    below = re.search(r'class="side" x="([\d.]+)%" width="([\d.]+)%"', what_holds.plot([ROW | {"sense": "<"}], "words"))
    assert float(below[1]) == 0


def test_only_a_setting_where_the_claim_holds_is_filled():
    holds, fails = (what_holds.plot([ROW | NONE | {"answer": answer}], "words") for answer in ("yes", "open"))
    assert "hollow" not in holds
    assert "hollow" in fails
    assert holds.count("<circle") == 1, "without a null there is no second dot"


def test_a_claim_without_verdict_has_no_filled_dot():
    record = next(r for r in scoreboard.records() if r["item"] == "khrulkov2018/tab1_layers")
    one = {"item": record["item"], "claim": "64_images_fool_40_percent", "measured": "a rate"}
    claim = next(c for c in record["claims"] if c["claim"] == one["claim"])
    unjudged = record | {"claims": [claim | {"verdict": "not judged"}]}
    assert what_holds._claim(unjudged, one).count("hollow") == len(claim["evidence"])


def test_without_evidence_there_is_no_plot():
    with pytest.raises(ValueError, match="at least one row"):
        what_holds.plot([], "words")


def test_what_all_settings_share_is_not_repeated():
    assert what_holds.shorter(["a[b], over random", "c, over random"]) == ["a[b]", "c"]
    assert what_holds.shorter(["a, gradient", "a, fgsm"]) == ["a, gradient", "a, fgsm"]
    assert what_holds.shorter(["a, gradient"]) == ["a, gradient"]
