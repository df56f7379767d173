"""The thread of the book: one order, chapters that begin with what was found and end with a question, numbers as printed."""

import importlib.util
import re

import pytest

from uapkit import runner
from uapkit.book import build, scoreboard, story

ROOT = runner.project_root()
ORDER = ("moosavi2017", "khrulkov2018", "equivariant2019", "jetley2018")
TEXTS = {key: (ROOT / "book" / "papers" / f"{key}.md").read_text(encoding="utf-8") for key in ORDER}


def test_the_original_comes_first_everywhere():
    assert tuple(runner.papers()) == ORDER
    pages = build.pages()
    assert [p for p in pages if p.startswith("book/papers/")] == [f"book/papers/{key}" for key in ORDER]
    for place in ("book/index.md", "README.md"):
        rows = re.findall(r"^\| ([MKEJ]) \|", (ROOT / place).read_text(encoding="utf-8"), re.M)
        assert rows == ["M", "K", "E", "J"], place


@pytest.mark.parametrize("key", ORDER)
def test_a_chapter_opens_with_what_they_said_and_we_found(key):
    text = TEXTS[key]
    heads = re.findall(r"^## (.+)$", text, re.M)
    assert heads[0] == "They said, we found"
    table = text.partition("## They said, we found")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "verdict |" in line and "[[" in line]
    assert len(rows) >= 5
    records = {r["item"]: [c["claim"] for c in r["claims"]] for r in scoreboard.records()}
    for row in rows:
        item, claim = re.findall(r"\[\[([\w/]+) \| verdict \| ([\w.]+)\]\]", row)[-1]
        assert claim in records[item]
        assert f"<{item}>" in row, "a row links the page of its verdict"


@pytest.mark.parametrize("key", ORDER)
def test_a_chapter_has_its_claims_once_and_ends_with_a_question(key):
    text = TEXTS[key]
    assert text.count(f"claims_{key}.md") == 1
    end = text.rstrip().splitlines()[-4:]
    assert "question.**" in " ".join(end)
    assert "?*" in " ".join(end)


def test_each_question_leads_to_the_next_chapter():
    for key, following in zip(ORDER, [*(f"{k}/algorithms" for k in ORDER[1:]), "disagreements"], strict=True):
        assert f"<{following}>" in TEXTS[key].rsplit("question.**", 1)[1]


def test_the_list_of_items_counts_every_verdict():
    for key in ORDER:
        made = story.fragments()[f"items_{key}.md"]
        assert made.count("<li>") == len(runner.papers()[key]["items"])
        claims = [c for r in scoreboard.records() if r["item"].startswith(f"{key}/") for c in r["claims"]]
        lines = re.findall(r"<li>.*?</li>", made)
        shown = sum(int(n or 1) for line in lines for n in re.findall(r"</span>(?: × (\d+))?", line))
        bare = sum(1 for r in scoreboard.records() if r["item"].startswith(f"{key}/") and not r["claims"])
        marks = sum(line.count("uapkit-redo") for line in lines)
        assert shown - marks == len(claims) + bare


def test_printed_numbers_are_the_papers_and_ours_are_letters():
    spec = importlib.util.spec_from_file_location("printed", ROOT / "book" / "_ext" / "printed_numbers.py")
    printed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(printed)
    labels = ["equivariant2019/alg_svd", "equivariant2019/thm1", "equivariant2019/cor1", "equivariant2019/thm2"]
    assert list(printed.numbers(labels).values()) == ["A", "1", "B", "2"]
    everything = "".join(TEXTS.values())
    for label, number in printed.PRINTED.items():
        title = re.search(rf"```\{{prf:\w+\}} (.+)\n:label: {label}\n", everything)
        assert title, label
        assert re.search(rf"(?:Theorem|Algorithms?) {number}\b", title[1]), (
            "the title names the number in the paper, too"
        )


def test_every_disagreement_says_who_is_right_and_what_would_settle_it():
    text = (ROOT / "book" / "disagreements.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.M)[1:-1]  # the last is a table of all
    assert len(sections) >= 9
    for section in sections:
        last = section[section.rindex("**Who is right:**") :]
        assert "**What would settle it:**" in last, section.splitlines()[0]
        assert "[[claims" not in last, "nothing stands behind the answer"


def test_the_home_page_has_five_findings_that_stand_and_types_no_number():
    assert len(story.findings()) == story.SHOWN == 5
    for one in story._home()["findings"]:
        bare = re.sub(r"\[\[.*?\]\]|\{ref\}`.*?`|\b[KMEJ]'s\b", "", one["words"], flags=re.S)
        assert re.findall(r"\d+", bare) == [], one["words"]
        items = {key.split(" ")[0] for key in one["when"]}
        assert any(f"<{item}>" in one["words"] for item in items), "a finding links a page that it stands on"


def test_a_finding_of_the_home_page_falls_with_its_verdict(monkeypatch):
    records = [dict(r, claims=[dict(c, verdict="planned") for c in r["claims"]]) for r in scoreboard.records()]
    monkeypatch.setattr(scoreboard, "records", lambda: records)
    assert story.findings() == []


def test_own_networks_are_counted_from_stored_runs(monkeypatch):
    rows = re.findall(r"^\| ([MKEJ]) \| (.*?) \| (\d+) of (\d+)", story.ran(), re.M)
    assert {paper: (int(run), int(of)) for paper, _, run, of in rows} == {
        "M": (1, 6),
        "K": (0, 3),
        "E": (3, 3),
        "J": (0, 3),
    }
    records = [dict(r, networks=[]) for r in scoreboard.records()]
    monkeypatch.setattr(scoreboard, "records", lambda: records)
    assert re.findall(r"(\d+) of \d+", story.ran()) == ["0"] * 4


def test_counts_separate_the_papers_claims_from_our_questions():
    claims = [c for r in scoreboard.records() for c in r["claims"] if c["kind"] != "check"]
    ours = sum(c["confidence"] == "ours" for c in claims)
    assert f"| **all** | **{len(claims) - ours}** | **{ours}** |" in story.counts()


def test_what_was_not_run_is_named():
    waiting = [r["item"] for r in scoreboard.records() if r["verdict"] in scoreboard.STATES and r["page"]]
    assert all(f"<{item}>" in story.not_run() for item in waiting)
