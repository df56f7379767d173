"""Another processor rounds otherwise: it is noticed, what hangs on it is left out, and no run becomes stale by it."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import torch

from uapkit import cli, runner
from uapkit.runner import arithmetic, quick, results, verified, verify
from uapkit.runner.deviation import restless

NAME = "khrulkov2018/tab1_layers"


def checksum(environment):
    program = "from uapkit.runner import arithmetic; print(arithmetic.checksum())"
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_another_instruction_set_is_noticed_and_another_number_of_threads_is_not():
    found = [checksum(environment | {"OMP_NUM_THREADS": "2"}) for environment in arithmetic.elsewhere()]
    assert len({*found, arithmetic.checksum()}) == len(found) + 1
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        here = arithmetic.checksum()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert here == arithmetic.checksum()


def test_columns_that_move_by_more_than_a_tenth_of_the_tolerance():
    stored = pd.DataFrame({"share": [0.2, 0.4], "size": [10.0, 20.0], "sign": ["+", "-"], "n": [5, 5]})
    again = stored.assign(share=[0.2004, 0.4], size=[10.03, 20.0], sign=["+", "+"])
    assert restless(stored, again) == ["sign", "size"]
    assert restless(stored, again, margin=0.05) == ["share", "sign", "size"]
    assert restless(stored, stored) == []
    assert restless(stored, stored[:1]) == ["n", "share", "sign", "size"], "row by row nothing can be said"


@pytest.fixture
def elsewhere(project, counted, monkeypatch):
    """The record of a stored quick run, as of a machine that rounds otherwise; a function that changes it."""
    monkeypatch.setattr(verify, "declared", dict)
    runner.run(NAME, save=True, q=2.0)
    path = quick.store(NAME)
    record = path.with_suffix(".json")
    assert json.loads(record.read_text())["arithmetic"] == arithmetic.checksum()

    def change(rows=lambda table: table, **entries):
        results.write_whole(path, results.table_bytes(rows(results.read_table(path.read_bytes()))))
        record.write_text(json.dumps(json.loads(record.read_text()) | entries))

    change(arithmetic="another")
    return change


def test_what_is_equal_elsewhere_agrees(elsewhere):
    found = verify.check(NAME, how_far=verify.QUICK)
    assert (found.agrees, found.equal, found.elsewhere, found.left_out) == (True, True, True, ())


def test_what_hangs_on_rounding_is_left_out_elsewhere_and_only_there(elsewhere, capsys):
    elsewhere(lambda table: table.assign(fooling_rate=[4.0, 3.0]), restless=["fooling_rate"])
    found = verify.check(NAME, how_far=verify.QUICK)
    assert (found.agrees, found.left_out) == (True, ("fooling_rate",))
    assert cli.main(["check", NAME, "--how-far", "quick run", "--save"]) == 0
    assert ", without fooling_rate)" in capsys.readouterr().err
    assert verified.last(NAME)["left_out"] == ["fooling_rate"]
    elsewhere(arithmetic=arithmetic.checksum())
    assert verify.check(NAME, how_far=verify.QUICK).agrees is False


def test_a_difference_elsewhere_is_told_and_makes_no_run_stale(elsewhere, project, capsys):
    elsewhere(lambda table: table.assign(n=[9, 10]))
    assert cli.main(["check", NAME, "--how-far", "quick run", "--save"]) == 1
    assert f"{NAME}: differs" in capsys.readouterr().err
    assert not (project / "results" / "stale.yml").exists()
    assert verified.last(NAME) is None
    assert verified.tried(NAME)["why"].startswith("on a machine that rounds otherwise it differs: n in row 1")
    elsewhere(arithmetic=arithmetic.checksum())
    cli.main(["check", NAME, "--how-far", "quick run", "--save"])
    assert "did not give the stored rows: n in row 1" in runner.load(NAME).attrs["stale"]


def test_digits_turned_and_weights_drawn_otherwise_by_the_last_bit_are_compared_all_the_same(elsewhere, monkeypatch):
    def also(*given):
        made = real(*given)
        made.attrs["provenance"]["inputs"] |= dict.fromkeys(rounded, "2" * 64)
        return made

    real, rounded = verify.computed, ("digits/test (n=9, seed=0)", "mlp_digits[random]")
    monkeypatch.setattr(verify, "computed", also)
    elsewhere(inputs={"weights of a": "0" * 64} | dict.fromkeys(rounded, "1" * 64))
    assert verify.check(NAME, how_far=verify.QUICK).agrees
    elsewhere(arithmetic=arithmetic.checksum())
    assert verify.check(NAME, how_far=verify.QUICK).agrees is None


def test_where_all_of_it_hangs_on_rounding_nothing_is_compared(elsewhere):
    elsewhere(lambda table: table[:1], restless=["fooling_rate", "model", "n", "status"])
    found = verify.check(NAME, how_far=verify.QUICK)
    assert (found.agrees, found.how_far) == (None, verify.NOTHING)
    assert found.differences == ("all of it hangs on how a processor rounds",)


def test_a_network_that_a_full_run_trains_itself_may_come_out_otherwise_elsewhere(elsewhere):
    table = runner.load(NAME)
    record = table.attrs["provenance"] | {"inputs": {"weights of a": "1" * 64}}
    results.store(table, runner.item(NAME), record)
    found = verify.check(NAME, how_far=verify.WHOLE)
    assert found.agrees is None
    assert found.differences[0].startswith("the networks of the whole came out otherwise on this machine")
    elsewhere(arithmetic=arithmetic.checksum())
    assert verify.check(NAME, how_far=verify.WHOLE).agrees is False


def test_how_far_a_quick_run_moves_is_measured_with_an_older_instruction_set(project, monkeypatch):
    """A real item, the smallest; its network is trained within the run, so it moves."""
    name = "moosavi2017/fig2_aggregation"
    path = quick.store(name)
    before = path.read_bytes()
    found = quick.measure(name)
    assert json.loads(path.with_suffix(".json").read_text())["restless"] == found
    assert path.read_bytes() == before
    assert not {"model", "n"} & set(found)
