"""Networks of the user's own by "file.py:name": what they may be, what is refused, and that no old answer is kept."""

import pytest
import torch

from uapkit import runner
from uapkit.lab import sweep
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
    (tmp_path / "helper_of_own.py").write_text("BIAS = 1.0")
    (tmp_path / "my_net.py").write_text(FILE.replace("helper", "helper_of_own"))
    return tmp_path


@pytest.mark.parametrize("name", ["make", "made"])
def test_a_function_or_a_network_is_found_beside_its_helpers(folder, name):
    model = own.load("my_net.py", name)
    assert isinstance(model, Model)
    assert model.name == "mine"
    assert model(torch.zeros(1, 1, 2, 2)).tolist() == [[1.0, 1.0]]


def test_only_such_texts_are_replaced(folder):
    found: dict[str, str] = {}
    given = {"models": ["lenet_digits", "my_net.py:make"], "data": "some/folder", "q": 2.0}
    taken = {k: own.networks(v, found) for k, v in given.items()}
    assert taken["models"][0] == "lenet_digits"
    assert taken["models"][1].name == "mine"
    assert (taken["data"], taken["q"]) == ("some/folder", 2.0)
    assert list(found) == ["my_net.py:make"]


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
        own.networks(spec, {})


def test_finished_points_are_those_of_this_version_of_the_file(folder, monkeypatch):
    calls = []

    def experiment(*, models=("a",), seed=0):
        def point(model):
            calls.append(model)
            return [{"value": 1.0}]

        return sweep.sweep([{"model": m.name} for m in models], point, over=("models",))

    monkeypatch.setattr(catalogue.Item, "function", property(lambda self: experiment))
    for _ in range(2):
        table = runner.run("equivariant2019/tab1_angles", models=["my_net.py:make"])
    assert calls == ["mine"]
    assert table.attrs["provenance"]["params"]["models"] == ["my_net.py:make"]
    assert "mine[wrapped]" in table.attrs["provenance"]["inputs"]
    (folder / "my_net.py").write_text((folder / "my_net.py").read_text().replace("manual_seed(0)", "manual_seed(1)"))
    runner.run("equivariant2019/tab1_angles", models=["my_net.py:make"])
    assert calls == ["mine", "mine"]
