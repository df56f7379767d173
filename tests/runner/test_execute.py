"""Running: parameters, provenance, what is reused and what is computed anew."""

import json
import math

import numpy as np
import pytest

from uapkit import runner, sources
from uapkit.lab import memo
from uapkit.runner import catalogue
from uapkit.runner.execute import full_parameters

NAME = "khrulkov2018/tab1_layers"


def test_run_records_where_numbers_come_from(project, counted):
    table = runner.run(NAME, q=2.0)
    record = table.attrs["provenance"]
    assert record["params"] == {"models": ["a", "b"], "q": 2.0, "seed": 0}
    assert record["inputs"] == {"weights of a": "0" * 64, "weights of b": "0" * 64}
    assert record["rows"] == 2
    assert {"commit", "dirty", "versions", "device", "seconds", "code_sha256"} <= set(record)
    assert record["seconds_count"] == "each kept answer once"
    assert record["kept"] == {"reused": 0, "computed": 2}
    assert not (project / "results").exists(), "a run that is not saved writes nothing into the project"


def test_unknown_parameter_names_the_nearest(project, counted):
    with pytest.raises(ValueError, match=r"unknown parameter .*'modells'.*'models'"):
        runner.run(NAME, modells=["a"])
    assert counted == []


def test_unknown_item_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown item 'khrulkov2018/tab1_layer'.*khrulkov2018/tab1_layers"):
        runner.run("khrulkov2018/tab1_layer")


def test_kept_answers_are_reused_and_their_inputs_noted(project, counted):
    first = runner.run(NAME)
    second = runner.run(NAME, models=["b", "a", "c"])
    assert counted == ["a", "b", "c"], "only what is new is computed"
    assert second.attrs["provenance"]["kept"] == {"reused": 2, "computed": 1}
    assert set(second.attrs["provenance"]["inputs"]) == {f"weights of {m}" for m in "abc"}
    assert second["model"].tolist() == ["b", "a", "c"]
    assert second["fooling_rate"].tolist() == [*first["fooling_rate"], 5.0]
    np.testing.assert_array_equal(second.attrs["arrays"]["v/a"], np.float32([10, -10]))


def test_other_parameters_reuse_nothing(project, counted):
    runner.run(NAME)
    assert runner.run(NAME, q=4.0)["fooling_rate"].tolist() == [2.0, 2.0]
    assert counted == ["a", "b", "a", "b"]


def test_other_code_reuses_nothing(project, counted, monkeypatch):
    first = runner.run(NAME)
    monkeypatch.setattr(sources, "code", lambda thing: "other code")
    second = runner.run(NAME)
    assert counted == ["a", "b", "a", "b"]
    codes = [table.attrs["provenance"]["code_sha256"] for table in (first, second)]
    assert codes[0] != codes[1] == "other code"


def test_a_run_of_code_that_is_being_edited_says_that_it_is_unknown(project, counted, monkeypatch):
    def edited(thing):
        raise sources.Unidentified("tab1_layers.py was edited after this process had started")

    monkeypatch.setattr(sources, "code", edited)
    for _ in range(2):
        record = runner.run(NAME).attrs["provenance"]
    assert record["code_sha256"] == "unknown: tab1_layers.py was edited after this process had started"
    assert counted == ["a", "b", "a", "b"], "and nothing is kept"


