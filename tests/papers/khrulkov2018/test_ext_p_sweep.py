"""Fooling rate against p: equal sizes in both norms, and the claim compares at an equal largest pixel."""

import math

import pytest
import torch

from uapkit import lab
from uapkit.papers.khrulkov2018 import ext_p_sweep

SMALL = {"models": ("mlp_digits",), "n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}


def test_ext_p_sweep():
    table = ext_p_sweep.run(**SMALL, layer="relu2", ps=(2.0, math.inf))
    attack = table[table["kind"] == "singular vector"].set_index(["p", "norm"])
    assert attack.loc[(2, math.inf), "peak"] == pytest.approx(0.2), "equal largest pixel"
    v = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits/p = 2"])
    assert float(v.norm()) == pytest.approx(0.2 * 28, rel=1e-5), "equal length"
    assert attack.loc[(2, 2), "peak"] > 0.2
    same = attack.loc[(math.inf, math.inf)], attack.loc[(math.inf, 2)]
    assert same[0]["fooling_rate"] == same[1]["fooling_rate"], "signs have both sizes at once"
    run = lab.Run.of(table)
    found = {claim.name: claim.found.value for claim in ext_p_sweep.claims(run)}
    for name, norm in (("p_inf_is_best", math.inf), ("p_inf_is_best_at_equal_length", 2)):
        rates = [attack.loc[(p, norm), "fooling_rate"] for p in (math.inf, 2)]
        assert found.pop(name) == pytest.approx(rates[0] - rates[1])
    assert not found
    assert not list(ext_p_sweep.claims(lab.Run.of(table.assign(status="not run here"))))
    labels = {c.get_label() for c in ext_p_sweep.figure(run).axes[0].containers}
    assert labels == {"norm inf", "norm 2"}
    assert len(ext_p_sweep.gallery(run).axes) == 2


@pytest.mark.parametrize(
    ("name", "value"), [("norms", 0.0), ("norms", 0.5), ("ps", 0.0), ("ps", -1.0), ("norms", math.nan)]
)
def test_exponents_that_are_none_are_refused_before_anything_runs(name, value, monkeypatch):
    monkeypatch.setattr(lab, "Bench", None)
    with pytest.raises(ValueError, match=rf"each of {name} must lie in \[1, inf\], got {value}"):
        ext_p_sweep.run(**{name: [value, 2.0]})
    with pytest.raises(ValueError, match=rf"{name} must hold at least one value, got \[\]"):
        ext_p_sweep.run(**{name: []})
