"""A small experiment in the place of an item, in a project and a cache of its own."""

from types import ModuleType

import numpy as np
import pytest

from uapkit import lab, provenance
from uapkit.checks import NotHere
from uapkit.runner import catalogue

CALLS = []


def measure(model, q):
    """What an item would keep: the rows of a network, and that its weights were read."""
    CALLS.append(model)
    provenance.note_input(f"weights of {model}", "0" * 64)
    return {"rate": 0.5 * q, "v": np.array([1.0, -1.0], dtype=np.float32) * q}


def run(*, models=("a", "b"), q=10.0, seed=0):
    """An item."""

    def point(model):
        if model == "missing":
            raise NotHere("no such weights")
        made = lab.keep(measure, model, q)
        return [{"fooling_rate": made["rate"], "n": 10}], {f"v/{model}": made["v"]}

    return lab.sweep([{"model": m} for m in models], point)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder and cache."""
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    monkeypatch.setenv("UAPKIT_ROOT", str(tmp_path))
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def counted(monkeypatch):
    """The experiment above in the place of every item; how often, and for which network, it measured."""
    CALLS.clear()
    module = ModuleType("an_item")
    module.run = run
    monkeypatch.setattr(catalogue.Item, "module", property(lambda self: module))
    return CALLS
