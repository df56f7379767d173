"""Who may import whom: the contracts in pyproject.toml hold, and each of them fails where it is broken on purpose."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from uapkit import runner

ROOT = runner.project_root()
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = [contract["name"] for contract in SETTINGS["contracts"]]
LAYERS, PAPERS, FIGURES, DRAWING, REPLAY = CONTRACTS
BREACHES = [  # module, what is added to it, the contract that this breaks, how it is reported
    ("norms", "import uapkit.evaluate", LAYERS, "uapkit.norms -> uapkit.evaluate"),
    ("lab.bench", "from uapkit import runner", LAYERS, "uapkit.lab.bench -> uapkit.runner"),
    ("models.layers", "def later():\n    import uapkit.attacks", LAYERS, "uapkit.models.layers -> uapkit.attacks"),
    ("drawer", "", LAYERS, "not listed as layers:\n\n- uapkit.drawer"),
    (
        "papers.khrulkov2018.setting",
        "import uapkit.papers.moosavi2017.idea",
        PAPERS,
        "-> uapkit.papers.moosavi2017.idea",
    ),
    ("figures.style", "from uapkit import spectra", FIGURES, "uapkit.figures.style -> uapkit.spectra"),
    ("lab.run", "from uapkit.figures import style", DRAWING, "uapkit.lab.run -> uapkit.figures.style"),
    ("curvature", "from uapkit.operators.replay import plan", REPLAY, "-> uapkit.operators.replay.plan"),
]


@pytest.fixture
def copy(tmp_path):
    """The package's code alone, with the contracts."""
    shutil.copytree(ROOT / "uapkit", tmp_path / "uapkit", ignore=lambda _, names: {n for n in names if _is_no_code(n)})
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _is_no_code(name):
    return name == "__pycache__" or ("." in name and not name.endswith(".py"))


def lint(folder):
    """{contract that is broken: what is said about it} of the package in ``folder``."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={"COLUMNS": "200"})
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    parts = re.split(rf"^({'|'.join(map(re.escape, CONTRACTS))})\n-+\n", done.stdout, flags=re.M)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert bool(found) == bool(done.returncode), done.stdout
    return found


def test_the_package_keeps_its_contracts(copy):
    assert lint(copy) == {}


def test_every_breach_is_found(copy):
    for module, code, *_ in BREACHES:
        with open(copy / "uapkit" / (module.replace(".", "/") + ".py"), "a", encoding="utf-8") as stream:
            stream.write(f"\n{code}\n")
    found = lint(copy)
    assert list(found) == CONTRACTS, "each contract can fail"
    for module, _, contract, words in BREACHES:
        assert words in found[contract], f"the breach planted in {module} is not named"
