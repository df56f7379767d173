"""Numbers inside sentences are drawn: no template holds one, a missing or ambiguous number is an error."""

import dataclasses
import re

import pytest

from uapkit import runner
from uapkit.book import prose, scoreboard

ROOT = runner.project_root()
NAME = "khrulkov2018/tab1_layers"
WORDS = r"\b(two|three|four|five|six|seven|eight|nine|ten|half|twice|double|third|percent|hundred|thousand|dozen)\b"


def typed(text):
    """Digits and number words of a template, outside what is drawn or filled in and outside names in code or links."""
    bare = re.sub(r"\[\[.*?\]\]|\{ref\}`.*?`|`.*?`|\{\w+\}", "", text, flags=re.S)
    return re.findall(r"\d+", bare) + re.findall(WORDS, bare.lower())


def test_no_number_of_the_summary_is_typed():
    for one in prose.findings():
        found = [word for word in typed(one["words"]) if word != "five"]
        assert not found, f"{found} typed in book/findings.yml: {one['words']}"
    assert typed(prose.COUNTED.replace("The four papers'", "")) == []
    for words in [*prose.SAYS.values(), *(what for _, what in prose.STATES), *(title for _, title, _ in prose.LISTS)]:
        assert typed(words) == []


def test_the_check_sees_typed_numbers():
    assert typed("It fools 40 percent, twice as many as [[a/b | c]] of 2") == ["40", "2", "percent", "twice"]


def test_counts_are_those_of_the_scoreboard():
    counts, records = prose.counts(), scoreboard.records()
    assert counts["items"] == len(records) == counts["run"] + counts["waiting"] + counts["planned"]
    claims = [c for r in records for c in r["claims"]]
    checks = [c for c in claims if c["kind"] == "check"]
    assert {c["verdict"] for c in checks} <= {"check passed", "check failed", "not run here"}
    assert counts["claims"] + counts["asked"] == len(claims) - len(checks), "a check is no claim"
    assert counts["asked"] == sum(c["confidence"] == "ours" for c in claims if c["kind"] != "check")
    assert sum(counts["verdicts"].values()) == counts["judged"] <= counts["claims"]
    assert sum(counts["asked_verdicts"].values()) == counts["asked_judged"] <= counts["asked"]
    text = re.sub("<.*?>", "", prose.counted())
    for key in ("experiments", "items", "run", "claims", "asked", "judged", "asked_judged"):
        assert re.search(rf"\b{counts[key]}\b", text), key
    assert not re.search(r"\b0 ", text), "a state that nothing is in is not spoken of"


def test_a_rate_is_drawn_with_interval_and_n():
    table = runner.load(NAME)
    rows = table[(table["kind"] == "singular vector") & (table["model"] == "bvlc_googlenet")]
    best = rows.loc[rows["fooling_rate"].idxmax()]
    text = prose.drawn(f"{NAME} | fooling_rate | kind=singular vector;model=bvlc_googlenet | max")
    for value in (best["fooling_rate"], best["low"], best["high"]):
        assert scoreboard.number(value) in text
    assert f"n\u00a0=\u00a0{int(best['n'])}" in text


def test_other_forms_are_drawn():
    record = runner.load(NAME).attrs["provenance"]
    assert prose.drawn(f"{NAME} | params | n_fit") == str(record["params"]["n_fit"])
    assert prose.drawn(f"{NAME} | count | kind=random signs;model=tiny_darknet") == "3"
    assert prose.drawn(f"{NAME} | verdict | early_layers_best").strip("*") in runner.compare(NAME)["verdict"].tolist()
    assert prose.drawn(f"published {NAME} | fooling_rate | model=vgg19;weights=keras;layer=block2_pool") == "0.60"


@pytest.mark.parametrize(
    "expression",
    [
        "khrulkov2018/tab1 | fooling_rate",
        f"{NAME} | foling_rate | model=tiny_darknet | max",
        f"{NAME} | fooling_rate | model=tiny_darknet",
        f"{NAME} | fooling_rate | modl=tiny_darknet | max",
        f"{NAME} | fooling_rate | model=tiny_darknet | median",
        f"{NAME} | verdict | no_such_claim",
        f"{NAME} | params | no_such_parameter",
        f"published {NAME} | fooling_rate | model=vgg19",
        f"claims | {NAME} no_such_claim",
    ],
)
def test_what_cannot_be_drawn_is_an_error(expression):
    with pytest.raises(ValueError, match=r"."):
        prose.drawn(expression)


