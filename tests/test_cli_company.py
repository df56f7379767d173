"""``uapkit run`` as several processes: on one machine, as an array on Slurm, as pods; the table is that of one alone."""

import os
import subprocess
import sys

import pytest
import yaml

from uapkit import cli, runner

ROOT = runner.project_root()
ITEM = "khrulkov2018/fig_q_sweep"
SMALL = ["-p", "models=[linear_digits]", "-p", "layer=fc", "-p", "qs=[2, 3, 5]", "-p", "n_random=1", "-p", "n_eval=60"]


@pytest.fixture
def said(tmp_path):
    """What a command prints, without the line of seconds; each name has a cache of its own."""

    def run(command, name, **more):
        environment = os.environ | {
            "UAPKIT_CACHE": str(tmp_path / name),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
            **more,
        }
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT, timeout=300
        )
        return done.stdout.rpartition("\n\n")[0]

    return run


def command(*more):
    return [sys.executable, "-m", "uapkit", "run", ITEM, *SMALL, *more]


def test_two_processes_print_the_table_of_one(said):
    alone = said(command(), "alone")
    assert alone.count("singular vector") == 3
    assert said(command("--jobs", "2"), "company") == alone
    assert said(command(), "company") == alone


def test_the_slurm_script_divides_and_saves(said, tmp_path):
    """The array's jobs, one after the other, then the one that saves; ``sbatch`` itself is not here."""
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/bash\necho "$@"\n')
    stand_in.chmod(0o755)
    script = ["bash", str(ROOT / "profiles" / "slurm.sbatch")]
    told = {"ITEM": ITEM, "PYTHON": str(stand_in), "MORE": "-p device=cuda"}
    for more, last in (({}, "--together"), ({"SAVE": "1"}, "--save")):
        environment = os.environ | told | more
        done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
        words = done.stdout.split()
        assert words[:2] == ["-m", "uapkit"]
        args = cli.parser().parse_args(words[2:])
        assert (args.item, args.full, args.parameter) == (ITEM, True, ["device=cuda"])
        assert (args.together, args.save) == (last == "--together", last == "--save")


def test_the_pods_command_is_one():
    job = yaml.safe_load((ROOT / "profiles" / "kubernetes.yml").read_text(encoding="utf-8"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    words = container["command"]
    assert words[1:3] == ["-m", "uapkit"]
    args = cli.parser().parse_args(words[3:])
    assert args.together
    assert args.item in runner.items()
    volumes = {v["name"] for v in job["spec"]["template"]["spec"]["volumes"]}
    assert {m["name"] for m in container["volumeMounts"]} == volumes


def test_a_count_of_jobs_below_one_is_refused(capsys):
    assert cli.main(["run", ITEM, "--jobs", "0"]) == 2
    assert "--jobs must be 1 or more, got 0" in capsys.readouterr().err
