"""Weights that quick runs are stored with: a machine that trains its networks otherwise still has something to compare."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from uapkit import cli, data, models, runner
from uapkit.models import trained
from uapkit.runner import catalogue, networks, quick, results, verified, verify

NAME, NETWORK = "khrulkov2018/tab1_layers", "linear_digits"
ROOT = Path(__file__).parents[2]


def run(*, n_eval=20, seed=0):
    """An item: what a network says about some digits."""
    logits = models.load(NETWORK)(data.load("digits", n=n_eval, seed=seed).x)
    return pd.DataFrame({"model": NETWORK, "status": "run", "logit": logits.amax(1).tolist()})


@pytest.fixture
def stored(project, monkeypatch):
    """A project with the full and the quick run of that item; the record of the quick one."""
    module = ModuleType("an_item")
    module.run = run
    monkeypatch.setattr(catalogue.Item, "module", property(lambda self: module))
    monkeypatch.setattr(quick, "measure", lambda name: [])
    results.store(*_computed())
    return json.loads(quick.store(NAME).with_suffix(".json").read_text())


def _computed():
    table = runner.run(NAME, n_eval=21)
    return table, runner.item(NAME), table.attrs["provenance"]


@pytest.fixture
def elsewhere(stored, project, monkeypatch):
    """The same project on a machine where training rounds otherwise; the checksum of the network there."""
    real = trained._train
    other = project / "cache of another machine"
    monkeypatch.setenv("UAPKIT_CACHE", str(other))
    monkeypatch.setattr(trained, "_train", lambda entry: real(replace(entry, recipe=entry.recipe | {"seed": 1})))
    found = models.load(NETWORK).card.sha256
    assert found != sha256(stored)
    return found


def sha256(record):
    return record["inputs"][f"{NETWORK}[trained]"]


def the_file(record):
    return networks.path_of(NETWORK, sha256(record))


def test_a_quick_run_is_stored_with_the_weights_of_its_networks(stored):
    assert sha256(stored) == models.load(NETWORK).card.sha256
    assert list(networks.folder().iterdir()) == [the_file(stored)]
    assert quick.store(NAME).is_file(), "a second time they are there"
    assert list(networks.folder().iterdir()) == [the_file(stored)]


def test_another_machine_compares_with_the_stored_weights_and_says_so(stored, elsewhere, project, capsys):
    before = dict(os.environ)
    found = verify.check(NAME, how_far=verify.QUICK)
    assert (found.agrees, found.equal, found.rows) == (True, True, 20)
    assert found.weights == (f"{NETWORK} {sha256(stored)[:12]}",)
    assert models.load(NETWORK).card.sha256 == elsewhere, "outside the check the machine keeps its own"
    assert dict(os.environ) == before
    assert cli.main(["check", NAME, "--how-far", "quick run", "--save"]) == 0
    assert f"with the stored weights of {NETWORK} {sha256(stored)[:12]})" in capsys.readouterr().err
    assert verified.last(NAME)["weights"] == [f"{NETWORK} {sha256(stored)[:12]}"]


def test_without_them_it_has_nothing_to_compare(stored, elsewhere, monkeypatch):
    monkeypatch.setattr(networks, "trained_at_first_use", lambda inputs: {})
    found = verify.check(NAME, how_far=verify.QUICK)
    assert found.agrees is None
    assert found.differences[0].startswith("the networks of the quick run came out otherwise on this machine")
    assert found.weights == ()


def test_a_full_run_has_no_use_for_them(stored, elsewhere):
    found = verify.check(NAME, how_far=verify.WHOLE)
    assert found.weights == ()
    assert not found.agrees
    assert found.differences[0].startswith(f"{NETWORK}[trained] is another file now")


def test_a_number_that_the_code_gives_otherwise_is_found_with_them_as_well(stored, elsewhere, monkeypatch):
    real = verify.computed
    monkeypatch.setattr(verify, "computed", lambda *a: _doubled(real(*a)))
    found = verify.check(NAME, how_far=verify.QUICK)
    assert found.agrees is False
    assert found.differences[0].startswith("logit in row ")


def _doubled(table):
    made = table.assign(logit=2 * table["logit"])
    made.attrs = table.attrs
    return made


def _others(path):
    shutil.copyfile(trained.cached_path(models.catalogue.find(NETWORK, "default")), path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_others, r"quick/weights/.* holds other weights \(sha256 expected "),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is truncated or no file of weights"),
        (Path.unlink, "with which the quick run was stored, is missing; restore it from git"),
    ],
    ids=["another network's", "cut off", "gone"],
)
def test_weights_with_a_wrong_checksum_are_refused_in_one_sentence(stored, elsewhere, capsys, change, said):
    change(the_file(stored))
    with pytest.raises(ValueError, match=said) as refusal:
        verify.check(NAME, how_far=verify.QUICK)
    assert "\n" not in str(refusal.value)
    assert the_file(stored).name in str(refusal.value)
    assert cli.main(["check", NAME, "--how-far", "quick run"]) == 1
    assert f"{NAME}: failed" in capsys.readouterr().err


def test_weights_that_no_quick_run_names_any_more_are_deleted(stored, elsewhere):
    before = the_file(stored)
    assert networks.forget_others() == []
    assert quick.main([NAME]) == 0
    (now,) = networks.folder().iterdir()
    assert now == networks.path_of(NETWORK, elsewhere), "the record names what this machine has trained"
    assert now != before


def test_weights_that_cannot_be_kept_are_not_stored_half(stored, elsewhere, monkeypatch):
    monkeypatch.setattr(networks, "cached_path", lambda entry: None)
    with pytest.raises(FileNotFoundError, match="set UAPKIT_CACHE to a folder that can be written"):
        networks.keep({f"{NETWORK}[trained]": elsewhere})


def test_only_networks_that_each_machine_trains_are_meant():
    inputs = {"lenet_digits[random]": "0", "lenet_digits seen at 12[wrapped]": "1", "digits/test (n=9, seed=0)": "2"}
    inputs |= {"lenet_mnist[trained]": "3", "toy network[wrapped]": "4", "squeezenet1_1[gluon]": "5"}
    assert networks.trained_at_first_use(inputs) == {}
    (found,) = networks.trained_at_first_use(inputs | {"mlp_digits[trained]": "6"}).items()
    assert (found[0], found[1][0].name, found[1][1]) == ("mlp_digits", "mlp_digits", "6")


def test_every_stored_quick_run_has_its_weights_and_there_are_no_others():
    records = [json.loads(path.read_text())["inputs"] for path in (ROOT / "results" / "quick").glob("*.json")]
    wanted = {(n, sha256) for one in records for n, (_, sha256) in networks.trained_at_first_use(one).items()}
    there = set((ROOT / "results" / "quick" / "weights").iterdir())
    assert {networks.path_of(*one) for one in wanted} == there
    for one in wanted:
        networks._verify(networks.path_of(*one), one[1])
    assert sum(path.stat().st_size for path in there) < 5e6