def test_a_planned_item_says_so(monkeypatch):
    monkeypatch.setattr(prose, "_stored", lambda name: None)
    assert prose.drawn(f"{NAME} | fooling_rate | model=tiny_darknet | max") == prose.ABSENT


def test_a_number_of_a_stale_run_says_so(monkeypatch):
    run = dataclasses.replace(runner.stored_run(NAME), stale="two rows shared one answer")
    expression = f"{NAME} | fooling_rate | kind=singular vector;model=bvlc_googlenet | max"
    assert "redone" not in prose.drawn(expression)
    monkeypatch.setattr(prose, "_stored", lambda name: run)
    assert prose.drawn(expression).endswith(prose.REDO)


def test_what_rests_on_a_stale_run_says_so(monkeypatch):
    records = [dict(r, stale="") for r in scoreboard.records()]
    monkeypatch.setattr(scoreboard, "records", lambda: records)
    plain = prose.summary()
    assert "to be redone" not in prose.counted()
    next(r for r in records if r["item"] == NAME)["stale"] = "two rows shared one answer"
    says, one = next((f["says"], f) for f in prose.findings() if any(key.startswith(f"{NAME} ") for key in f["when"]))
    assert any(f"(To be redone: {NAME}" in words for words in prose.standing(says)), one["words"]
    assert prose.drawn(f"{NAME} | verdict | early_layers_best").endswith(prose.REDO)
    assert f"page <{NAME}>`)" in plain
    assert f"page <{NAME}>`){prose.REDO}" in prose.summary()
    assert "1 of these is to be redone" in prose.counted()


def test_fenced_examples_stay_and_directives_are_filled():
    text = f"```text\n[[{NAME} | params | n_fit]]\n```\n```{{note}}\n[[{NAME} | params | n_fit]]\n```\n"
    kept, drawn = prose.draw(text).split("```{note}")
    assert "[[" in kept
    assert "[[" not in drawn


def test_a_finding_is_shown_only_while_its_verdicts_stand(monkeypatch):
    standing = {says: prose.standing(says) for says in prose.SAYS}
    records = [dict(r, claims=[dict(c, verdict="planned") for c in r["claims"]]) for r in scoreboard.records()]
    monkeypatch.setattr(scoreboard, "records", lambda: records)
    assert [prose.standing(says) for says in prose.SAYS] == [[]] * len(prose.SAYS)
    assert all(standing.values()), "the stored results support something of each kind"


def test_every_finding_is_of_a_kind_and_stands_under_its_heading():
    assert {one["says"] for one in prose.findings()} == set(prose.SAYS)
    text = prose.summary()
    places = [text.index(f"**{title}**") for title in prose.SAYS.values()] + [len(text)]
    for says, start, end in zip(prose.SAYS, places, places[1:], strict=False):
        assert all(start < text.index(words) < end for words in prose.standing(says)), says


def test_what_held_up_lists_confirmed_claims_only(monkeypatch):
    one = {"when": {f"{NAME} early_layers_best": "holds on some"}, "words": "It holds.", "says": "held"}
    monkeypatch.setattr(prose, "findings", lambda: [one])
    with pytest.raises(ValueError, match="'What held up' stands on"):
        prose.standing("held")
    monkeypatch.setattr(prose, "findings", lambda: [one | {"says": "some"}])
    assert prose.standing("some") == ["It holds."]


def test_every_page_of_the_book_can_be_drawn():
    for page in (ROOT / "book").rglob("*.md"):
        text = prose.draw(page.read_text(encoding="utf-8"))
        if page.name != "add_item.md":
            code = re.compile(r"^```python\n.*?^```", re.M | re.S)  # where a list of lists is none of ours
            assert "[[" not in code.sub("", text), page.name
