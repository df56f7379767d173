"""The rule of verdicts, on evidence whose verdict is known."""

import inspect
import math

import pandas as pd
import pytest

from uapkit import runner
from uapkit.book import depends
from uapkit.intervals import Interval
from uapkit.lab.claims import claim, evidence_table
from uapkit.runner import verdicts

HOLDS, FAILS, UNCLEAR = (0.5, 0.6), (0.1, 0.2), (0.3, 0.5)  # against > 0.4


def evidence(*intervals, nulls=None, sense=">", bound=0.4):
    rows = [{"low": a, "high": b, "sense": sense, "bound": bound} for a, b in intervals]
    for row, null in zip(rows, nulls or [], strict=False):
        row |= {"null_low": null[0], "null_high": null[1]}
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([HOLDS], "confirmed"),
        ([HOLDS, HOLDS], "confirmed"),
        ([HOLDS, FAILS], "holds on 1 of 2"),
        ([HOLDS, UNCLEAR], "holds on 1 of 2"),
        ([FAILS], "differs"),
        ([FAILS, UNCLEAR], "undecided"),
        ([FAILS, FAILS, UNCLEAR], "differs"),
        ([FAILS] + [UNCLEAR] * 7, "undecided"),
        ([UNCLEAR], "undecided"),
        ([], "not run here"),
        ([(math.nan, math.nan)], "undecided"),
    ],
)
def test_rule(intervals, expected):
    assert verdicts.verdict(evidence(*intervals)) == expected


def test_a_claim_its_null_satisfies_is_not_above_chance():
    assert verdicts.verdict(evidence(HOLDS, nulls=[(0.45, 0.6)])) == "not above chance"
    assert verdicts.verdict(evidence(HOLDS, nulls=[FAILS])) == "confirmed"
    assert verdicts.verdict(evidence(HOLDS, HOLDS, nulls=[(0.45, 0.6), FAILS])) == "holds on 1 of 2"
    assert verdicts.verdict(evidence(FAILS, nulls=[FAILS])) == "differs"


def test_the_null_is_compared_with_the_quantity_and_not_with_the_bound_alone():
    assert verdicts.answers(evidence(HOLDS, nulls=[(0.3, 0.55)])) == ["open"], "the intervals overlap"
    assert verdicts.answers(evidence(HOLDS, nulls=[(0.3, 0.45)])) == ["yes"]
    lower = evidence((0.1, 0.2), (0.1, 0.2), sense="<", nulls=[(0.15, 0.5), (0.25, 0.5)])
    assert verdicts.answers(lower) == ["open", "yes"]


def test_where_any_effect_satisfies_the_claim_the_null_has_to_be_exceeded():
    """A difference above 0, beside a null that is above 0 as well."""
    assert verdicts.answers(evidence((0.1, 0.2), bound=0.0, nulls=[(0.01, 0.02)])) == ["yes"]
    assert verdicts.answers(evidence((0.1, 0.2), bound=0.0, nulls=[(0.01, 0.15)])) == ["the null too"]
    assert verdicts.verdict(evidence((0.1, 0.2), bound=0.0, nulls=[(0.01, 0.15)])) == "not above chance"


def test_a_claim_may_say_that_its_bound_is_the_absence_of_an_effect():
    """A share above that under shuffled labels, which random signs exceed as well: they have to lie below the share."""
    found, below, beside = (
        Interval(0.94, 100, 0.92, 0.96),
        Interval(0.75, 100, 0.7, 0.8),
        Interval(0.9, 100, 0.85, 0.95),
    )

    def answers(null, bound=0.5, **about):
        return verdicts.answers(evidence_table([claim("c", "a", found, ">", bound, null=null, **about)]))

    assert answers(below) == ["the null too"]
    assert answers(below, absence=True) == ["yes"]
    assert answers(beside, absence=True) == ["the null too"]
    assert answers(below, bound=0.95, absence=True) == ["open"], "the bound still counts"


