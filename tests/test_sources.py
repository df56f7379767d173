"""What code depends on: what it reaches in its own module, whole imported modules, and nothing else."""

import importlib
import sys

import pytest

from uapkit import attacks, edited, evaluate, sources
from uapkit.papers.khrulkov2018 import tab1_layers
from uapkit.sources import Unidentified, code, files

TEXTS = {
    "own_main": '''
"""A user's module."""
from own_help import helped, unused
import own_drawing
FACTOR = 2  # reached by run

def inner(x):
    return helped(x) * FACTOR

def run(x):
    """What it does."""
    return inner(x)

def figure(x):
    return own_drawing.draw(x)
''',
    "own_help": "from own_deep import SHIFT\ndef helped(x):\n    return x + SHIFT\ndef unused(x):\n    return x\n",
    "own_deep": "SHIFT = 1\n",
    "own_drawing": "def draw(x):\n    return x\n",
}


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Modules of a user's, importable; ``user(own_main=...)`` writes new texts, imports all anew and gives own_main."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(edited, "STARTED", float("inf"))  # as if this process had started after the files were written

    def write(**texts):
        for name, text in {**TEXTS, **texts}.items():
            (tmp_path / f"{name}.py").write_text(text)
            sources.forget(name)
        importlib.invalidate_caches()
        return importlib.import_module("own_main")

    yield write
    for name in TEXTS:
        sources.forget(name)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("own_main", "return inner(x)", "return inner(-x)"),
        ("own_main", "helped(x) * FACTOR", "helped(x) + FACTOR"),
        ("own_main", "FACTOR = 2", "FACTOR = 3"),
        ("own_help", "return x + SHIFT", "return x - SHIFT"),
        ("own_deep", "SHIFT = 1", "SHIFT = 2"),
    ],
)
def test_code_that_is_reached_counts(user, module, old, new):
    before = code(user().run)
    assert code(user().run) == before
    assert old in TEXTS[module]
    assert code(user(**{module: TEXTS[module].replace(old, new)}).run) != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("own_main", "  # reached by run", "  # another comment"),
        ("own_main", '"""What it does."""', '"""What it does, said better."""'),
        ("own_main", "return own_drawing.draw(x)", "return own_drawing.draw(2 * x)"),
        ("own_drawing", "return x", "return 2 * x"),
        ("own_main", "FACTOR = 2", "FACTOR    =   2"),
    ],
)
def test_prose_layout_and_what_is_not_reached_do_not_count(user, module, old, new):
    before = code(user().run)
    assert old in TEXTS[module]
    assert code(user(**{module: TEXTS[module].replace(old, new)}).run) == before


def test_an_imported_module_counts_whole(user):
    """Its functions call one another in ways that no import tells."""
    before = code(user().run)
    assert code(user(own_help=TEXTS["own_help"].replace("    return x\n", "    return 2 * x\n")).run) != before


def test_a_file_edited_after_the_start_is_not_trusted(user, monkeypatch):
    module = user()
    monkeypatch.setattr(edited, "STARTED", 0.0)
    with pytest.raises(Unidentified, match=r"own_\w+\.py was edited after this process had started"):
        code(module.run)


def test_of_our_own_files_no_clock_decides(monkeypatch):
    """A clone of the future (its clock was ahead) is trusted; a file that changed is not, even when its date is old."""
    path = sources.PACKAGE / "norms.py"
    monkeypatch.setattr(edited, "STARTED", 0.0)
    importlib.import_module("uapkit.norms")
    monkeypatch.setattr(edited, "SEEN", {p: edited._stand(p) for p in edited.SEEN})
    sources._tree.cache_clear()
    assert sources._tree("uapkit.norms")
    monkeypatch.setitem(edited.SEEN, path, (edited.SEEN[path][0] + 1, edited.SEEN[path][1]))
    sources._tree.cache_clear()
    with pytest.raises(Unidentified, match=r"norms\.py was edited after this process had started"):
        sources._tree("uapkit.norms")
    sources._tree.cache_clear()


def test_what_stands_in_no_module_is_not_identified():
    def local(x):
        return x

    for thing in (local, lambda x: x):
        with pytest.raises(Unidentified, match="not defined at the top of a module"):
            code(thing)
    typed = type("Typed", (), {"__module__": "__console__", "__qualname__": "Typed"})
    with pytest.raises(Unidentified, match="has no file"):
        code(typed)


def test_a_module_that_is_no_python_text_is_not_identified(user, tmp_path, monkeypatch):
    module = user()
    (tmp_path / "own_help.py").write_bytes(b"\x7fELF\xff\xfe")
    sources._tree.cache_clear()
    monkeypatch.setattr(sys.modules["own_help"], "__file__", str(tmp_path / "own_help.py"))
    with pytest.raises(Unidentified, match=r"own_help\.py is no Python text"):
        code(module.run)


def names(module):
    return {p.relative_to(sources.PACKAGE).as_posix() for p in files(module)}


def test_closure_of_an_attack_is_its_mathematics_and_no_more():
    found = names("uapkit.attacks.singular_uap")
    assert {"attacks/singular_uap.py", "singular.py", "norms.py", "operators/replay/links.py", "checks.py"} <= found
    assert not [name for name in found if name.startswith(("figures", "papers", "book", "lab", "classroom"))]


def test_closure_follows_names_that_a_package_hands_on():
    """``from uapkit.attacks import deepfool`` needs deepfool's module, not every attack."""
    assert "attacks/deepfool.py" in names("uapkit.curvature")
    assert "attacks/singular_uap.py" not in names("uapkit.curvature")


def test_the_tables_of_known_weights_count():
    assert "models/catalogue.yml" in names("uapkit.lab.bench")


def test_items_do_not_depend_on_their_figures_or_other_papers():
    """A new colour, or an edit of another paper, throws away no finished work."""
    before = code(tab1_layers.run)
    text = (sources.PACKAGE / "papers/khrulkov2018/tab1_layers.py").read_text()
    for old, new, same in (
        ("ylabel=", "xlabel=", True),
        ("0.40", "0.45", True),
        ('"n_fit": n_fit', '"n_fit": 1', False),
    ):
        assert old in text
        sources.forget("uapkit.papers.khrulkov2018.tab1_layers")
        module = importlib.import_module("uapkit.papers.khrulkov2018.tab1_layers")
        module.__source__ = text.replace(old, new)
        assert (code(module.run) == before) is same, old
    sources.forget("uapkit.papers.khrulkov2018.tab1_layers")
    sys.modules["uapkit.papers.khrulkov2018.tab1_layers"] = tab1_layers
    assert code(tab1_layers.run) == before


def test_public_functions_behind_decorators_are_identified():
    assert len({code(f) for f in (evaluate.labels, evaluate.fooled, attacks.deepfool, attacks.uap)}) == 4
