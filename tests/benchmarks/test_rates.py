"""The benchmark of rates: as many plain passes as a rate needs are what it is compared with."""

import importlib
import sys

import torch

from uapkit.runner.catalogue import project_root

sys.path.insert(0, str(project_root()))
rates = importlib.import_module("benchmarks.rates")


def test_a_row_counts_the_passes_that_its_work_needs(monkeypatch):
    calls = []
    forward = torch.nn.Module.__call__
    for name, passes, target, work in rates._works(3, 64):
        work()  # the gate looks first
        with monkeypatch.context() as patch:
            patch.setattr(
                rates.wrap(torch.nn.Flatten()).__class__,
                "__call__",
                lambda self, x: calls.append(len(x)) or forward(self, x),
            )
            work()
        assert sum(calls) == 3 * passes, name
        assert target in (1.0, 1.05, 1.1)
        calls.clear()


def test_every_row_has_least_most_and_a_verdict():
    table = rates.run(n=2, size=64, repeats=2)
    assert (table["least"] <= table["ratio"]).all()
    assert (table["ratio"] <= table["most"]).all()
    assert set(table["verdict"]) <= {"ok", "MISS"}
    assert (table["why"].eq("") == table["verdict"].eq("ok")).all()
