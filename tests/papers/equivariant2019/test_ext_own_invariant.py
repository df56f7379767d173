"""Attack directions against the images' own invariant directions, planted and measured; and attacks that agree."""

import pytest
import torch

from uapkit.lab import Run
from uapkit.papers.equivariant2019 import ext_own_invariant
from uapkit.spectra import unit_rows


def test_ext_own_invariant(small, setting, net, evidence):
    table = ext_own_invariant.run(**small, attacks=("gradient", "fgsm"), n_fit=60, n_random=5)
    rows, invariant = setting().directions(net, "gradient", 60).double(), setting().invariant(60, 2.0).double()
    own = table[(table["kind"] == "own invariant direction") & (table["attack"] == "gradient")].iloc[0]
    assert own["mean_cos"] == pytest.approx(float((rows * invariant).sum(1).abs().mean()))
    everything = float((rows @ invariant.T).abs().mean())
    others = table[(table["kind"] == "another image's invariant direction") & (table["attack"] == "gradient")].iloc[0]
    assert others["mean_cos"] == pytest.approx(everything, rel=0.1), "shuffled pairs are pairs of other images"
    assert own["difference"] == pytest.approx(own["mean_cos"] - others["mean_cos"])
    between = table[table["kind"] == "agreement"].iloc[0]
    v, w = (torch.linalg.svd(setting().directions(net, a, 60).double())[2][0] for a in ("gradient", "fgsm"))
    assert between["mean_cos"] == pytest.approx(float((v @ w).abs()), abs=1e-5)
    assert table.loc[table["is_null"], "kind"].nunique() == 3
    found = evidence(ext_own_invariant, table)
    assert sorted(set(found["claim"])) == [
        "attacks_agree", "avoids_it_beyond_random_in_data", "avoids_own_invariant_direction"
    ]  # fmt: skip
    upper, lower = ext_own_invariant.figure(Run.of(table)).axes
    assert own["mean_cos"] in [y for line in upper.lines for y in line.get_ydata()]
    assert between["mean_cos"] in [y for line in lower.lines for y in line.get_ydata()]


def test_pairs_that_avoid_each_other_are_told_from_pairs_that_do_not():
    """Each attack direction is orthogonal to its own invariant direction, and to no other."""
    draws = torch.Generator().manual_seed(0)
    u = unit_rows(torch.randn(200, 30, generator=draws))
    a = torch.randn(200, 30, generator=draws)
    inside = unit_rows(torch.randn(200, 30, generator=draws))
    avoiding = unit_rows(a - (a * u).sum(1, keepdim=True) * u)
    own, shuffled, chance = ext_own_invariant.against_own(avoiding, u, inside, 9, 0)
    assert own["mean_cos"] < 1e-6
    assert own["difference_high"] < 0
    assert shuffled["mean_cos"] == pytest.approx(chance["mean_cos"], rel=0.1)
    indifferent = ext_own_invariant.against_own(unit_rows(a), u, inside, 9, 0)[0]
    assert indifferent["difference_low"] < 0 < indifferent["difference_high"]
    holes = avoiding.clone()
    holes[::2] = 0
    assert ext_own_invariant.against_own(holes, u, inside, 9, 0)[0]["n"] == 100, (
        "a row without a direction has no angle"
    )
