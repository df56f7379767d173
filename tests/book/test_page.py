"""What pages show: readable tables, the setting of a run, rows that wait for weights, no markup from data."""

import dataclasses
import html
import re
import shlex

import numpy as np
import pandas as pd
import pytest

from uapkit import runner
from uapkit.book import page
from uapkit.lab import Run
from uapkit.runner import results, verdicts
from uapkit.runner.given import parameters

NAME = "khrulkov2018/tab1_layers"
ROWS = pd.DataFrame(
    {
        "model": ["a", "a", "vgg19"],
        "weights": ["t", "t", "default"],
        "layer": ["l1", "l2", "block2_pool"],
        "status": ["run", "run", "not run here"],
        "fooling_rate": [0.5, 0.25, np.nan],
        "low": [0.4, 0.2, np.nan],
        "high": [0.6, 0.3, np.nan],
        "n": [100, 100, np.nan],
    }
)
JUDGED = pd.DataFrame(
    [
        {
            "claim": "c",
            "kind": "order",
            "source": "Table 1",
            "test": "ours",
            "text": "a claim",
            "theirs": "",
            "ours": "0.5",
            "carried": "1 of 1",
            "verdict": "confirmed",
            "confidence": "verified",
        }
    ]
)
RECORD = {
    "params": {"data": "imagenet-sample", "n_fit": 64, "n_eval": 100},
    "seconds": 12.5,
    "device": "cpu",
    "commit": "c" * 40,
    "dirty": False,
    "threads": 1,
    "dtype": "float32",
    "rows": 3,
    "table_sha256": "d" * 64,
    "inputs": {"imagenet-sample/test": "e" * 64},
    "versions": {"torch": "2"},
}


@pytest.fixture
def shown(monkeypatch):
    """The item's page, whose full run is the table above; its quick run is the same table."""
    table = ROWS.copy()
    table.attrs = {"provenance": dict(RECORD), "arrays": {}, "stale": ""}
    monkeypatch.setattr(runner, "run", lambda name, **params: table)
    monkeypatch.setattr(runner, "stored_run", lambda name: Run.of(table))
    made = page.Page(NAME)
    made.run({"seed": 1, "q": 10.0, "save": False})
    return made


def stale(made):
    """The page of the same run, had it to be redone."""
    made.full = dataclasses.replace(made.full, stale="two rows <share> one answer")
    return made


def test_setting_names_networks_images_and_n(shown):
    full = shown.full
    text = shown.setting(full, "Stored full run").data
    for part in ("networks a", "imagenet-sample", "64 to fit", "100 to score", "at most 12.5 s on cpu"):
        assert part in text
    assert "vgg19" not in text, "a network that was not run is not named as run"
    assert "no full run is stored" in shown.setting(None, "Stored full run").data
    record = RECORD | {"params": {"data": "imagenet-sample", "n_fit": 64, "n_repeat": 3}, "seconds_count": "each once"}
    full = dataclasses.replace(full, provenance=record)
    assert "at most" not in shown.setting(full, "Stored full run").data
    assert "to score" not in shown.setting(full, "Stored full run").data, (
        "where nothing is scored, n counts something else"
    )


def test_rows_not_run_name_the_command(shown):
    text = shown.not_run().data
    first = next(iter(runner.item(NAME).path("full").read_text().splitlines()))
    assert first.removeprefix("# ") in text  # what the full run is, in its own words
    assert "vgg19" in text
    assert f"uapkit run {NAME} --full --save" in text


def test_one_block_says_where_the_numbers_come_from_and_how_to_make_them_again(shown):
    text = shown.about().data
    for part in (
        "c" * 40,
        "imagenet-sample/test",
        "version of torch",
        "parameter n_fit",
        "at most 12.5 s",
        f"uapkit run {NAME} --full --save",
    ):
        assert part in text


def test_published_has_one_column_a_quantity(shown):
    text = shown.published().data
    heads = re.findall(r'<th scope="col">(.*?)</th>', text)
    assert {"singular value", "fooling rate"} <= set(heads)
    assert "1165.74" in text
    assert "0.60" in text, "the paper's own digits"
    shown.name = "khrulkov2018/fig_examples"
    assert "no number" in shown.published().data


def test_published_rates_of_networks_on_networks_are_a_matrix(shown):
    shown.name = "khrulkov2018/tab4_transfer"
    text = shown.published().data
    assert "uapkit-matrix" in text
    assert re.findall(r'<th scope="row">(.*?)</th>', text) == ["VGG-16", "VGG-19", "ResNet-50"]
    assert re.findall(r">(0\.\d+)</td>", text)[:3] == ["0.52", "0.60", "0.39"], "a row is the network attacked"
    assert "uapkit-matrix" not in (setattr(shown, "name", NAME), shown.published().data)[1]


def test_a_stored_run_is_loaded_once_a_page(monkeypatch):
    verdicts._loaded.cache_clear()
    loads, load = [], results.load
    monkeypatch.setattr(results, "load", lambda name: loads.append(name) or load(name))
    monkeypatch.setattr(runner, "run", lambda name, **params: load(name))
    made = page.Page(NAME)
    for block in (made.published, made.verdicts, made.not_run, made.about):
        block()
    made.setting(made.full, "Stored full run")
    assert loads.count(NAME) == 1
    assert {*loads} <= {NAME, *dict(runner.item(NAME).beside).values()}, (
        "and of others only what its claims are judged by"
    )


