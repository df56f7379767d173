"""Every code block of the pages, every command in them, and what must be right in a command even where nobody runs it."""

import argparse
import importlib
import inspect
import re
import shlex
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

import papermill
import pytest
import yaml

from uapkit import cli, runner
from uapkit.lab import split_name
from uapkit.models.catalogue import find
from uapkit.runner import given

ROOT = runner.project_root()
FENCE = re.compile(
    r"^[ ]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<kind>[^`\n]*)\n(?P<code>.*?)^[ ]*(?P=fence)[ ]*$", re.M | re.S
)
SHELL = ("bash", "sh", "shell", "console")
NOTHING_OF_OURS = ("git", "cd", "export", "sbatch", "kubectl", "docker")
INLINE = re.compile(r"`+((?:\.venv/bin/)?(?:uapkit|make|python -m uapkit[\w.]*|papermill) [^`]+?)`+")
PLACEHOLDER = re.compile(r"<\w+>|\{\w+[\w.]*\}|\b(?:NAME|ITEM|COMMAND|MODULE|FOLDER|N)\b|\.\.\.|…")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text."""

    page: str
    line: int
    kind: str
    code: str

    @property
    def name(self):
        """The page and the block's first line that is no comment, which move less than line numbers."""
        lines = [text for text in self.code.splitlines() if text.strip() and not text.startswith("#")]
        return f"{self.page}: {lines[0].strip() if lines else ''}"


def pages():
    """Every page of prose that is kept."""
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    found = tracked.split() or [str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *(ROOT / "book").rglob("*.md")]]
    return sorted(page for page in found if not page.startswith(("book/_generated", "CHANGELOG")))


def blocks_of(page, text):
    """A page's code blocks; directives of the book other than code-block are none."""
    found = []
    for match in FENCE.finditer(text):
        kind = match["kind"].strip().replace("{code-block} ", "try ")
        if not kind.startswith("{"):
            code = re.sub(r"\A(?::\w+:.*\n)+", "", match["code"])
            found.append(Block(page, text.count("\n", 0, match.start()) + 1, kind, textwrap.dedent(code)))
    return found


def blocks():
    """Every code block of every page."""
    return [b for page in pages() for b in blocks_of(page, (ROOT / page).read_text(encoding="utf-8"))]


def commands(code):
    """The commands of a shell block: a line each, continued lines joined, comments dropped."""
    lines = re.sub(r"\\\n\s*", "", code).splitlines()
    bare = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in lines)
    return [part.strip() for line in bare for part in line.split("; ") if part.strip()]


def inline():
    """(page, command) of every command of ours inside a sentence of a page or a docstring, but those with a placeholder."""
    places = [*pages(), *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "uapkit").rglob("*.py")))]
    found = []
    for page in places:
        text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
        found += [(page, m) for m in INLINE.findall(text) if not PLACEHOLDER.search(m)]
    return found


class _Parsed(BaseException):
    """The arguments were understood."""


def _parses(module, words):
    """Do the arguments fit the parser of ``python -m module``? AssertionError with its words where not."""
    original = argparse.ArgumentParser.parse_args

    def parse(self, args=None, namespace=None):
        original(self, args, namespace)
        raise _Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse)
        patch.setattr(argparse.ArgumentParser, "error", lambda self, message: pytest.fail(f"{module}: {message}"))
        patch.setattr("sys.argv", [module, *words])
        try:
            imported = importlib.import_module(module)
            main = getattr(imported, "main", None) or importlib.import_module(f"{module}.__main__").main
            main(*([words] if inspect.signature(main).parameters else []))  # the others read sys.argv
        except _Parsed:
            return
        except SystemExit as end:
            if not end.code:  # --help
                return
    pytest.fail(f"python -m {module} reads no arguments")


def _parameters(name, asked):
    assert name in runner.items(), f"no item {name}"
    unknown = set(asked) - set(runner.item(name).parameters)
    assert not unknown, f"{name} has no parameter {sorted(unknown)}"
    for network in asked.get("models", []):
        assert ":" in network or find(*split_name(network))


def _pairs(options):
    """(-p, name, value) and (-y, text) of papermill's options."""
    left = list(options)
    while left:
        option = left.pop(0)
        assert option in ("-p", "-y"), f"papermill does not know {option}"
        yield option, *(left.pop(0) for _ in range(2 if option == "-p" else 1))


def understood(command):
    """AssertionError unless the command's program, files, options, items, parameters and networks exist."""
    for part in command.split(" && "):
        _understood(part)


def _understood(command):
    words = shlex.split(command.strip("()"))
    while words and re.match(r"^\(?[A-Z_]+=", words[0]):
        words = words[1:]
    if not words or words[0] in NOTHING_OF_OURS:
        return
    words = [re.sub(r"^(.*\.venv/bin/|\$PY$)", "", words[0]) or "python", *words[1:]]
    match words:
        case ["uapkit", *arguments]:
            try:
                args = cli.parser().parse_args(arguments)
            except SystemExit as end:
                if end.code:
                    pytest.fail(f"uapkit does not understand {command}")
                return
            if arguments[0] == "run":
                _parameters(args.item, given.parameters(args.parameter))
        case ["python" | "python3", "-m", "pytest" | "venv", *_]:
            pass
        case ["python" | "python3", "-m", module, *arguments]:
            _parses(module, arguments)
        case ["python", script, *_] if script.endswith(".py"):
            assert (ROOT / script).is_file(), f"no file {script}"
        case ["papermill", notebook, _, *options]:
            assert (ROOT / notebook).is_file(), f"no notebook {notebook}"
            asked = {}
            for option, *values in _pairs(options):
                asked |= {values[0]: values[1]} if option == "-p" else yaml.safe_load(values[0])
            assert set(asked) <= set(papermill.inspect_notebook(ROOT / notebook)), f"parameters of {command}"
            _parameters(str(Path(notebook).with_suffix("")).removeprefix("notebooks/"), asked)
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            for target in targets:
                name, equals, _ = target.partition("=")
                assert re.search(rf"^{name} \?=" if equals else rf"^{name}:", makefile, re.M), f"make knows no {name}"
        case ["pip" | "pre-commit" | "jupyter" | "nbgrader", *_]:
            pass
        case _:
            pytest.fail(f"nobody knows the program of {command!r}")
