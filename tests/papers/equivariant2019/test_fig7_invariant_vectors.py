"""Figure 7: invariant directions are steerable and orthonormal, and chance is not."""

import numpy as np

from uapkit.papers.equivariant2019 import fig7_invariant_vectors


def test_fig7_invariant_vectors(evidence):
    table = fig7_invariant_vectors.run(n_fit=300, n_random=5, n_boot=8)
    ours, random = table[table["kind"] == "invariant directions"], table[table["kind"] == "random"]
    assert ours["angular_share"].min() > random["angular_share"].max(), "steerable, and chance is not"
    u = [table.attrs["arrays"][f"u/{k}"].ravel() for k in range(1, 6)]
    assert np.abs(np.stack(u) @ np.stack(u).T - np.eye(5)).max() < 1e-5
    found = evidence(fig7_invariant_vectors, table)
    assert found["estimate"].item() == ours["angular_share"].median()
    chance = table[table["kind"].str.startswith("random")].groupby("kind")["angular_share"]
    assert found["null"].item() == chance.mean().max(), "the null nearest to the claim"
    again = table.loc[table["kind"] == "bootstrap", "angular_share"]
    assert again.nunique() == 8, "each resample is another"
    assert again.min() <= found["low"].item() < found["high"].item() <= again.max(), "an interval over images"
    assert ours["angular_share"].max() > again.max(), "and not the range of the vectors"
    upright = fig7_invariant_vectors.run(n_fit=300, n_random=5, n_boot=2, rotation=0.0)
    assert upright.iloc[0]["angular_share"] < ours["angular_share"].iloc[0], "upright digits are not at all angles"