def test_one_setting_of_many_names_no_verdict():
    null_too = evidence(HOLDS, UNCLEAR, nulls=[(0.45, 0.6), (0.1, 0.2)])
    assert verdicts.answers(null_too) == ["the null too", "open"]
    assert verdicts.verdict(null_too) == "undecided"
    assert verdicts.verdict(evidence(FAILS, UNCLEAR)) == "undecided"
    assert verdicts.verdict(evidence(FAILS, UNCLEAR, FAILS)) == "differs"
    mixed = evidence(HOLDS, FAILS, FAILS, UNCLEAR, nulls=[(0.45, 0.6), *[(0.1, 0.2)] * 3])
    assert verdicts.verdict(mixed) == "differs"


def test_a_setting_counts_once_and_has_to_pass_all_its_tests():
    both = pd.concat([evidence(HOLDS), evidence(HOLDS, sense="<", bound=0.9), evidence(FAILS)], ignore_index=True)
    found = verdicts.settings(both.assign(network=["a", "a", "b"]))
    assert found.set_index("network")["answer"].to_dict() == {"a": "yes", "b": "no"}
    assert verdicts.verdict(both.assign(network=["a", "a", "b"])) == "holds on 1 of 2"
    assert verdicts.verdict(both.assign(network="a")) == "differs", "one of its tests fails"


def test_a_level_is_judged_on_the_papers_networks_alone():
    rows = evidence(HOLDS, FAILS, FAILS).assign(network=["vgg16[keras]", "squeezenet1_1", "resnet50: layer 2"])
    assert list(verdicts._deciders(rows, "vgg16|vgg19|resnet50")["network"]) == ["vgg16[keras]", "resnet50: layer 2"]
    assert verdicts._deciders(rows, "vgg19").empty
    assert len(verdicts._deciders(rows, "")) == 3


@pytest.mark.parametrize("paper", list(runner.papers()))
def test_every_claim_says_whose_test_it_is(paper):
    table = pd.read_csv(runner.project_root() / "reported" / f"{paper}.csv", keep_default_na=False)
    stated = table[table["kind"].isin(verdicts.STATED)]
    assert set(stated["test"]) <= {"paper", "ours"}
    assert set(table.loc[~table["kind"].isin(verdicts.STATED), "test"]) == {""}
    assert set(stated.loc[stated["confidence"] == "ours", "test"]) <= {"ours"}
    numbers = stated[stated["value"].str.startswith((">", "<")) & (stated["confidence"] != "ours")]
    assert set(numbers["test"]) <= {"paper"}, "a bound that the paper prints is its own test"


def test_a_claim_that_one_training_carries_and_another_does_not_depends_on_the_training():
    def of(sgd, adamw):
        return evidence(*sgd, *adamw).assign(training=["sgd"] * len(sgd) + ["adamw"] * len(adamw))

    assert verdicts.verdict(of([HOLDS, HOLDS], [FAILS, UNCLEAR])) == verdicts.DEPENDS
    assert verdicts.verdict(of([HOLDS, HOLDS, FAILS, FAILS], [FAILS])) == verdicts.DEPENDS, "half of them are enough"
    assert verdicts.verdict(of([HOLDS], [FAILS])) == "holds on 1 of 2", "one network of a training decides nothing"
    assert verdicts.verdict(of([HOLDS, FAILS, FAILS], [FAILS])) == "holds on 1 of 4", "one of three carries nothing"
    assert verdicts.verdict(of([HOLDS, HOLDS], [HOLDS, FAILS])) == "holds on 3 of 4"
    assert verdicts.verdict(of([HOLDS], [HOLDS])) == "confirmed"
    assert verdicts.verdict(of([FAILS], [FAILS])) == "differs"
    assert verdicts.verdict(evidence(HOLDS, FAILS).assign(training="")) == "holds on 1 of 2"
    one_null = of([HOLDS, HOLDS], [HOLDS]).assign(null_low=[0.1, 0.1, 0.5], null_high=[0.2, 0.2, 0.6])
    assert verdicts.verdict(one_null) == verdicts.DEPENDS, "what the null satisfies, too, does not carry"
    assert verdicts.answers(one_null) == ["yes", "yes", "the null too"]


