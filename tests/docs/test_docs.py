"""Every command and code block of the pages runs in a test, or a line of how.yml says why not; docstrings' examples run."""

import ast
import doctest
import importlib
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from tests.docs import blocks as found
from uapkit import attacks, cli, data, evaluate, models

ROOT = found.ROOT
HOW = yaml.safe_load((ROOT / "tests" / "docs" / "how.yml").read_text(encoding="utf-8"))
BLOCKS = found.blocks()
COMMANDS = sorted({c for b in BLOCKS if b.kind in found.SHELL for c in found.commands(b.code)})
WHOLE_PAGES = ("book/api/", "book/recipes.md")  # tests/conformance/test_pages.py runs all their blocks
OTHERS = {b.name: b for b in BLOCKS if b.kind not in found.SHELL and not b.kind.startswith("try ")}
OTHERS = {name: b for name, b in OTHERS.items() if not name.startswith(WHOLE_PAGES)}


def test_every_command_has_someone_who_runs_it_or_a_reason():
    listed = {c for part in ("here", "smaller", "add_item", "elsewhere", "never") for c in HOW[part]}
    assert not set(COMMANDS) - listed, "run it in a test and say so in tests/docs/how.yml"
    assert not listed - set(COMMANDS), "these lines of tests/docs/how.yml are on no page"
    assert all(len(why) > 20 for why in HOW["never"].values())


def test_every_other_block_has_someone_who_runs_it():
    assert not set(OTHERS) - set(HOW["blocks"]), "run it in a test and say so in tests/docs/how.yml"
    assert not set(HOW["blocks"]) - set(OTHERS), "these lines of tests/docs/how.yml are on no page"
    tries = {b.page for b in BLOCKS if b.kind.startswith("try ")}
    assert all(page.startswith("book/papers/") for page in tries), "test_chapters runs those of the papers' chapters"
    kinds = {b.kind for b in BLOCKS if b.page.startswith(WHOLE_PAGES)}
    assert kinds <= {"python", "bash"}, "test_pages runs these"


def test_a_new_block_and_a_new_command_are_seen():
    text = "```bash\nuapkit fly \\\n  --high  # soon\n```\n\n:::{note}\n~~~\nx\n~~~\n:::\n```{include} a.md\n```\n"
    one, other = found.blocks_of("page.md", text)
    assert (found.commands(one.code), other.name) == (["uapkit fly --high"], "page.md: x")


@pytest.mark.parametrize("test", sorted({*HOW["elsewhere"].values(), *HOW["blocks"].values()} - {"here"}))
def test_tests_that_are_named_exist(test):
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert not name or name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


SAID = sorted({*COMMANDS, *(command for _, command in found.inline())} - set(HOW["add_item"]))


@pytest.mark.parametrize("command", SAID)
def test_what_a_command_names_exists(command, capsys):
    found.understood(command)


@pytest.mark.parametrize(
    "wrong",
    [
        "uapkit fly",
        "uapkit run khrulkov2018/tab1_layers -p qq=5",
        "uapkit run khrulkov2018/tab1_layer",
        "uapkit run khrulkov2018/tab1_layers -p models=[no_such_net]",
        "uapkit list --tall",
        "make coffee",
        "make classroom CURSE=x",
        "python -m uapkit.classroom mark a1_linear",
        "python tests/browser/measured.py",
        "papermill notebooks/khrulkov2018/tab1_layers.ipynb out.ipynb -p qq 5",
        "papermill notebooks/khrulkov2018/tab1_layer.ipynb out.ipynb",
        "frobnicate",
        "make setup && make coffee",
    ],
)
def test_what_does_not_exist_is_seen(wrong, capsys):
    with pytest.raises((AssertionError, pytest.fail.Exception, ValueError, SystemExit)):
        found.understood(wrong)


