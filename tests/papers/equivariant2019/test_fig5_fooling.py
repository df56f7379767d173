"""Figures 5 and 6: held out vectors, both signs, baselines of equal norm, and the claims in their terms."""

import pytest

from uapkit import evaluate
from uapkit.papers.equivariant2019 import fig5_fooling


@pytest.fixture(scope="module")
def curves(small):
    return fig5_fooling.run(
        **small, attacks=("gradient",), samples=(20, 60, 200), n_eval=100, norms=(0.0, 0.3), n_random=2, passes=1
    )


def test_fig5_fooling(curves, setting, net, evidence):
    vectors = curves[curves["kind"] == "singular vector"]
    assert set(vectors["fit"]) == {"held out", "in sample", "other half"}
    still = curves[curves["relative_norm"] == 0]
    assert (still["fooling_rate"].dropna() == 0).all()
    clean = 1 - evaluate.accuracy(setting().network(net), setting().turned(200)[100:])["accuracy"].item()
    assert still["error_rate"].dropna().unique() == pytest.approx([clean]), "at norm 0 it is the clean error"
    assert set(vectors["sign"]) == {1, -1}
    signs = vectors.groupby(["fit", "n_fit"])["chosen"].mean()
    assert (signs.drop("other half") == 0.5).all(), "one sign of two"
    assert (signs["other half"] == 1).all(), "of the cross-fit only the sign that fitted images choose"
    moved = vectors[(vectors["relative_norm"] == 0.5) & (vectors["chosen"] == True)]  # noqa: E712
    random = curves[(curves["kind"] == "random direction") & (curves["relative_norm"] == 0.5)]
    assert moved["error_rate"].min() > random["error_rate"].max()
    assert "universal perturbation" in set(curves["kind"])
    claims = evidence(fig5_fooling, curves)
    assert claims["claim"].tolist() == ["reaches_80_percent", "beats_random_directions", "100_samples_suffice"]
    reached = claims.iloc[0]
    assert reached["estimate"] == moved.loc[moved["fit"] == "other half", "error_rate"].item()
    assert (claims["n"] == 100).all()