def test_trainings_are_compared_on_the_same_network_and_attack():
    """Half of one training's settings are of other attacks, where neither training passes: like is compared with like."""
    said = {
        "net": FAILS, "net_seed1": FAILS, "net_sgd": HOLDS, "net_sgd_seed1": HOLDS,
        "deep": FAILS, "deep_sgd": FAILS, "deep_sgd_seed1": UNCLEAR, "deep_sgd_seed2": UNCLEAR,
    }  # fmt: skip

    def of(answers):
        names = list(answers)
        rows = evidence(*answers.values()).assign(network=[f"{name}_digits, gradient" for name in names])
        return verdicts.verdict(rows.assign(training=["sgd" if "_sgd" in name else "adamw" for name in names]))

    assert of(said) == verdicts.DEPENDS
    assert of(said | {"net": UNCLEAR}) == "holds on 2 of 8", "what is open has not failed"
    assert of(said | {"net_sgd": UNCLEAR}) == "holds on 1 of 8"
    assert of({k: v for k, v in said.items() if k != "net"}) == "holds on 2 of 7", "one network fails"
    sgd = {"net_sgd": HOLDS, "net_sgd_seed1": HOLDS}
    assert of(sgd | {"net": UNCLEAR}) == "holds on 2 of 3", "an open answer is no failure of the other training"


@pytest.mark.parametrize(
    ("held", "failed", "unclear", "word"),
    [
        (1, 9, 0, "differs"),
        (1, 3, 6, "undecided"),
        (2, 8, 0, "holds on 2 of 10"),
        (1, 4, 0, "holds on 1 of 5"),
        (2, 10, 8, "undecided"),
        (2, 58, 0, "differs"),
    ],
)
def test_what_a_tenth_of_the_settings_carry_is_not_carried(held, failed, unclear, word):
    assert verdicts.verdict(evidence(*[HOLDS] * held, *[FAILS] * failed, *[UNCLEAR] * unclear)) == word


def test_a_check_is_told_and_no_verdict(monkeypatch):
    name = "equivariant2019/thm1_alignment"
    same = {"value": "", "confidence": "verified", "source": "s", "where": "", "test": "ours", "judged_on": ""}
    stated = (("check", "exact"), ("order", "said"))
    rows = pd.DataFrame([same | {"kind": kind, "metric": m, "note": m} for kind, m in stated])
    monkeypatch.setattr(verdicts, "reported", lambda about: rows)
    for interval, word in ((HOLDS, "check passed"), (FAILS, "check failed"), (UNCLEAR, "check failed")):
        both = pd.concat([evidence(interval), evidence(HOLDS)], ignore_index=True)
        both = both.assign(claim=["exact", "said"], network="n", estimate=0.5)
        monkeypatch.setattr(verdicts, "_evidence", lambda name, run, both=both: both)
        judged = verdicts._compared(name, None).set_index("claim")
        assert judged.loc["exact", "verdict"] == word
        assert judged.loc["said", "verdict"] == "confirmed"
        assert judged.loc["said", "carried"] == "1 of 1"
        assert verdicts.joined(judged) == "confirmed 1", "checks are not counted"


def test_senses():
    assert verdicts.holds(0.1, 0.2, "<", 0.3) is True
    assert verdicts.holds(0.4, 0.5, "<", 0.3) is False
    assert verdicts.holds(0.2, 0.4, "<", 0.3) is None
    assert verdicts.holds(0.2, 0.4, "=", 0.3) is True
    assert verdicts.holds(0.2, 0.4, "=", 0.5) is False
    with pytest.raises(ValueError, match="sense"):
        verdicts.holds(0.2, 0.4, ">=", 0.5)


