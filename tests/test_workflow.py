"""What `make book` does again after an edit: the pages that depend on the edited file by their imports, and no others."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from uapkit import runner, sources

ROOT = runner.project_root()
NAME, OTHER = "khrulkov2018/tab1_layers", "jetley2018/fig1_scores"


def relative(module):
    return {path.relative_to(ROOT).as_posix() for path in sources.files(module)}


def test_an_item_depends_on_its_attack_its_nulls_and_its_figure_and_on_no_other_paper():
    files = relative(f"uapkit.papers.{NAME.replace('/', '.')}")
    wanted = {"attacks/singular_uap.py", "singular.py", "lab/nulls.py", "figures/style.py", "seeds.py"}
    wanted |= {f"papers/{NAME}.py", "papers/khrulkov2018/setting.py", "models/catalogue.yml", "models/nets/digits.py"}
    assert {f"uapkit/{name}" for name in wanted} <= files
    papers = {path.split("/")[2] for path in files if path.startswith("uapkit/papers/") and path.count("/") > 2}
    assert papers == {"khrulkov2018"}
    assert not [path for path in files if path.startswith(("uapkit/book/", "uapkit/classroom/"))]


def test_what_a_page_depends_on_is_read_without_importing_it():
    code = "import sys; from uapkit import sources; sources.files('uapkit.book.build'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


def test_a_widget_depends_on_its_style_and_script():
    assert {"uapkit/figures/widgets.css", "uapkit/figures/widgets.js"} <= relative("uapkit.figures.widgets")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project without weights and arrays."""
    root = tmp_path_factory.mktemp("project")
    skip = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.npz", "vendor")
    for name in ("uapkit", "notebooks", "reported", "results", "book"):
        shutil.copytree(ROOT / name, root / name, ignore=skip)
    for name in ("Snakefile", "_config.yml", "_toc.yml", "CITATION.cff", "package-lock.json"):
        shutil.copy(ROOT / name, root)
    return root


EDITS = [
    (["uapkit/classroom/grade.py", "uapkit/cli.py"], "none", False),
    (["uapkit/book/story.py"], "none", True),
    (["uapkit/book/prose.py"], "all", True),
    ([f"uapkit/papers/{NAME}.py", f"notebooks/{OTHER}.full.yml"], "these", True),
    (["uapkit/lab/nulls.py"], "all", True),
]

STALE = """
import json, sys
from pathlib import Path
from uapkit.book import build, depends
from uapkit.book.stage import build_folder, note

def now():
    codes = {n: depends.checksum(depends.of_item(n)) for n in depends.names()}
    return codes, build._sources(codes)

def made(names):
    for name, checksum in build._stale(codes).items():
        for path in (build_folder("status", name + ".json"), build_folder("staging", "notebooks", name + ".ipynb")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"item": name, "ok": True, "made_from": checksum}))

codes, html = now()
made(codes)
found = [[sorted(build._stale(codes)), False]]
for files in json.loads(sys.argv[1]):
    for name in files:
        with open(name, "a") as file:
            file.write("# edited\\n")
    before, (codes, whole) = html, now()
    found.append([sorted(build._stale(codes)), whole != before])
    made(codes)
    html = whole
note(sys.argv[2], ok=False)
found.append([sorted(build._stale(codes)), False])
build_folder("staging", "notebooks", sys.argv[3] + ".ipynb").unlink()
found.append([sorted(build._stale(codes)), False])
print(json.dumps([found, "torch" in sys.modules]))
"""


def test_an_edit_makes_those_pages_again_that_depend_on_it(project):
    """By checksums, without torch: nothing at first; then each edit's; a failed page; a page that was deleted."""
    command = [sys.executable, "-c", STALE, json.dumps([files for files, _, _ in EDITS]), NAME, OTHER]
    env = {k: v for k, v in os.environ.items() if k not in ("UAPKIT_ROOT", "PYTHONPATH")}
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    found, torch = json.loads(done.stdout)
    sets = {"none": [], "these": sorted([NAME, OTHER]), "all": sorted(runner.items())}
    expected = [
        [[], False],
        *([sets[items], html] for _, items, html in EDITS),
        [[NAME], False],
        [sorted([NAME, OTHER]), False],
    ]
    assert found == expected
    assert not torch


@pytest.mark.slow
def test_snakemake_runs_the_same_steps_on_a_cluster(project):
    """Everything is to be made; what each page depends on is asked of the same module as above."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--quiet", "progress"]
    env = {k: v for k, v in os.environ.items() if k not in ("UAPKIT_ROOT", "PYTHONPATH")}
    shutil.rmtree(project / "build", ignore_errors=True)
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"wildcards: item=(\S+)", done.stdout)) == set(runner.items())
    assert "rule html" in done.stdout
    assert "rule weights" in done.stdout
