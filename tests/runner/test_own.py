"""Networks of the user's own by "file.py:name": what they may be, what is refused, and that no old answer is kept."""

import os
import sys
from types import ModuleType

import pandas as pd
import pytest
import torch

from uapkit import lab, provenance, runner
from uapkit.models import Model
from uapkit.runner import catalogue, own

FILE = """
from helper import BIAS
import torch
from uapkit import models

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(4, 2)
        torch.nn.init.constant_(self.last.bias, BIAS)

    def forward(self, x):
        return self.last(x.flatten(1))

def make():
    torch.manual_seed(0)
    return models.wrap(Net(), input_size=(1, 2, 2), name="mine")

made = make()
bare = Net()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    helper = tmp_path / "helper_of_own.py"
    helper.write_text("BIAS = 1.0")
    os.utime(helper, (0, 0))  # it was there before this process
    monkeypatch.delitem(sys.modules, "helper_of_own", raising=False)
    (tmp_path / "my_net.py").write_text(FILE.replace("helper", "helper_of_own"))
    return tmp_path


@pytest.mark.parametrize("name", ["make", "made"])
def test_a_function_or_a_network_is_found_beside_its_helpers(folder, name):
    model = own.load("my_net.py", name)
    assert isinstance(model, Model)
    assert model.name == "mine"
    assert model(torch.zeros(1, 1, 2, 2)).tolist() == [[1.0, 1.0]]


def test_only_such_texts_are_replaced(folder):
    given = {"models": ["lenet_digits", "my_net.py:make"], "data": "some/folder", "q": 2.0}
    with provenance.recording() as noted:
        taken = {k: own.networks(v) for k, v in given.items()}
    assert taken["models"][0] == "lenet_digits"
    assert taken["models"][1].name == "mine"
    assert (taken["data"], taken["q"]) == ("some/folder", 2.0)
    assert "my_net.py:make" in noted


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("no_net.py:make", "there is no file 'no_net.py'"),
        ("my_net.py:mak", "my_net.py has no 'mak'; it has .*make"),
        ("my_net.py:bare", "must be, or return, a network made by uapkit.models.wrap, got Net"),
        ("my_net.py:BIAS", "got float"),
    ],
)
def test_what_is_no_network_is_refused(folder, spec, words):
    with pytest.raises(ValueError, match=words):
        own.networks(spec)


CALLS = []


def logits(model):
    CALLS.append(model.name)
    return model(torch.zeros(1, 1, 2, 2))


def run(*, models=("a",), seed=0):
    """An item."""
    return pd.DataFrame([{"model": m.name, "value": float(lab.keep(logits, m)[0, 0])} for m in models])


def test_kept_answers_are_those_of_this_version_of_the_file_and_its_helpers(folder, monkeypatch):
    CALLS.clear()
    module = ModuleType("an_item")
    module.run = run
    monkeypatch.setattr(catalogue.Item, "module", property(lambda self: module))

    def value():
        table = runner.run("equivariant2019/tab1_angles", models=["my_net.py:make"])
        return table["value"].item(), table.attrs["provenance"]

    first, record = value()
    assert value()[0] == first == 1.0
    assert CALLS == ["mine"], "the second run takes the kept answer"
    assert record["params"]["models"] == ["my_net.py:make"]
    assert "my_net.py:make" in record["inputs"]
    (folder / "my_net.py").write_text((folder / "my_net.py").read_text().replace("BIAS)", "BIAS + 1)"))
    assert value()[0] == 2.0
    (folder / "my_net.py").write_text(
        (folder / "my_net.py").read_text().replace('name="mine"', 'mean=0.5, name="mine"')
    )
    value()
    assert len(CALLS) == 3
    os.utime(folder / "helper_of_own.py")  # written while this process runs: what runs may be older than its text
    for _ in range(2):
        assert "my_net.py:make" not in value()[1]["inputs"]
    assert len(CALLS) == 5, "what cannot be identified is computed anew each time"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("make = (\n", r"net\.py could not be run, line 1: SyntaxError"),
        (
            "import torch\nimport no_such_module\n",
            r"net\.py could not be run, line 2: ModuleNotFoundError: No module named",
        ),
        ("x = 1\nmake = x / 0\n", r"net\.py could not be run, line 2: ZeroDivisionError: division by zero"),
        ("def make():\n    return {}['a']\n", r"net\.py could not be run, line 2: KeyError: 'a'"),
        ("import sys\nsys.exit('bye')\n", r"net\.py could not be run, line 2: SystemExit: bye"),
    ],
)
def test_a_file_that_breaks_is_one_sentence_with_its_line(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(text)
    with pytest.raises(ValueError, match=words) as said:
        own.networks("net.py:make")
    assert "\n" not in str(said.value)
    assert said.value.__cause__ is not None, "the whole story is there for whoever wants it"
    assert str(tmp_path) not in sys.path


@pytest.fixture
def two_folders(tmp_path, monkeypatch):
    """a and b, each a net.py with a helper of the same name."""
    for folder, bias in (("a", 1.0), ("b", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper_of_two.py").write_text(f"BIAS = {bias}")
        (tmp_path / folder / "net.py").write_text(FILE.replace("helper", "helper_of_two"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("helper_of_two", None)


def test_a_helper_is_never_another_folders(two_folders):
    first = own.load("a/net.py", "make")
    loaded = sys.modules["helper_of_two"]
    with pytest.raises(
        ValueError, match=r"b/net\.py imports 'helper_of_two' from its folder, but another .*; rename"
    ) as said:
        own.load("b/net.py", "make")
    assert "could not be run" not in str(said.value)
    assert sys.modules["helper_of_two"] is loaded
    assert first(torch.zeros(1, 1, 2, 2)).tolist() == [[1.0, 1.0]]
    (two_folders / "b" / "net.py").write_text(FILE.replace("from helper import BIAS", "BIAS = 3.0"))
    assert own.load("b/net.py", "make")(torch.zeros(1, 1, 2, 2)).tolist() == [[3.0, 3.0]], (
        "it does not ask for the helper"
    )
    assert sys.modules["helper_of_two"] is loaded


def test_a_function_may_import_what_lies_beside_its_file(folder):
    text = FILE.replace("from helper import BIAS", "").replace("made = make()\nbare = Net()\n", "")
    text = text.replace("def make():", "def make():\n    global BIAS\n    from helper_of_own import BIAS")
    (folder / "my_net.py").write_text(text)
    assert own.load("my_net.py", "make")(torch.zeros(1, 1, 2, 2)).tolist() == [[1.0, 1.0]]
    assert str(folder) not in sys.path
