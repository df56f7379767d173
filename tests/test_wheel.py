"""The package as people install it: a wheel, outside the clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's content in a folder of its own, built from a copy of the sources that git knows."""
    home = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "uapkit", "pyproject.toml", "README.md", "LICENSE*"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in filter(lambda n: (ROOT / n).is_file(), names):
        target = home / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    build = "from setuptools import build_meta; print(build_meta.build_wheel('../dist'))"
    (home / "dist").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=home / "source", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = (home / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(home / "site")
    return home / "site"


def outside(installed, folder, *command):
    environment = {k: v for k, v in os.environ.items() if k != "UAPKIT_ROOT"} | {"PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_all_that_the_package_reads(installed):
    known = subprocess.run(["git", "ls-files", "uapkit"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    missing = [name for name in known.splitlines() if (ROOT / name).is_file() and not (installed / name).is_file()]
    assert missing == []


def test_the_algorithms_work_outside_the_clone(installed, tmp_path):
    code = """
import uapkit
assert {"attacks", "models"} <= set(dir(uapkit)), dir(uapkit)
from uapkit import attacks, data, evaluate, models, runner
images, model = data.load("digits", n=30), models.load("linear_digits")
print(attacks.singular_uap(model, images, layer="logits", eps=0.2))
found = attacks.uap(model, images, eps=0.3, max_passes=1)
print(evaluate.fooling_rate(model, images, found), len(models.status()), len(data.status()), len(runner.items()))
print(uapkit.__file__)
"""
    done = outside(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr[-2000:]
    assert str(installed) in done.stdout


def test_an_item_runs_outside_the_clone(installed, tmp_path):
    done = outside(
        installed, tmp_path, "-m", "uapkit", "run", "moosavi2017/fig9_spectrum", "-p", "models=[linear_digits]"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "not stored (--save stores it)" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["run", "khrulkov2018/tab1_layers", "--save"],
        ["run", "khrulkov2018/tab1_layers", "--full"],
        ["where", "tab1"],
        ["scoreboard"],
        ["bench"],
    ],
    ids=" ".join,
)
def test_what_needs_the_clone_says_so_in_one_sentence(installed, tmp_path, command):
    done = outside(installed, tmp_path, "-m", "uapkit", *command)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("uapkit: no project folder"), done.stderr[-500:]
    assert "Traceback" not in done.stderr
