"""The package as people install it: a wheel outside the clone, and Colab's first cell in an empty environment."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

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
        ["scoreboard", "--json"],
        ["book"],
        ["page", "khrulkov2018/tab1_layers"],
        ["check-book"],
        ["bench"],
    ],
    ids=" ".join,
)
def test_what_needs_the_clone_says_so_in_one_sentence(installed, tmp_path, command):
    done = outside(installed, tmp_path, "-m", "uapkit", *command)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("uapkit: no project folder"), done.stderr[-500:]
    assert "Traceback" not in done.stderr


def closure(*lines):
    """Distributions of this environment that fulfil the requirements, and all that those need."""
    found, seen, todo = {}, set(), [Requirement(line) for line in lines]
    while todo:
        need = todo.pop()
        try:
            one = found[need.name] = distribution(need.name)
        except PackageNotFoundError:
            pytest.skip(f"{need.name} is not here, and nothing is downloaded for a test")
        for extra in {"", *need.extras} - {e for name, e in seen if name == need.name}:
            seen.add((need.name, extra))
            more = map(Requirement, one.requires or ())
            todo += [m for m in more if m.marker is None or m.marker.evaluate({"extra": extra})]
    return found.values()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Python of an empty environment: pip, and as links what it would fetch, the declared dependencies and a kernel's own."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for one in closure("ipykernel", "setuptools", *project["dependencies"]):
        home = Path(one.locate_file(""))
        for top in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(home / top)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "ensurepip"], check=True, capture_output=True)  # comes with Python
    return python


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no clone to clone from")
def test_the_first_cell_of_colab_suffices_for_a_page(bare, tmp_path):
    """The cell as it is written, with this clone at the project's address and no index; then a page's cells."""
    page = (ROOT / "book" / "rerun.md").read_text(encoding="utf-8")
    (cell,) = re.findall(r"^```text\n(!git clone.*?)^```", page, re.M | re.S)
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    notebook = json.loads((ROOT / "notebooks" / "moosavi2017" / "fig9_spectrum.ipynb").read_text(encoding="utf-8"))
    defaults, *rest = ("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code")
    cells = [cell, defaults, 'models = ["linear_digits"]', *rest]
    code = f"""
import importlib.metadata, importlib.util, pathlib
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
assert importlib.util.find_spec("uapkit") is None
for cell in {cells!r}:
    shell.run_cell(cell).raise_error()
import uapkit
print(pathlib.Path(uapkit.__file__).parent, importlib.metadata.distribution("uapkit").read_text("direct_url.json"))
print(importlib.util.find_spec("papermill"))
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("UAPKIT_ROOT", "PYTHONPATH")}
    environment |= {"IPYTHONDIR": str(tmp_path / "ipython"), "MPLBACKEND": "agg"}
    environment |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "GIT_CONFIG_COUNT": "1"}
    environment |= {"GIT_CONFIG_KEY_0": f"url.file://{ROOT}.insteadOf", "GIT_CONFIG_VALUE_0": address}
    done = subprocess.run(
        [bare, "-"], input=code, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    *_, place, more = done.stdout.splitlines()
    assert place.startswith(f"{tmp_path / 'uapkit' / 'uapkit'} "), place
    assert '"editable": true' in place
    assert more == "None", "the page's own tools came along"
