"""Pages for people who look things up: every block runs, every public name has its entry and its example."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from uapkit import runner

ROOT = runner.project_root()
API = sorted(p for p in (ROOT / "book" / "api").glob("*.md") if p.stem != "index")
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.M | re.S)

spec = importlib.util.spec_from_file_location("api_reference", ROOT / "book" / "_ext" / "api_reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


def run_blocks(page, monkeypatch, folder):
    """Every block of a page in one namespace and one new folder; the name of the page and its line stand in a traceback."""
    monkeypatch.chdir(folder)
    space, text = {"__name__": "page"}, page.read_text(encoding="utf-8")
    for kind, code in BLOCK.findall(text):
        if kind == "python":
            exec(compile(code, f"{page.name}:{text.count(chr(10), 0, text.index(code)) + 1}", "exec"), space)
        else:
            yield code


@pytest.mark.parametrize("page", API, ids=lambda p: p.stem)
def test_every_example_of_the_reference_runs(page, monkeypatch, tmp_path):
    assert list(run_blocks(page, monkeypatch, tmp_path)) == []


def test_every_public_name_has_an_entry_and_an_example():
    text = "\n".join(p.read_text(encoding="utf-8") for p in API)
    found = re.findall(r"\n## `([\w.]+)`\n\n```\{include\} \.\./_generated/api/([\w.]+)\.md\n```\n\n```python\n", text)
    assert sorted(entry for _, entry in found) == sorted(f"{m}.{n}" for m, n in reference.names())
    assert all(entry.endswith(head) for head, entry in found)


@pytest.mark.parametrize(("module", "name"), reference.names(), ids="-".join)
def test_entries_are_whole(module, name):
    entry = reference.entry(module, name)
    assert entry.startswith("```text\n")
    assert len(entry.partition("```\n\n")[2]) > 20
    assert entry.count("`") % 2 == 0
    assert ":func:" not in entry
    assert "``" not in entry.replace("```", "")


def test_docstrings_become_markdown():
    made = reference.text("a ``b*c`` |d| :func:`~uapkit.x.y` of [jetley2018], *e* <f> $g$")
    assert made == r"a `b*c` \|d\| `uapkit.x.y` of {cite:t}`jetley2018`, \*e\* \<f\> \$g\$"


def test_every_recipe_runs(monkeypatch, tmp_path, capsys):
    shim = tmp_path / "bin" / "sbatch"  # stands for the cluster: each task of the array, here and now
    shim.parent.mkdir()
    shim.write_text('#!/bin/bash\nfor i in 0 1 2; do SLURM_ARRAY_TASK_ID=$i bash "$1" || exit 1; done\n')
    shim.chmod(0o755)
    paths = [str(shim.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}
    for command in run_blocks(ROOT / "book" / "recipes.md", monkeypatch, tmp_path):
        subprocess.run(["bash", "-e", "-c", command], env=environment, check=True, cwd=tmp_path)
    said = capsys.readouterr().out
    rates = [
        tuple(map(float, row))
        for row in re.findall(r"^as it is: ([\d.]+).*\nclipped: ([\d.]+).*\n8 bits: ([\d.]+)", said, re.MULTILINE)
    ]
    assert len(rates) == 3
    assert rates[0][2] > 0  # a large one survives
    assert "target" in said  # the table of the last recipe was drawn from the jobs' files


ROUNDED = {"inception_v3"}  # its products agree in double precision; in single precision it depends on the machine


def test_the_stored_table_of_networks_is_of_this_zoo_and_misses_only_what_the_page_names():
    stored = pd.read_csv(ROOT / "results" / "benchmarks" / "networks.csv", keep_default_na=False)
    zoo = sys.modules.get("zoo") or load_zoo()
    assert stored.network.tolist() == [one.name for one in zoo.ZOO]
    missed = stored[stored.verdict != "ok"]
    assert set(missed.network) <= ROUNDED
    assert missed.at_a_layer.str.startswith("products differ by").all()
    page = (ROOT / "book" / "networks.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in ROUNDED)
    doors = ["scored", "attacked_by_image", "for_all_images", "at_a_layer"]
    for one, row in zip(zoo.ZOO, stored[doors].to_dict("records"), strict=True):
        wanted = ["yes" if not one.says or (one.scores and door == "scored") else "refused" for door in doors]
        found = ["yes" if one.name in ROUNDED and said.startswith("products") else said for said in row.values()]
        assert found == wanted, one.name


@pytest.mark.parametrize("name", sorted(ROUNDED))
def test_what_rounding_decides_agrees_in_double_precision(name, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(
        sys.modules, "benchmarks", raising=False
    )  # it may be the folder of their tests, which is on the path, too
    networks, zoo = (importlib.import_module(f"benchmarks.{one}") for one in ("networks", "_zoo"))
    one = next(one for one in zoo.ZOO if one.name == name)
    net, x = zoo.built(one).double(), zoo.images(one).double()
    op = networks.JacobianOperator(networks.models.wrap(net).until("logits"), x)
    w = networks.torch.randn(op.shape[0], generator=networks.torch.Generator().manual_seed(0)).double()
    leaf = x.clone().requires_grad_()
    (expected,) = networks.torch.autograd.grad(net(leaf).flatten(), leaf, w)
    whole = expected.sum(0).flatten()
    assert (op.rmatvec(w) - whole).norm() < 1e-10 * whole.norm()


def load_zoo():
    spec = importlib.util.spec_from_file_location("zoo", ROOT / "benchmarks" / "_zoo.py")
    sys.modules["zoo"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_plain_build_of_the_clone_is_sent_to_make_book(tmp_path):
    """``jupyter-book build .`` where nothing was staged: one sentence, no traceback."""
    for name in ("_config.yml", "_toc.yml", "CITATION.cff"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for name in ("book", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("uapkit: pages hold numbers"), done.stderr[-1000:]
    assert "run `make book`" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
