"""The benchmark's own promises: a row above its target says MISS, a command that fails is no fast one."""

import importlib
import subprocess
import sys

import pytest

from uapkit.runner.catalogue import project_root

sys.path.insert(0, str(project_root()))
benchmark = importlib.import_module("benchmarks.commands")


@pytest.mark.parametrize(("target", "verdict"), [(0.0, "MISS"), (1e9, "ok")])
def test_misses_are_called_misses(target, verdict):
    row = benchmark._row("x", ("-c", "sum(range(2_000_000))"), target, repeats=3)
    assert row["verdict"] == verdict
    assert row["ratio"] > 1


def test_commands_are_those_that_were_promised():
    promised = ["import uapkit", *(f"uapkit {word}" for word in ("--help", "where tab1", "list", "scoreboard"))]
    assert list(benchmark.COMMANDS) == promised
    assert benchmark.TARGET == 20
    assert benchmark.IMPORTS == 1.5


def test_a_command_that_fails_is_not_timed():
    with pytest.raises(subprocess.CalledProcessError):
        benchmark._seconds("-c", "raise SystemExit(2)")
