"""The command line: what it prints, and exit status 0 only where everything asked for was done."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from uapkit import cli, runner
from uapkit.lab import split_name
from uapkit.models.catalogue import find
from uapkit.runner import catalogue, execute, given

ROOT = Path(__file__).resolve().parents[1]


SEEN = {}


def run(*, q=10.0, models=("a",), p=float("inf"), data="digits", seed=0):
    """An item that remembers what it was given."""
    SEEN.update(q=q, models=models, p=p)
    return pd.DataFrame({"model": list(models), "status": "run", "fooling_rate": 0.5, "n": 3})


@pytest.fixture
def item(monkeypatch, tmp_path):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))
    SEEN.clear()
    module = ModuleType("an_item")
    module.run = run
    monkeypatch.setattr(catalogue.Item, "module", property(lambda self: module))
    return SEEN


def test_where_prints_all_partners(capsys):
    assert cli.main(["where", "tab1_layers"]) == 0
    text = capsys.readouterr().out
    for partner in (
        "notebooks/khrulkov2018/tab1_layers.ipynb",
        "uapkit/papers/khrulkov2018/tab1_layers.py:",
        "published rows",
    ):
        assert partner in text
    assert "tests/papers/khrulkov2018/test_tab1_layers.py:" in text


def test_where_takes_an_experiment_id(capsys):
    assert cli.main(["where", "K4"]) == 0
    assert "khrulkov2018/tab1_layers" in capsys.readouterr().out


def test_where_unknown_suggests(capsys):
    assert cli.main(["where", "khrulkov2018/tab1_layer_"]) == 2
    assert "nearest names" in capsys.readouterr().err


def test_list_names_every_item(capsys):
    assert cli.main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in runner.items())


def test_run_reads_values_as_yaml(item, capsys):
    assert cli.main(["run", "khrulkov2018/tab1_layers", "-p", "q=5", "-p", "models=[b, c]", "-p", "p=1e1"]) == 0
    assert item == {"q": 5, "models": ["b", "c"], "p": 10.0}
    out = capsys.readouterr().out
    assert "2 rows" in out
    assert "0 kept answers reused" in out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[net[tag], b]", ["net[tag]", "b"]),
        ("net[tag]", "net[tag]"),
        ("""["net[tag]", 'b[c]']""", ["net[tag]", "b[c]"]),
        ("{net[tag]: 5, default: 6}", {"net[tag]": 5, "default": 6}),
        ("[[1, 2], [3]]", [[1, 2], [3]]),
        ("[my_net.py:make]", ["my_net.py:make"]),
        ("null", None),
    ],
)
def test_networks_with_a_tag_need_no_quotes(text, value):
    assert given.parameters([f"models={text}"]) == {"models": value}


COMMANDS = [
    pytest.param(shlex.split(line, comments=True), id=f"{path.name}: {line[:60]}")
    for path in sorted([ROOT / "README.md", *(ROOT / "book").rglob("*.md")])
    for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    if line.startswith("uapkit run ") and "<" not in line
]


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_runs_name_parameters_and_networks_that_there_are(command):
    args = cli.parser().parse_args(command[1:])
    asked = given.parameters(args.parameter)
    assert set(asked) <= set(runner.item(args.item).parameters)
    for network in asked.get("models", []):
        assert ":" in network or find(*split_name(network))


def test_there_are_documented_runs():
    assert len(COMMANDS) > 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "khrulkov2018/tab1_layers", "-p", "qq=5"], "unknown parameter of khrulkov2018/tab1_layers 'qq'"),
        (["run", "khrulkov2018/tab1_layers", "-p", "q"], "name=value"),
        (["run", "khrulkov2018/tab1_layers", "-p", "models=[a, b"], "the value of -p models must be"),
        (["run", "nothing/at_all"], "unknown item"),
        (
            ["run", "khrulkov2018/tab1_layers", "-p", "models=[1]"],
            "models of khrulkov2018/tab1_layers must be a list of networks",
        ),
        (["run", "khrulkov2018/tab1_layers", "-p", "models=[null]"], "must be a list of networks by name, got [None]"),
        (["run", "khrulkov2018/tab1_layers", "-p", "models=[[a]]"], "must be a list of networks by name, got [['a']]"),
        (["run", "khrulkov2018/tab1_layers", "-p", "data=''"], "must be text, such as digits, got ''"),
        (["bench", "jacobean"], "unknown benchmark"),
        (["book", "--cores", "0"], "--cores must be an integer of at least 1, got 0"),
        (["book", "--cores", "-1"], "--cores must be an integer of at least 1, got -1"),
    ],
)
def test_refusals_are_one_sentence(item, capsys, arguments, words):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_interrupt_says_how_to_resume(item, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("uapkit.runner.run", stop)
    assert cli.main(["run", "khrulkov2018/tab1_layers"]) == 130
    assert "what was finished is kept, the same command resumes" in capsys.readouterr().err


def test_full_run_uses_the_stored_parameters(item, monkeypatch, capsys):
    monkeypatch.setattr(execute, "full_parameters", lambda about: {"q": 3.0})
    assert cli.main(["run", "khrulkov2018/tab1_layers", "--full", "-p", "models=[z]"]) == 0
    assert item["q"] == 3.0
    assert item["models"] == ["z"]


def test_scoreboard_is_machine_readable(capsys):
    assert cli.main(["scoreboard", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["item"] for r in rows] == list(runner.items())
    assert all(r["verdict"] for r in rows)


def test_what_only_looks_things_up_loads_neither_torch_nor_pandas(capsys):
    """Once verdicts and records are kept: the first call after a change computes them."""
    assert cli.main(["list"]) == cli.main(["scoreboard"]) == 0
    for command in (["--help"], ["list"], ["where", "tab1"], ["scoreboard"], ["scoreboard", "--json"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "uapkit", *command],
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
        assert "uapkit" in loaded
        assert not loaded & {"torch", "torchvision", "pandas", "numpy", "matplotlib"}, command


@pytest.mark.parametrize("command", ["where", "list", "run", "page", "book", "scoreboard", "data", "models", "bench"])
def test_help_on_each(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert "usage: uapkit" in capsys.readouterr().out


def test_a_value_that_is_no_number_names_its_parameter(item, capsys):
    assert cli.main(["run", "khrulkov2018/tab1_layers", "-p", "q=ten"]) == 2
    assert "parameter q of khrulkov2018/tab1_layers must be a number, got 'ten'" in capsys.readouterr().err
    assert given.parameters(["size={n_points: 2e1, eps: [1e-3]}"]) == {"size": {"n_points": 20.0, "eps": [0.001]}}


def test_saving_is_checked_before_the_run(item, capsys, monkeypatch, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir(mode=0o500)
    monkeypatch.setattr(catalogue.Item, "path", lambda self, kind: folder / "results" / "a.csv")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cli.main(["run", "khrulkov2018/tab1_layers", "--save"]) == 2
    assert "results cannot be stored" in capsys.readouterr().err
    assert item == {}  # nothing was computed


@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("command", ["list", "data", "models", "scoreboard"])
def test_tables_fit_the_terminal(command, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.main([command]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= max(columns, 8 * 12)
    assert cli.main([command, "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert len(whole if isinstance(whole, list) else whole.popitem()[1]) > 3


def test_torchs_own_errors_are_one_sentence(item, capsys, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("CUDA error: no kernel image\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(runner, "run", fails)
    assert cli.main(["run", "khrulkov2018/tab1_layers"]) == 2
    assert capsys.readouterr().err == "uapkit: CUDA error: no kernel image\n"


def test_a_closed_pipe_is_silent():
    command = f"{shlex.quote(sys.executable)} -m uapkit models | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert "name" in done.stdout
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("value", ["perhaps", "1", "'no'", "[true]"])
def test_save_is_true_or_false(item, capsys, value):
    assert cli.main(["run", "khrulkov2018/tab1_layers", "-p", f"save={value}"]) == 2
    assert "parameter save must be true or false, got " in capsys.readouterr().err
    assert item == {}, "nothing ran"


def test_a_project_folder_that_is_none_is_named(monkeypatch, tmp_path, capsys):
    """Results would be stored in another clone than the one that was meant."""
    monkeypatch.setenv("UAPKIT_ROOT", str(tmp_path))
    assert cli.main(["list"]) == 2
    assert "which holds no _toc.yml; set it to a clone of uapkit" in capsys.readouterr().err
    monkeypatch.setenv("UAPKIT_ROOT", "")
    assert runner.project_root() == ROOT


def test_a_name_that_no_item_has_is_checked_by_nobody(capsys):
    assert cli.main(["check", "khrulkov2018/tab1_layers_"]) == 2
    assert "nearest names" in capsys.readouterr().err
