"""Errata: what a verdict was and why is said, what it is is computed, and nothing can be said twice."""

import pytest
import yaml

from uapkit.book import errata, html, scoreboard

ITEM = "jetley2018/tab1_downsampling"
ONE = {"item": ITEM, "claim": "f1_rises", "was": "differs", "why": "Another reference <label>."}


@pytest.fixture
def written(monkeypatch, tmp_path):
    """Entries of one paper, written where they are looked for."""
    path = tmp_path / "jetley2018.yml"
    monkeypatch.setattr(errata, "place", lambda paper: path if paper == "jetley2018" else tmp_path / "none.yml")
    return lambda *entries: path.write_text(yaml.safe_dump(list(entries)), encoding="utf-8")


def test_what_is_stored_is_whole_and_stands_on_the_scoreboard():
    entries = errata.all_papers()
    told = [one for record in scoreboard.records() for one in record["errata"]]
    assert sorted((one["item"], one["claim"]) for one in told) == sorted((o["item"], o["claim"]) for o in entries)
    assert len({(one["item"], one["claim"]) for one in entries}) == len(entries), "one entry a claim"
    unchanged = [
        one
        for record in scoreboard.records()
        for one in record["errata"]
        if one["was"] == one["is"] and not record["stale"]
    ]
    assert not unchanged, "an erratum whose verdict is what it was is none"
    shown = html.fragments()["errata.md"]
    assert shown.count("<tr>") == len(entries) + bool(entries)


def test_what_it_is_comes_from_the_judged_claims(written):
    written(ONE)
    claims = [{"claim": "f1_rises", "text": "It rises", "verdict": "holds on 1 of 2"}]
    assert errata.told(ITEM, claims) == [{**ONE, "text": "It rises", "is": "holds on 1 of 2"}]
    assert errata.told("jetley2018/fig1_scores", claims) == []


def test_a_claim_that_was_taken_back_says_so_and_no_other(written):
    gone = {**ONE, "claim": "f2_rises", "now": "withdrawn"}
    written(gone)
    assert errata.told(ITEM, [])[0]["is"] == "withdrawn"
    written(ONE)
    with pytest.raises(ValueError, match="not in reported"):
        errata.told(ITEM, [])
    written({**ONE, "now": "withdrawn"})
    with pytest.raises(ValueError, match="must go"):
        errata.told(ITEM, [{"claim": "f1_rises", "text": "", "verdict": "holds on 1 of 2"}])


@pytest.mark.parametrize(
    ("change", "match"),
    [({"why": " "}, "must say"), ({"was": "wrong"}, "no verdict"), ({"item": "jetley2018/none"}, "no item")],
)
def test_an_entry_that_is_not_whole_is_refused_in_one_sentence(written, change, match):
    written({**ONE, **change})
    with pytest.raises(ValueError, match=match):
        errata.entries("jetley2018")


def test_the_table_escapes_and_marks():
    record = next(r for r in scoreboard.records() if r["item"] == ITEM)
    entry = {**ONE, "text": "It rises", "is": "holds on 1 of 2"}
    shown = html.errata_table([{**record, "errata": [entry], "stale": "made anew"}], "../")
    assert "Another reference &lt;label&gt;." in shown
    assert 'data-verdict="differs"' in shown
    assert 'data-verdict="holds on 1 of 2"' in shown
    assert "to be redone" in shown
    assert f'href="../{record["page"]}"' in shown
    assert html.errata_table([{**record, "errata": []}], "../") == "<p>No verdict has changed.</p>"