def test_only_verified_values_decide():
    for confidence in ("notes", "memory-high", "reimplementation", "derived"):
        assert verdicts._deciding(confidence, "confirmed") == "not judged"
        assert verdicts._deciding(confidence, "not run here") == "not run here"
    assert verdicts._deciding("verified", "confirmed") == "confirmed"
    assert verdicts._deciding("verified-code", "differs") == "differs"


def level(table, where, value=0.52, confidence="verified"):
    row = {"kind": "level", "where": where, "metric": "fooling_rate", "value": value, "tolerance": 0.005}
    rows = pd.DataFrame([row | {"confidence": confidence, "source": "Table 1"}])
    return verdicts._level_rows(rows, pd.DataFrame(table))


def test_levels_are_judged_only_where_everything_is_the_papers():
    ours = [{"model": "vgg16", "weights": "keras", "fooling_rate": 0.53, "low": 0.50, "high": 0.56}]
    assert level(ours, "model=vgg16;weights=keras")[0]["verdict"] == "confirmed"
    assert level(ours, "model=vgg16;weights=keras", value=0.4)[0]["verdict"] == "differs"
    assert level(ours, "model=vgg16;weights=keras", confidence="notes")[0]["verdict"] == "not judged"
    assert level(ours, "model=vgg16;weights=torchvision") == [], "other weights"
    assert level(ours, "model=vgg16;weights=keras;data=imagenet") == [], "a column that we do not have"
    assert level([{**ours[0], "fooling_rate": math.nan}], "model=vgg16;weights=keras") == [], "not run"


def test_level_tolerance_is_the_papers_rounding():
    exact = [{"model": "a", "fooling_rate": 0.5249, "low": 0.5249, "high": 0.5249}]
    assert level(exact, "model=a")[0]["verdict"] == "confirmed"
    assert level([{**exact[0], "low": 0.526, "high": 0.526}], "model=a")[0]["verdict"] == "differs"


def test_numeric_places_match_as_numbers():
    ours = [{"model": "a", "n_fit": 64, "fooling_rate": 0.5, "low": 0.4, "high": 0.6}]
    assert len(level(ours, "model=a;n_fit=64")) == 1
    assert level(ours, "model=a;n_fit=32") == []


@pytest.mark.parametrize(
    ("low", "high", "sense", "expected"),
    [
        (0.3, 0.4, ">", None),
        (0.2, 0.3, ">", None),
        (0.3, 0.4, "<", None),
        (0.2, 0.3, "<", None),
        (0.3, 0.3, ">", None),
        (0.3, 0.4, "=", True),
        (0.2, 0.3, "=", True),
        (0.3001, 0.4, "=", False),
        (0.2, 0.2999, "=", False),
        (0.3001, 0.4, ">", True),
        (0.2, 0.2999, ">", False),
        (math.nan, 0.4, ">", None),
        (0.4, math.nan, ">", None),
        (math.nan, 0.4, "=", None),
    ],
)
def test_an_interval_that_touches_its_bound_decides_nothing(low, high, sense, expected):
    assert verdicts.holds(low, high, sense, 0.3) is expected
    assert verdicts.holds(0.1, 0.2, sense, math.nan) is None


def test_an_interval_that_touches_its_nulls_decides_nothing():
    assert verdicts.answers(evidence((0.5, 0.6), nulls=[(0.3, 0.5)])) == ["open"]
    assert verdicts.answers(evidence((0.5, 0.6), nulls=[(0.3, 0.4999)])) == ["yes"]
    assert verdicts.answers(evidence((0.5, 0.6), nulls=[(0.4, 0.45)])) == ["yes"], (
        "a null at the bound satisfies nothing"
    )
    assert verdicts.answers(evidence((0.1, 0.2), sense="<", nulls=[(0.2, 0.5)])) == ["open"]
    assert verdicts.answers(evidence((-0.2, -0.1), sense="<", bound=0, nulls=[(-0.05, 0.0)])) == ["yes"]
    assert verdicts.answers(evidence((-0.2, -0.1), sense="<", bound=0, nulls=[(-0.15, -0.01)])) == ["the null too"]
    assert verdicts.answers(evidence((0.3, 0.5), sense="=", nulls=[(0.3, 0.5)])) == ["yes"], "equality has no null"
    for half in ((math.nan, 0.9), (0.9, math.nan)):
        assert verdicts.answers(evidence(HOLDS, nulls=[half])) == ["yes"], "half an interval is none"


