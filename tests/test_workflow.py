"""What `make book` does again after an edit: the pages that depend on the edited file by their imports, and no others."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from uapkit import runner, sources

ROOT = runner.project_root()
NAME, OTHER = "khrulkov2018/tab1_layers", "jetley2018/fig1_scores"
EARLY, LATE = 1_000_000_000, 1_100_000_000


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


@pytest.fixture
def project(tmp_path):
    """The project without weights and arrays, its book built a while ago."""
    skip = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.npz", "vendor")
    for name in ("uapkit", "notebooks", "reported", "results", "book"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skip)
    for name in ("Snakefile", "_config.yml", "_toc.yml", "CITATION.cff", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    built = [tmp_path / "build" / "weights.txt", tmp_path / "build/staging/_build/html/index.html"]
    for page in (tmp_path / "notebooks").glob("*/*.ipynb"):
        name = page.relative_to(tmp_path / "notebooks").with_suffix("").as_posix()
        built += [tmp_path / f"build/staging/notebooks/{name}.ipynb", tmp_path / f"build/status/{name}.json"]
    for path in built:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            os.utime(path, (EARLY, EARLY))
    return tmp_path


def outdated(project):
    """(items, whether the HTML is built) that a run would make again."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--rerun-triggers", "mtime"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"wildcards: item=(\S+)", done.stdout)), "rule html" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edited", "items", "html"),
    [
        (["uapkit/classroom/grade.py", "uapkit/cli.py"], "none", False),
        (["uapkit/book/prose.py"], "none", True),
        ([f"uapkit/papers/{NAME}.py", f"notebooks/{OTHER}.full.yml"], "these", True),
        (["uapkit/lab/nulls.py"], "all", True),
    ],
)
def test_an_edit_makes_those_pages_again_that_depend_on_it(project, edited, items, html):
    for name in edited:
        os.utime(project / name, (LATE, LATE))
    expected = {"none": set(), "these": {NAME, OTHER}, "all": set(runner.items())}[items]
    assert outdated(project) == (expected, html)
