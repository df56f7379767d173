"""The guide's worked example from beginning to end, with the guide's own text and commands, in a copy of the project."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.docs import blocks as found

ROOT = found.ROOT
GUIDE = (ROOT / "book" / "add_item.md").read_text(encoding="utf-8")
HOW = yaml.safe_load((ROOT / "tests" / "docs" / "how.yml").read_text(encoding="utf-8"))
NAME = "khrulkov2018/ext_example"
# what the guide's commands do, one after the other in one process, since each start of torch takes seconds
COMMANDS = """
import shlex, sys
from uapkit import cli
import pytest
for line in sys.argv[1:]:
    words = shlex.split(line)[1:]
    status = pytest.main([*words[2:], "-q", "-p", "no:cacheprovider"]) if words[:2] == ["-m", "pytest"] else cli.main(words)
    if status:
        sys.exit(f"{line}: {status}")
"""


def blocks(kind):
    return [b.code for b in found.blocks_of("book/add_item.md", GUIDE) if b.kind == kind]


@pytest.fixture
def project(tmp_path):
    """The project's small files, with the example added where the guide says."""
    for name in ("uapkit", "tests", "reported", "notebooks", "book", "benchmarks", "classroom", "profiles", "release"):
        skip = shutil.ignore_patterns("__pycache__", "_generated", "*.npz", "vendor")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skip)
    (tmp_path / "results").mkdir()
    for name in (
        "pyproject.toml",
        "_toc.yml",
        "_config.yml",
        "CITATION.cff",
        "README.md",
        "Makefile",
        "results/stale.yml",
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    for paper in ("khrulkov2018", "moosavi2017", "jetley2018", "equivariant2019"):
        shutil.copytree(ROOT / "results" / paper, tmp_path / "results" / paper, ignore=shutil.ignore_patterns("*.npz"))

    (line,) = blocks("yaml")
    items = tmp_path / "uapkit" / "papers" / "items.yml"
    before, heading, after = items.read_text(encoding="utf-8").partition("    fig1_gallery:")
    items.write_text(f"{before}    {line.strip()}\n{heading}{after}", encoding="utf-8")
    module, test, *_ = blocks("python")
    (tmp_path / "uapkit" / "papers" / f"{NAME}.py").write_text(module, encoding="utf-8")
    (tmp_path / "tests" / "papers" / "khrulkov2018" / "test_ext_example.py").write_text(test, encoding="utf-8")
    header, row = blocks("text")[0].splitlines()
    reported = tmp_path / "reported" / "khrulkov2018.csv"
    text = reported.read_text(encoding="utf-8")
    there, told = text.splitlines()[0].split(","), dict(zip(header.split(","), row.split(","), strict=True))
    assert set(told) <= set(there), "the guide's columns are the file's"
    with reported.open("a", encoding="utf-8") as file:
        file.write(",".join(told.get(column, "") for column in there) + "\n")
    return tmp_path


def run(project, lines):
    command = [sys.executable, "-c", COMMANDS, *lines]
    environment = {"PYTHONPATH": str(project), "UAPKIT_ROOT": str(project)}
    kept = {k: v for k, v in os.environ.items() if k not in ("UAPKIT_DATA", "UAPKIT_ROOT", "PYTHONPATH")}
    return subprocess.run(command, cwd=project, env=kept | environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_author_who_follows_the_guide_gets_an_item(project):
    """Each command of the guide, in the guide's order; of the last, the tests that speak of the new item."""
    said = [c for b in found.blocks_of("book/add_item.md", GUIDE) if b.kind == "bash" for c in found.commands(b.code)]
    assert [c for c in said if c != "make lint"] == HOW["add_item"]
    *lines, whole = HOW["add_item"]
    toc = project / "_toc.yml"
    text = toc.read_text(encoding="utf-8")
    listed = re.search(r"^( *- file: )notebooks/khrulkov2018/\w+$", text, re.M)
    toc.write_text(text.replace(listed[0], f"{listed[1]}notebooks/{NAME}\n{listed[0]}"), encoding="utf-8")
    done = run(project, [*lines, f"{whole} -k ext_example"])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert (project / "notebooks" / f"{NAME}.ipynb").is_file()
    assert f"uapkit/papers/{NAME}.py" in done.stdout
    assert "singular vector" in done.stdout
    assert done.stdout.count("[100%]") == 2, "the item's own test, and those of all items for this one"


@pytest.mark.parametrize("command", HOW["add_item"])
def test_the_commands_are_of_this_project(command):
    words = shlex.split(command)
    assert words[0] in (".venv/bin/uapkit", ".venv/bin/python")
    assert all((ROOT / w).is_file() or "ext_example" in w for w in words if w.startswith("tests/"))