def test_as_many_failures_as_nulls_are_not_above_chance():
    rows = evidence(HOLDS, FAILS, nulls=[(0.45, 0.6), (0.1, 0.2)])
    assert verdicts.answers(rows) == ["the null too", "no"]
    assert verdicts.verdict(rows) == "not above chance"


def test_a_level_says_what_it_compares():
    ours = [{"model": "vgg16", "n_fit": 64, "fooling_rate": 0.53, "low": 0.5, "high": 0.56, "norm": 3.0}]
    (row,) = level(ours, "model=vgg16;n_fit=64")
    assert row == {
        "claim": "fooling_rate (model=vgg16;n_fit=64)",
        "kind": "level",
        "text": "fooling rate = 0.52 at model=vgg16;n_fit=64",
        "theirs": 0.52,
        "networks": "vgg16",
        "ours": "0.53 [0.5, 0.56]",
        "verdict": "confirmed",
        "confidence": "verified",
        "source": "Table 1",
    }
    assert level(ours * 2, "model=vgg16") == [], "two rows are no one place"
    assert level(ours, "model=vgg16;n_fit=many") == []
    assert level([{"model": "vgg16", "other": 1}], "model=vgg16") == [], "no such measure"
    plain = pd.DataFrame([{"kind": "level", "where": "model=vgg16", "metric": "norm", "value": 3.4, "tolerance": "",
                           "confidence": "verified", "source": "s"}])  # fmt: skip
    (row,) = verdicts._level_rows(plain, pd.DataFrame(ours))
    assert (row["ours"], row["verdict"]) == ("3 [3, 3]", "differs"), "the interval is the rate's alone"
    assert verdicts._level_rows(plain.assign(tolerance="0.4"), pd.DataFrame(ours))[0]["verdict"] == "confirmed"
    assert verdicts._level_rows(plain.assign(tolerance="0.39"), pd.DataFrame(ours))[0]["verdict"] == "differs"
    assert verdicts._level_rows(plain.assign(kind="order"), pd.DataFrame(ours)) == []
    assert verdicts._level_rows(plain, None) == []


def test_places_are_read_as_they_are_written():
    assert verdicts._where("model=a;layer=x=y;no column") == {"model": "a", "layer": "x=y"}
    assert verdicts._where("") == {}
    settings = evidence(HOLDS, HOLDS).assign(network=["vgg16, layer 2", "vgg16b"])
    assert list(verdicts._deciders(settings, "vgg16")["network"]) == ["vgg16, layer 2"]


def test_what_has_no_evidence_says_why(monkeypatch):
    name = "equivariant2019/thm1_alignment"
    same = {"value": "0.5", "confidence": "verified", "source": "s", "where": "", "test": "paper", "judged_on": ""}
    rows = pd.DataFrame([same | {"kind": kind, "metric": kind, "note": "n"} for kind in ("order", "check", "level")])
    monkeypatch.setattr(verdicts, "reported", lambda about: rows)
    nothing = pd.DataFrame(columns=list(verdicts.EVIDENCE_COLUMNS))
    monkeypatch.setattr(verdicts, "_evidence", lambda name, run: nothing)
    judged = verdicts._compared(name, None)
    assert judged["verdict"].tolist() == ["not run here", "not run here"]
    assert judged["carried"].tolist() == ["", ""]
    run = type("Run", (), {"table": pd.DataFrame({"model": []})})()
    assert verdicts._compared(name, run)["verdict"].tolist() == ["not judged", "check failed"]
    two = evidence(HOLDS, FAILS).assign(claim="order", network=["a", "b"], estimate=[0.55, 0.15])
    monkeypatch.setattr(verdicts, "_evidence", lambda name, run: two)
    first = verdicts._compared(name, None).iloc[0]
    assert first["ours"] == "a: 0.55 [0.5, 0.6]; b: 0.15 [0.1, 0.2]"
    assert (first["networks"], first["carried"], first["theirs"]) == ("a, b", "1 of 2", "0.5")
    monkeypatch.setattr(verdicts, "reported", lambda about: rows.assign(judged_on="b"))
    assert verdicts._compared(name, None).iloc[0]["verdict"] == "differs", "b alone decides, both are shown"


