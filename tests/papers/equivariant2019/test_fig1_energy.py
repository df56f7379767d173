"""Figure 1: the share of a network of rank nine is known."""

import pytest

from uapkit.papers.equivariant2019 import fig1_energy


def test_fig1_energy(small, evidence):
    table = fig1_energy.run(**small, n_fit=100, k=9)
    trained = table[table["kind"] == "trained"].iloc[0]
    assert trained["top_share"] == pytest.approx(1, abs=1e-6), "ten classes: gradients of a linear network span nine"
    shares = table.set_index("kind")["top_share"]
    assert shares["random"] < shares["random in the data's subspace"] < 1
    assert (table["held_out_share"] <= table["top_share"] + 1e-6).all()
    found = evidence(fig1_energy, table).set_index("claim")
    assert found.loc["top5_above_10_percent", "null"] == shares[1:].max(), "the null nearest to the claim"
    assert found.loc["training_concentrates", "bound"] == table.set_index("kind").loc["untrained network", "high"]