MY_NET = """
from torch import nn
from uapkit import models


def make():
    body = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    return models.wrap(body.eval(), input_size=(1, 28, 28))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A reader's folder with a network in a file."""
    (tmp_path / "my_net.py").write_text(MY_NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UAPKIT_DATA", raising=False)
    return tmp_path


@pytest.mark.parametrize("command", HOW["here"])
def test_commands_as_they_are_written(command, capsys):
    assert cli.main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out.count("\n") > 3


@pytest.mark.parametrize(("command", "sizes"), HOW["smaller"].items())
def test_commands_with_smaller_sizes(command, sizes, place, capsys):
    assert cli.main([*shlex.split(command)[1:], *shlex.split(sizes)]) == 0
    said = capsys.readouterr().out
    assert " rows" in said
    assert "failed" not in said


def test_make_says_what_it_would_run():
    """Each target that a page names; ``-n`` runs nothing, and what it would run is a program of ours or of the lock."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    targets = sorted({w for c in SAID if c.startswith("make ") for w in c.split(" && ")[0].split()[1:] if "=" not in w})
    assert {"book", "test", "lint", "classroom", "setup"} <= set(targets)
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        own = [line for line in done.stdout.splitlines() if line.startswith(".venv/bin/")]
        for line in own:
            if re.match(r"\.venv/bin/(uapkit|python -m uapkit|python -m release)", line):
                found.understood(line)


# code blocks --------------------------------------------------------------------------------------------------------


class Small(nn.Module):
    """Takes photographs."""

    def __init__(self, classes=10):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 8, 8), nn.Conv2d(4, 6, 4, 4)
        self.three, self.four = nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        self.last = nn.Linear(24, classes)

    def forward(self, x):
        return self.last(self.four(self.three(self.two(self.one(x)))).flatten(1))


def ready(page, monkeypatch, folder):
    """What the page tells readers to bring: names that its block uses."""
    torch.manual_seed(0)
    noise = np.random.default_rng(0)
    if page == "book/networks.md":
        return {"my_module": Small().eval(), "my_function": lambda x: x.flatten(1)[:, :10]}
    if page == "book/rerun.md":
        (folder / "path" / "to" / "folder").mkdir(parents=True)
        for k in range(68):
            Image.fromarray(noise.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(
                folder / f"path/to/folder/{k}.png"
            )
        return {"my_module": Small().eval()}
    if page == "book/papers/moosavi2017.md":
        np.save(folder / "googlenet.npy", noise.uniform(-10, 10, (224, 224, 3)).astype(np.float32))
        images, load = data.Images(torch.rand(6, 3, 224, 224)), models.load
        own = models.wrap(Small().eval(), input_size=(3, 224, 224))
        asked = []
        monkeypatch.setattr(data, "load", lambda name, **how: asked.append((name, how)) or images)
        monkeypatch.setattr(models, "load", lambda name: own if name == "bvlc_googlenet" else load(name))
        return {"attacks": attacks, "data": data, "evaluate": evaluate, "models": models, "asked": asked}
    if page == "book/papers/equivariant2019.md":
        load = data.load

        def few(name, **how):
            """MNIST is not here: digits of the same size."""
            assert name == "mnist"
            return load("digits", n=64, **{k: v for k, v in how.items() if k in ("rotation", "seed")})

        monkeypatch.setattr(data, "load", few)
        return {}
    if page == "book/add_item.md":
        x = torch.rand(1, 8, 8)
        return {"x": x, "d": torch.zeros(1, 8, 8), "steps": [0, 1, 2]}
    return {}


PYTHON = [b for name, b in OTHERS.items() if b.kind == "python" and HOW["blocks"].get(name) == "here"]


@pytest.mark.parametrize("block", PYTHON, ids=lambda b: b.name)
def test_code_blocks(block, place, monkeypatch, capsys):
    space = {"__name__": "page"} | ready(block.page, monkeypatch, place)
    code = block.code
    if block.page == "book/papers/equivariant2019.md":
        code = code.replace("epochs=8", "epochs=1").replace("n_fit=10_000", "n_fit=20")
    exec(compile(code, f"{block.page}:{block.line}", "exec"), space)
    said = capsys.readouterr().out
    if "print(" in code:
        assert re.search(r"\d\.?\d* \[\d", said), "a rate with its interval"


def test_numbers_in_sentences_are_drawn_as_the_guide_writes_them():
    from uapkit.book import prose

    (block,) = [b for name, b in OTHERS.items() if name.startswith("book/add_item.md: [[")]
    forms = re.findall(r"\[\[.*?\]\]", block.code)
    assert len(forms) >= 3
    for form in forms:
        assert re.search(r"[\w.]", prose.draw(form))
        assert "[[" not in prose.draw(form)


def test_the_house_of_the_guide_is_the_house():
    (block,) = [b for name, b in OTHERS.items() if name.startswith("CONTRIBUTING.md: ")]
    named = set(re.findall(r"[a-z_]+", block.code.partition("  data/")[0].replace("uapkit/", "")))
    own = {p.stem for p in (ROOT / "uapkit").glob("*.py")} - {"__init__", "__main__"}
    assert own - {"checks", "names"} <= named | {"cli"}
    for folder in re.findall(r"^  (\w+)/", block.code, re.M):
        assert (ROOT / "uapkit" / folder).is_dir()
    for folder in re.findall(r"^(\w+)/", block.code, re.M):
        assert (ROOT / folder).is_dir()


def test_the_chapters_form_uses_what_the_chapters_use():
    (block,) = [b for b in OTHERS.values() if b.kind == "md"]
    chapters = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "book" / "papers").glob("*.md"))
    used = set(re.findall(r"\{[\w:-]+\}", chapters))
    assert set(re.findall(r"\{[\w:-]+\}", block.code)) <= used


# docstrings ---------------------------------------------------------------------------------------------------------


def with_examples():
    found_in = []
    for path in sorted((ROOT / "uapkit").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found_in.append(".".join(p for p in parts if p != "__init__"))
    return found_in


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