def test_verdicts_are_counted_in_one_order():
    told = pd.DataFrame({"kind": ["order"] * 4 + ["check"], "verdict": ["differs", "holds on 1 of 2", "confirmed",
                                                                         "holds on 2 of 3", "check failed"]})  # fmt: skip
    assert verdicts.joined(told) == "confirmed 1, holds on some 2, differs 1"
    assert verdicts.joined(told.iloc[4:]) == "shown, no claim"


def test_published_rows_are_those_of_the_item(tmp_path, monkeypatch):
    about = runner.item("jetley2018/fig5_confined")
    monkeypatch.setattr(type(about), "path", lambda self, kind: tmp_path / f"{kind}.csv")
    assert verdicts.reported(about).empty, "a paper of which nothing is typed in"
    items = ["jetley2018/fig1_scores", about.name, "khrulkov2018/tab1_layers", about.name]
    table = pd.DataFrame({"item": items, "metric": ["a", "b", "c", "d"], "value": "null", "kind": "", "confidence": ""})
    table.to_csv(tmp_path / "reported.csv", index=False)
    found = verdicts.reported(about)
    assert found["metric"].tolist() == ["b", "d"]
    assert found.index.tolist() == [0, 1]
    assert found[["test", "judged_on", "value"]].to_numpy().tolist() == [["", "", "null"]] * 2
    table.assign(test="ours", judged_on="vgg16").to_csv(tmp_path / "reported.csv", index=False)
    assert verdicts.reported(about)[["test", "judged_on"]].to_numpy().tolist() == [["ours", "vgg16"]] * 2


def test_a_place_may_name_every_column():
    table = pd.DataFrame({"model": ["a", "b"], "n_fit": [8, 16]})
    assert len(verdicts._matching(table, {"model": "a", "n_fit": "8"})) == 1
    assert len(verdicts._matching(table, {})) == 2


def test_an_item_is_judged_in_one_line(monkeypatch):
    name = "equivariant2019/thm1_alignment"
    judged = pd.DataFrame({"kind": ["order"], "verdict": ["confirmed"]})
    judged.attrs["evidence"] = [{"claim": "c"}]
    monkeypatch.setattr(verdicts, "_compared", lambda name, run: judged)
    monkeypatch.setattr(verdicts, "stored_run", lambda name: None)
    expected = {"rows": [{"kind": "order", "verdict": "confirmed"}], "evidence": [{"claim": "c"}]}
    assert verdicts.judge(name) == expected | {"verdict": "not run here"}
    monkeypatch.setattr(verdicts, "stored_run", lambda name: object())
    assert verdicts.judge(name) == expected | {"verdict": "confirmed 1"}
    monkeypatch.setattr(type(runner.item(name)), "function", None)
    assert verdicts.judge(name)["verdict"] == "planned"


