"""Numbers inside sentences are drawn: no template holds one, a missing or ambiguous number is an error."""

import dataclasses
import re

import pytest

from uapkit import runner
from uapkit.book import prose, scoreboard

ROOT = runner.project_root()
NAME = "khrulkov2018/tab1_layers"


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
        f"{NAME} | fooling_rate | model=squeezenet1_1;weights=gluon | max",
        f"{NAME} | count | model=tiny_darknt",
        f"{NAME} | verdict | no_such_claim",
        f"{NAME} | params | no_such_parameter",
        f"published {NAME} | fooling_rate | model=vgg19",
        f"claims | {NAME} no_such_claim",
    ],
)
def test_what_cannot_be_drawn_is_an_error(expression):
    with pytest.raises(ValueError, match=r"."):
        prose.drawn(expression)


def test_a_parameter_by_network_is_no_number_of_a_sentence():
    with pytest.raises(ValueError, match=r"n_eval is set by network, .*gcnn_mnist_rot.*; draw a column of their rows"):
        prose.drawn("equivariant2019/fig5_fooling | params | n_eval")


def test_a_planned_item_says_so(monkeypatch):
    monkeypatch.setattr(prose, "_stored", lambda name: None)
    assert prose.drawn(f"{NAME} | fooling_rate | model=tiny_darknet | max") == prose.ABSENT


def test_a_network_that_the_run_left_out_says_so():
    assert "vgg19" in set(runner.load(NAME)["model"])
    assert prose.drawn(f"{NAME} | fooling_rate | model=vgg19;kind=singular vector | max") == prose.ABSENT


def test_a_number_of_a_stale_run_says_so(monkeypatch):
    run = dataclasses.replace(runner.stored_run(NAME), stale="two rows shared one answer")
    expression = f"{NAME} | fooling_rate | kind=singular vector;model=bvlc_googlenet | max"
    assert "redone" not in prose.drawn(expression)
    monkeypatch.setattr(prose, "_stored", lambda name: run)
    assert prose.drawn(expression).endswith(prose.REDO)


def test_fenced_examples_stay_and_directives_are_filled():
    text = f"```text\n[[{NAME} | params | n_fit]]\n```\n```{{note}}\n[[{NAME} | params | n_fit]]\n```\n"
    kept, drawn = prose.draw(text).split("```{note}")
    assert "[[" in kept
    assert "[[" not in drawn


def test_every_page_of_the_book_can_be_drawn():
    for page in (ROOT / "book").rglob("*.md"):
        text = prose.draw(page.read_text(encoding="utf-8"))
        if page.name != "add_item.md":
            code = re.compile(r"^```python\n.*?^```", re.M | re.S)  # where a list of lists is none of ours
            assert "[[" not in code.sub("", text), page.name
