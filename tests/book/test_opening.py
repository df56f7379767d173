"""The scoreboard's opening words: counted, and each finding only while its verdicts stand."""

import re

import pytest

from uapkit.book import opening, prose, scoreboard

NAME = "khrulkov2018/tab1_layers"
WORDS = r"\b(two|three|four|five|six|seven|eight|nine|ten|half|twice|double|third|percent|hundred|thousand|dozen)\b"


def typed(text):
    """Digits and number words of a template, outside what is drawn or filled in and outside names in code or links."""
    bare = re.sub(r"\[\[.*?\]\]|\{ref\}`.*?`|`.*?`|\{\w+\}", "", text, flags=re.S)
    return re.findall(r"\d+", bare) + re.findall(WORDS, bare.lower())


def test_the_check_sees_typed_numbers():
    assert typed("It fools 40 percent, twice as many as [[a/b | c]] of 2") == ["40", "2", "percent", "twice"]


def test_no_number_of_the_summary_is_typed():
    for one in opening.findings():
        found = [word for word in typed(one["words"]) if word != "five"]
        assert not found, f"{found} typed in book/findings.yml: {one['words']}"
    assert typed(opening.COUNTED.replace("The four papers'", "")) == []
    for words in [
        *opening.SAYS.values(),
        *(what for _, what in opening.STATES),
        *(title for _, title, _ in opening.LISTS),
    ]:
        assert typed(words) == []


def test_counts_are_those_of_the_scoreboard():
    counts, records = opening.counts(), scoreboard.records()
    assert counts["items"] == len(records) == counts["run"] + counts["waiting"] + counts["planned"]
    claims = [c for r in records for c in r["claims"]]
    checks = [c for c in claims if c["kind"] == "check"]
    assert {c["verdict"] for c in checks} <= {"check passed", "check failed", "not run here"}
    assert counts["claims"] + counts["asked"] == len(claims) - len(checks), "a check is no claim"
    assert counts["asked"] == sum(c["confidence"] == "ours" for c in claims if c["kind"] != "check")
    assert sum(counts["verdicts"].values()) == counts["judged"] <= counts["claims"]
    assert sum(counts["asked_verdicts"].values()) == counts["asked_judged"] <= counts["asked"]
    text = re.sub("<.*?>", "", opening.counted())
    for key in ("experiments", "items", "run", "claims", "asked", "judged", "asked_judged"):
        assert re.search(rf"\b{counts[key]}\b", text), key
    assert not re.search(r"\b0 ", text), "a state that nothing is in is not spoken of"


def test_what_rests_on_a_stale_run_says_so(monkeypatch):
    records = [dict(r, stale="") for r in scoreboard.records()]
    monkeypatch.setattr(scoreboard, "records", lambda: records)
    plain = opening.summary()
    assert "to be redone" not in opening.counted()
    next(r for r in records if r["item"] == NAME)["stale"] = "two rows shared one answer"
    says, one = next((f["says"], f) for f in opening.findings() if any(key.startswith(f"{NAME} ") for key in f["when"]))
    assert any(f"(To be redone: {NAME}" in words for words in opening.standing(says)), one["words"]
    assert prose.drawn(f"{NAME} | verdict | early_layers_best").endswith(prose.REDO)
    assert f"page <{NAME}>`)" in plain
    assert f"page <{NAME}>`){prose.REDO}" in opening.summary()
    assert "1 of these is to be redone" in opening.counted()


def test_a_finding_is_shown_only_while_its_verdicts_stand(monkeypatch):
    standing = {says: opening.standing(says) for says in opening.SAYS}
    records = [dict(r, claims=[dict(c, verdict="planned") for c in r["claims"]]) for r in scoreboard.records()]
    monkeypatch.setattr(scoreboard, "records", lambda: records)
    assert [opening.standing(says) for says in opening.SAYS] == [[]] * len(opening.SAYS)
    assert all(standing.values()), "the stored results support something of each kind"


def test_every_finding_is_of_a_kind_and_stands_under_its_heading():
    assert {one["says"] for one in opening.findings()} == set(opening.SAYS)
    text = opening.summary()
    places = [text.index(f"**{title}**") for title in opening.SAYS.values()] + [len(text)]
    for says, start, end in zip(opening.SAYS, places, places[1:], strict=False):
        assert all(start < text.index(words) < end for words in opening.standing(says)), says


def test_what_held_up_lists_confirmed_claims_only(monkeypatch):
    one = {"when": {f"{NAME} early_layers_best": "holds on some"}, "words": "It holds.", "says": "held"}
    monkeypatch.setattr(opening, "findings", lambda: [one])
    with pytest.raises(ValueError, match="'What held up' stands on"):
        opening.standing("held")
    monkeypatch.setattr(opening, "findings", lambda: [one | {"says": "some"}])
    assert opening.standing("some") == ["It holds."]