def test_published_numbers_follow_the_claims(monkeypatch):
    name = "equivariant2019/thm1_alignment"
    same = {
        "confidence": "verified",
        "source": "s",
        "test": "paper",
        "judged_on": "",
        "tolerance": "0.005",
        "note": "n",
    }
    rows = pd.DataFrame(
        [
            same | {"kind": "level", "metric": "fooling_rate", "where": "model=a", "value": "0.52"},
            same | {"kind": "order", "metric": "said", "where": "", "value": ""},
        ]
    )
    monkeypatch.setattr(verdicts, "reported", lambda about: rows)
    ours = evidence(HOLDS).assign(claim="said", network="a", estimate=0.55)
    monkeypatch.setattr(verdicts, "_evidence", lambda name, run: ours)
    table = pd.DataFrame({"model": ["a"], "fooling_rate": [0.53], "low": [0.5], "high": [0.56]})
    judged = verdicts._compared(name, type("Run", (), {"table": table})())
    assert judged["claim"].tolist() == ["said", "fooling_rate (model=a)"]
    assert judged["verdict"].tolist() == ["confirmed", "confirmed"]
    assert judged["test"].tolist() == ["paper", "paper"]
    assert judged.attrs["evidence"] == ours.to_dict("records")
    monkeypatch.setattr(verdicts, "reported", lambda about: rows.iloc[:0])
    assert verdicts._compared(name, type("Run", (), {"table": table})()).empty


def test_evidence_comes_from_the_items_claims(monkeypatch):
    about = runner.item("equivariant2019/thm1_alignment")
    found = Interval(0.55, 9, 0.5, 0.6)
    stated = property(lambda self: lambda run: iter([claim("c", "a", found, ">", 0.4)]))
    monkeypatch.setattr(type(about), "claims", stated)
    rows = verdicts.evidence(about.name, object())
    assert rows[["claim", "network", "answer"]].to_numpy().tolist() == [["c", "a", "yes"]]
    monkeypatch.setattr(type(about), "claims", None)
    assert verdicts.evidence(about.name, object()).columns.tolist() == list(verdicts.EVIDENCE_COLUMNS)
    assert verdicts._evidence(about.name, None).empty


def test_the_kept_verdict_is_that_of_the_stored_run(monkeypatch):
    """What is kept is used for the stored run alone; any other run is judged now."""
    name = "equivariant2019/thm1_alignment"
    kept = {"rows": [{"claim": "kept"}], "evidence": [{"claim": "kept"}]}
    monkeypatch.setattr(verdicts, "drawn", lambda function, name: kept)
    monkeypatch.setattr(verdicts, "_compared", lambda name, run: "judged now")
    own, stored = object(), object()
    monkeypatch.setattr(verdicts, "stored_run", lambda name: stored)
    assert verdicts.compare(name, own) == "judged now"
    for run in (None, stored):
        found = verdicts.compare(name, run)
        assert found["claim"].tolist() == ["kept"]
        assert found.attrs["evidence"] == kept["evidence"]
    assert verdicts.evidence(name)["claim"].tolist() == ["kept"]
    kept["evidence"] = []
    assert verdicts.evidence(name).columns.tolist() == list(verdicts.EVIDENCE_COLUMNS)


@pytest.mark.parametrize("about", [one for one in runner.items().values() if one.beside], ids=lambda one: one.name)
def test_a_null_that_another_item_measured_decides_where_it_is_the_stronger(about, monkeypatch):
    """Without it the same claims are judged by weaker nulls; no other number of the evidence moves."""
    run = runner.stored_run(about.name)
    beside = verdicts._evidence(about.name, run)
    monkeypatch.setattr(verdicts, "stored", lambda name: None)
    alone = verdicts._evidence(about.name, run)
    columns = ["claim", "network", "estimate", "sense", "bound"]
    pd.testing.assert_frame_equal(beside[columns], alone[columns])
    both = beside["null"].notna()
    assert (beside["null"][both] >= alone["null"][both]).all()
    assert (beside["null"][both] > alone["null"][both]).any()
    changed = beside["null_name"] != alone["null_name"]
    assert set(beside["null_name"][changed].str.split(" (", regex=False).str[0]) <= {"best pattern", "random phases"}


def test_a_page_is_made_from_the_runs_that_its_claims_are_judged_by():
    for about in runner.items().values():
        for _, other in about.beside:
            assert f"results/{other}.npz" in depends.of_item(about.name)
            assert set(inspect.signature(about.claims).parameters) >= {keyword for keyword, _ in about.beside}