def test_an_interrupted_run_resumes(project, counted, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    write = memo.stored.write
    monkeypatch.setattr(memo.stored, "write", lambda *a: stop() if len(counted) == 2 else write(*a))
    with pytest.raises(KeyboardInterrupt):
        runner.run(NAME)
    monkeypatch.setattr(memo.stored, "write", write)
    runner.run(NAME)
    assert counted == ["a", "b", "b"], "what was finished is kept, what was interrupted is computed again"


def test_a_half_written_answer_is_never_read(project, counted):
    runner.run(NAME)
    entries = list((project / "cache" / "kept").rglob("*.npz"))
    assert len(entries) == 2
    for path in entries:
        path.write_bytes(path.read_bytes()[:50])
    with pytest.warns(UserWarning, match="damaged"):
        runner.run(NAME)
    assert counted == ["a", "b", "a", "b"]


def test_missing_weights_keep_their_row(project, counted):
    table = runner.run(NAME, models=["a", "missing"])
    assert table["status"].tolist() == ["run", "not run here"]
    assert np.isnan(table["fooling_rate"].iloc[1])


def test_notebook_refuses_a_parameter_it_does_not_have(counted):
    namespace = {"models": ["a"], "q": 1.0, "modls": ["b"], "In": [], "_private": 1}
    with pytest.raises(ValueError, match=r"unknown parameter .*'modls'"):
        runner.notebook_parameters(NAME, namespace)
    del namespace["modls"]
    assert runner.notebook_parameters(NAME, namespace) == {"models": ["a"], "q": 1.0}


def test_provenance_and_messages_hold_no_path_of_this_machine(project, counted, monkeypatch):
    monkeypatch.setenv("UAPKIT_DATA", str(project / "data"))
    record = runner.run(NAME).attrs["provenance"]
    assert str(project) not in json.dumps(record)
    assert runner.without_paths(f"no file {project}/data/x") == "no file <project>/data/x"


WRONG = [
    ({"models": "mlp_digits"}, r"models .* must be a list, \[mlp_digits\] say, got 'mlp_digits'"),
    ({"models": []}, r"models .* must be a list of one network at least, got \[\]"),
    ({"models": 3}, "models .* must be a list"),
    ({"n_fit": 1.5}, "n_fit .* must be a whole number, not negative, got 1.5"),
    ({"n_fit": -3}, "n_fit .* must be a whole number, not negative"),
    ({"n_fit": math.inf}, "n_fit .* must be a whole number"),
    ({"n_fit": [16]}, "n_fit .* must be a number"),
    ({"n_fit": True}, "n_fit .* must be a number"),
    ({"n_fit": 10**400}, "n_fit .* must be a number"),
    ({"eps": math.nan}, r"eps .* must be a number in \[0, 1e\+30\], got nan"),
    ({"eps": "ten"}, r"eps .* must be a number in \[0, 1e\+30\], got 'ten'"),
    ({"eps": -0.1}, r"eps .* must be a number in \[0, 1e\+30\], got -0.1"),
    ({"eps": True}, r"eps .* must be a number in \[0, 1e\+30\], got True"),
    ({"eps": {"vgg_digits": 0.2, "other": -1}}, r"eps .* must be a number in \[0, 1e\+30\], got {'vgg_digits'"),
    ({"seed": -1}, "seed .* must be a whole number, not negative"),
    ({"data": ["digits"]}, "data .* must be text, such as digits"),
    ({"device": 0}, "device .* must be text, such as cpu"),
    ({"n_fit": None}, "n_fit .* must be a number, got None"),
    ({"n_fit": {"a": 1.5}}, "n_fit .* must be a whole number, not negative, got {'a': 1.5}"),
    ({"n_eval": "many"}, "n_eval .* must be a number"),
    ({"seed": None}, "seed .* must be a number, got None"),
    ({"data": None}, "data .* must be text, such as digits, got None"),
    ({"models": None}, "models .* must be a list, got None"),
    ({"layers": 7}, r"layers .* must be a list, \[7\] say, got 7"),
    ({"layers": "conv1"}, r"layers .* must be a list, \[conv1\] say"),
    ({"layers": {"a": 7}}, r"layers .* must be a list, \[7\] say"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[str(given) for given, _ in WRONG])
def test_values_of_another_kind_are_refused_before_anything_runs(given, said):
    with pytest.raises(ValueError, match=said) as error:
        runner.check_parameters(runner.item(NAME), given)
    assert "\n" not in str(error.value)


def test_values_of_the_right_kind_pass():
    fine = {"models": ["a"], "n_fit": 16.0, "p": math.inf, "layers": {"a": ["b"]}, "n_eval": None}
    assert runner.check_parameters(runner.item(NAME), fine).items() >= fine.items()
    by_network = {"n_fit": {"mlp_digits": 4, "other": 0}, "data": {"other": "digits"}}
    assert runner.check_parameters(runner.item("jetley2018/fig1_scores"), by_network).items() >= by_network.items()
    assert runner.check_parameters(runner.item(NAME), {"eps": {"vgg_digits": 0, "other": "0.1"}})
    beside = {"betas": [], "noises": []}
    assert runner.check_parameters(runner.item("jetley2018/ext_step"), beside).items() >= beside.items()


@pytest.mark.parametrize(
    ("item", "given", "taken"),
    [
        (NAME, {"n_fit": 1e1, "n_eval": 1e2, "n_random": 1.0}, "{'n_fit': 10, 'n_eval': 100, 'n_random': 1}"),
        (NAME, {"q": "1e1", "eps": np.float32(0.5)}, "{'q': 10.0, 'eps': 0.5}"),
        (NAME, {"seed": np.int64(2**60), "max_iter": "20", "p": 2}, f"{{'seed': {2**60}, 'max_iter': 20, 'p': 2}}"),
        (NAME, {"n_fit": {"a": 4.0, "other": "8"}, "layers": None}, "{'n_fit': {'a': 4, 'other': 8}, 'layers': None}"),
        ("moosavi2017/fig1_teaser", {"n_images": 8.0, "n_eval": {"other": None}}, "{'n_images': 8, 'n_eval': {'other': None}}"),
        ("jetley2018/fig1_scores", {"k": 25.0, "targets": [3.0, 8.0]}, "{'k': 25, 'targets': [3, 8]}"),
        ("khrulkov2018/ext_patterns", {"angles": [0.5, 45]}, "{'angles': [0.5, 45]}"),
        ("khrulkov2018/fig_q_sweep", {"qs": (1, "inf")}, "{'qs': (1, inf)}"),
    ],
)  # fmt: skip
def test_numbers_come_as_the_kind_that_the_item_counts_with(item, given, taken):
    full = runner.check_parameters(runner.item(item), given)
    assert repr({name: full[name] for name in given}) == taken


@pytest.mark.parametrize(
    ("item", "given", "said"),
    [
        ("jetley2018/fig1_scores", {"targets": [3, 1.5]}, "targets .* must be a list, each a whole number, not negative"),
        ("khrulkov2018/fig_q_sweep", {"qs": [1, None]}, "qs .* must be a list, each a number"),
        ("khrulkov2018/fig_examples", {"layer": 7}, "layer .* must be text, such as conv1"),
        ("moosavi2017/fig1_teaser", {"n_fit": None}, "n_fit .* must be a number, got None"),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_refused_in_lists_and_beside_none(item, given, said):
    with pytest.raises(ValueError, match=said):
        runner.check_parameters(runner.item(item), given)


def test_full_runs_are_taken_as_they_are_written():
    for about in runner.items().values():
        if about.function is not None and about.path("full").is_file():
            given = full_parameters(about)
            full = runner.check_parameters(about, given)
            assert repr({name: full[name] for name in given}) == repr(given)


def test_an_error_of_pythons_own_names_the_parameters_that_were_given(project, counted, monkeypatch):
    def run(*, models=("a",), norms=(1.0,)):
        return [1 / norm for norm in norms]

    monkeypatch.setattr(catalogue.Item, "function", property(lambda self: run))
    with pytest.raises(
        ValueError, match=rf"{NAME} does not run with norms=\[0.0\] \(ZeroDivisionError: .* in test_execute.py, line"
    ) as said:
        runner.run(NAME, norms=[0.0])
    assert isinstance(said.value.__cause__, ZeroDivisionError)
    run.__kwdefaults__["norms"] = (0.0,)
    with pytest.raises(ZeroDivisionError):
        runner.run(NAME)
