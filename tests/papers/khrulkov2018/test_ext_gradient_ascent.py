"""Gradient ascent climbs, and with infinite steps it is the power method."""

import pytest

from uapkit import lab
from uapkit.papers.khrulkov2018 import ext_gradient_ascent

SMALL = {"n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}


def test_ext_gradient_ascent():
    table = ext_gradient_ascent.run(models=("mlp_digits",), layer="relu2", steps=(0.01, 100.0), **SMALL)
    value = table.set_index(["kind", "step"])["value"]
    power = table.loc[table["kind"] == "power method", "value"].item()
    assert value["gradient ascent", 0.01] < value["gradient ascent", 100.0]
    assert value["gradient ascent", 100.0] == pytest.approx(power, rel=0.1), "infinite steps are the power method"
    assert value["gradient ascent, no linearisation", 100.0] > value["gradient ascent, no linearisation", 0.01]
    run = lab.Run.of(table)
    found = list(ext_gradient_ascent.claims(run))
    assert [claim.network for claim in found] == [f"mlp_digits: {kind}" for kind in ext_gradient_ascent.ASCENTS]
    assert [claim.found.n for claim in found] == [120, 120]
    ax = ext_gradient_ascent.figure(run).axes[0]
    assert {"power method"} <= {line.get_label() for line in ax.lines}
    assert set(ext_gradient_ascent.ASCENTS) <= {c.get_label() for c in ax.containers}
