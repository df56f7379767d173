"""The Jacobian predicts the change: exactly on a linear network, less and less far away on others."""

import pytest

from uapkit import lab
from uapkit.papers.khrulkov2018 import ext_linearity

SMALL = {"n_fit": 8, "max_iter": 6, "seed": 3}


def test_ext_linearity():
    table = ext_linearity.run(models=("mlp_digits",), layers=["relu2"], n_eval=24, scales=(0.01, 1.0, 10.0), **SMALL)
    own = table[table["direction"] == "singular vector"].set_index("scale")
    assert own.loc[0.01, "error"] < 0.1, "the derivative is the limit"
    assert own["error"].is_monotonic_increasing
    assert own["cosine"].is_monotonic_decreasing
    run = lab.Run.of(table)
    assert [claim.found.value for claim in ext_linearity.claims(run)] == [own.loc[1.0, "error"]]
    lines = ext_linearity.figure(run).axes[0].lines
    assert lines[0].get_label() == "relu2"
    assert list(lines[0].get_ydata()) == own["error"].tolist()


def test_a_linear_network_is_its_jacobian():
    table = ext_linearity.run(models=("linear_digits",), layers=["fc"], n_eval=8, scales=(1.0, 5.0), **SMALL)
    assert table["ratio"].to_numpy() == pytest.approx(1, abs=1e-4)
    assert table["error"].to_numpy() == pytest.approx(0, abs=1e-4)
    assert table["cosine"].to_numpy() == pytest.approx(1, abs=1e-4)