def test_a_stale_run_is_marked_where_it_is_shown_and_judged(shown, monkeypatch):
    monkeypatch.setattr(runner, "compare", lambda name, run: JUDGED)
    assert "to be redone" not in (shown.setting(shown.full, "Run").data + shown.verdicts().data).lower()
    stale(shown)
    assert "two rows &lt;share&gt; one answer" in shown.setting(shown.full, "Run").data
    assert "confirmed (to be redone)" in shown.verdicts().data
    assert "to be redone" in shown.answer("How?").data


def test_verdicts_say_so_where_the_run_that_holds_their_null_is_stale(shown, monkeypatch):
    monkeypatch.setattr(runner, "compare", lambda name, run: JUDGED)
    assert "to be redone" not in shown.answer("How?").data
    monkeypatch.setattr(page, "waiting", lambda: {NAME: "the run of its null is stale"})
    assert "confirmed (to be redone)" in shown.verdicts().data
    assert "to be redone" in shown.answer("How?").data
    assert "to be redone" not in shown.setting(shown.full, "Run").data.lower(), "the run itself is sound"


def test_a_remark_has_its_numbers_drawn(shown):
    made = shown.remark(f"""At most
        [[{NAME} | fooling_rate | kind=random signs | max %]].""").data
    assert re.fullmatch(r"At most \d+ %\.", made)


def test_a_verdict_stays_in_its_column_where_all_are_the_same(shown, monkeypatch):
    monkeypatch.setattr(runner, "compare", lambda name, run: pd.concat([JUDGED, JUDGED], ignore_index=True))
    text = shown.verdicts().data
    assert text.count('<td data-label="Verdict"><span class="uapkit-verdict" data-verdict="confirmed">') == 2


def test_a_parameter_that_the_item_lacks_is_refused():
    with pytest.raises(ValueError, match=r"unknown parameter .*'qq'"):
        page.Page(NAME).run({"qq": 5})


def test_what_the_page_bound_before_its_parameters_is_none_of_them(monkeypatch):
    given = []
    monkeypatch.setattr(runner, "run", lambda name, **params: given.append(params) or ROWS.copy())
    made = page.Page(NAME)
    notebook = {"columns": ["model"], "names": "a"}
    assert "quick run" in made.quick_run(notebook).data
    notebook |= {"seed": 1, "save": False}
    made.run(notebook)
    assert given == [{"seed": 1, "save": False}]
    made.quick_run(notebook)
    with pytest.raises(ValueError, match=r"unknown parameter .*'names'"):  # bound anew: it was meant as one
        made.run(notebook | {"names": "b"})


def test_a_run_with_other_parameters_is_called_so(shown):
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in runner.item(NAME).parameters.items()}
    plain |= {"p": "inf"}  # as a record holds it
    shown.quick = dataclasses.replace(shown.quick, provenance=RECORD | {"params": plain})
    assert shown.setting(shown.quick, "Quick run").data.startswith("<p><strong>Quick run:</strong>")
    shown.quick = dataclasses.replace(shown.quick, provenance=RECORD | {"params": plain | {"q": 5.0}})
    text = shown.setting(shown.quick, "Quick run").data
    assert "<strong>Run with other parameters (q = 5.0):</strong>" in text
    assert "Quick run" not in text


def test_the_foot_says_what_the_runs_took(shown):
    text = shown.about().data
    assert "The quick run took at most 12.5 s, the full run at most 12 s on cpu, 1 thread." in text
    assert page.cost(RECORD | {"seconds": 9000, "seconds_count": "each once"}).startswith("2.5 h on cpu")


def test_a_network_with_fewer_images_to_score_is_named():
    run = pd.DataFrame({"model": ["a", "a", "b", "c", "d"], "n": [1000, 30, 1000, 100, float("nan")]})
    assert page._scored(run) == "1000 to score (100 for c)"
    assert page._scored(run[run["model"] != "c"]) == "1000 to score"
    assert page._scored(run[run["model"] == "d"]) == page._scored(run[["model"]]) == ""


def test_tables_call_target_classes_by_name():
    rows = pd.DataFrame(
        {"model": ["cifar10_resnet20", "lenet_mnist", "own"], "target": [6, 6, 6], "share": [0.5, 0.25, 0.125]}
    )
    shown = page.table(rows).data
    assert "<td>frog</td>" in shown
    assert "<td>digit 6</td>" in shown
    assert "<td>class 6</td>" in shown
    assert rows["target"].tolist() == [6, 6, 6], "the table shown is another"


@pytest.mark.parametrize("name", runner.items())
def test_a_page_says_how_to_run_it_with_a_network_of_ones_own(name):
    told = page.Page(name)._rerun()
    known = runner.item(name).parameters
    if "models" not in known or name in page.ARCHITECTURES:
        assert "my_net" not in told
        return
    words = shlex.split(html.unescape(re.search(r"<code>(uapkit run [^<]*my_net[^<]*)</code>", told).group(1)))
    assert words[:3] == ["uapkit", "run", name]
    given = parameters([word for word in words[3:] if word != "-p"])
    assert set(given) <= set(known)
    assert given["models"] == ["my_net.py:make"]
    runner.check_parameters(runner.item(name), {key: value for key, value in given.items() if key != "models"})


def test_a_folder_of_ones_own_may_hold_fewer_images_than_the_quick_run_scores():
    assert "-p n_eval=null" in page.Page("khrulkov2018/ext_patterns")._rerun()
