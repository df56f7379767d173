"""Figures 5 and 6: held out vectors, both signs, baselines of equal norm, and the claims in their terms."""

import pandas as pd
import pytest
import torch

from uapkit import evaluate
from uapkit.lab import Run
from uapkit.papers.equivariant2019 import fig5_fooling
from uapkit.papers.equivariant2019.course import IN_DATA, PHASES, Course
from uapkit.papers.equivariant2019.fooling import GAPS_BY_CHANCE, refitted


@pytest.fixture(scope="module")
def curves(small):
    return fig5_fooling.run(
        **small,
        attacks=("gradient",),
        samples=(20, 60, 200),
        n_eval=100,
        n_draws=4,
        norms=(0.0, 0.3, 2.0),
        n_random=6,
        passes=1,
        energies=(0.8, 0.99),
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
    claims = claims.set_index("claim")
    assert set(claims.index) == {
        "reaches_80_percent", "saturates_above_80_percent", "beats_random_directions", "100_samples_suffice"
    }  # fmt: skip
    other = vectors[(vectors["fit"] == "other half") & vectors["chosen"]].set_index("relative_norm")["error_rate"]
    assert claims.loc["reaches_80_percent", "estimate"] == other[0.5]
    assert claims.loc["saturates_above_80_percent", "estimate"] >= other[0.5]
    assert (claims["n"] == 100).all()
    chance = curves[curves["is_null"] & (curves["relative_norm"] == 0.5)]
    chance = chance.groupby(["kind", "energy"], dropna=False)["error_rate"]
    assert claims.loc["beats_random_directions", "bound"] == chance.quantile(0.975).max()


def test_redraws_are_judged_as_one_draw_and_against_random_directions(curves, evidence):
    redraws = curves[curves["kind"] == "redraw"]
    assert redraws["draw"].tolist() == [0, 1, 2, 3]
    largest = curves[(curves["fit"] == "other half") & (curves["relative_norm"] == 0.5)]["error_rate"].item()
    gaps = redraws["error_rate"] - largest
    told = curves[curves["kind"] == "difference"].iloc[0]
    assert told["difference"] == pytest.approx(gaps.mean())
    assert (told["smallest"], told["largest"]) == (pytest.approx(gaps.min()), pytest.approx(gaps.max()))
    assert told["difference_low"] <= gaps.min() <= gaps.max() <= told["difference_high"], (
        "of one draw, not of their mean"
    )
    few = evidence(fig5_fooling, curves).set_index("claim").loc["100_samples_suffice"]
    by_chance = curves[curves["kind"] == "difference of random directions"]
    assert by_chance["energy"].fillna(1).tolist() == [1, 0.8, 0.99], "all of space, and both subspaces"
    best = curves.loc[curves["kind"].isin(GAPS_BY_CHANCE), "difference_high"].max()
    assert few["null"] == few["null_low"] == few["null_high"] == best, "the best of chance"
    before = curves.drop(columns="energy")  # a run of one subspace
    assert evidence(fig5_fooling, before).set_index("claim").loc["100_samples_suffice", "null"] == best


def test_a_small_subspace_of_the_images_can_decide(curves, evidence):
    """The draws of one subspace are judged by themselves: mixed with weaker ones their quantile would be lower."""
    here = (curves["energy"] == 0.8) & (curves["relative_norm"] == 0.5) & (curves["kind"] == IN_DATA)
    assert here.sum() == 6
    stronger = curves.assign(error_rate=curves["error_rate"].mask(here, 0.99))
    assert evidence(fig5_fooling, stronger).set_index("claim").loc["beats_random_directions", "bound"] == 0.99
    ax = fig5_fooling.figure(Run.of(stronger)).axes[0]
    bars = [line.get_ydata() for line in ax.lines if line.get_linewidth() == 3]
    assert any(list(bar) == [0.99, 0.99] for bar in bars)


def test_noise_with_the_vectors_own_spectrum_is_a_null_of_its_attack_alone(curves, evidence):
    noise = curves[(curves["kind"] == PHASES) & (curves["relative_norm"] == 0.5)]
    assert noise["is_null"].all()
    assert (noise["attack"].tolist(), noise["draw"].tolist()) == (["gradient"] * 6, list(range(6)))
    stronger = curves.assign(error_rate=curves["error_rate"].mask(curves.index.isin(noise.index), 0.98))
    judged = evidence(fig5_fooling, stronger).set_index("claim")
    assert judged.loc["beats_random_directions", "bound"] == judged.loc["reaches_80_percent", "null"] == 0.98
    bars = [list(line.get_ydata()) for line in fig5_fooling.figure(Run.of(stronger)).axes[0].lines]
    assert [0.98, 0.98] in bars
    both = pd.concat([curves, stronger.dropna(subset="attack").assign(attack="fgsm")])
    bounds = evidence(fig5_fooling, both).query("claim == 'beats_random_directions'").set_index("network")["bound"]
    assert [bounds[name] == 0.98 for name in bounds.index] == [name.endswith("fgsm") for name in bounds.index]
    assert len(bounds) == 2
    gap = stronger.assign(difference_high=stronger["difference_high"].mask(stronger["kind"] == GAPS_BY_CHANCE[1], 0.7))
    assert evidence(fig5_fooling, gap).set_index("claim").loc["100_samples_suffice", "null"] == 0.7


def test_the_noise_has_the_spectrum_of_the_vector_and_its_length(setting, net):
    course = Course(setting(), net, 200, 100, (), 0.5)
    v = course.vector(course.setting.directions(net, "gradient", 60))
    seen = []
    course.rows, rows = lambda w, *a, **k: (seen.append(w), rows(w, *a, **k))[1], course.rows
    course.phases(v, 3)
    spectrum = torch.fft.fft2(v.view(28, 28).double()).abs()
    for w in seen:
        assert torch.allclose(torch.fft.fft2(w.view(28, 28).double()).abs(), spectrum, atol=1e-5)
        assert float(w.norm()) == pytest.approx(1)
        assert abs(float(v @ w)) < 0.9
    assert len({tuple(w.tolist()) for w in seen}) == 3


def test_no_subspace_leaves_the_whole_space_and_a_share_that_none_can_have_is_refused(small, evidence):
    few = {"attacks": ("gradient",), "samples": (20,), "n_eval": 20, "n_draws": 1, "norms": (), "n_random": 2}
    table = fig5_fooling.run(**small, **few, energies=())
    assert set(table.loc[table["kind"].str.startswith("random"), "kind"]) == {"random direction", PHASES}
    assert len(evidence(fig5_fooling, table)) == 4
    with pytest.raises(ValueError, match=r"energies must lie in \(0, 0.99\]"):
        fig5_fooling.run(**small, **few, energies=(0.5, 1.0))


def test_the_interval_is_over_fitted_and_scored_images_where_both_were_drawn(curves, evidence):
    known = curves.dropna(subset=["both_low"])
    assert (known["fit"].tolist(), known["relative_norm"].tolist()) == (["other half"], [0.5]), (
        "at the norm called small"
    )
    row = known.iloc[0]
    assert row["both_low"] <= row["error_low"] + 0.02
    assert row["both_low"] <= row["error_rate"] <= row["both_high"]
    assert row["refits"] == 4
    shown = refitted(Run.of(curves))
    assert shown["both_high"].tolist() == [row["both_high"]]
    assert refitted(None).empty
    assert refitted(Run.of(curves.drop(columns="both_low"))).empty
    told = evidence(fig5_fooling, curves).set_index("claim").loc["beats_random_directions"]
    assert (told["low"], told["high"]) == (row["both_low"], row["both_high"])
    before = evidence(fig5_fooling, curves.drop(columns=["both_low", "both_high"])).set_index("claim")
    assert before.loc["beats_random_directions", "low"] == row["error_low"], (
        "of a table without them, over the scored images"
    )


def test_numbers_of_images_and_norms_may_differ_by_network(small):
    two = {**small, "models": (*small["models"], "mlp_digits"), "attacks": ("gradient",), "samples": (20, 200)}
    table = fig5_fooling.run(
        **two,
        n_eval={"linear_digits": 30, "other": 50},
        norms={"linear_digits": (), "other": (1.0,)},
        n_draws=2,
        n_random=2,
    )
    scored = table[table["kind"] == "singular vector"].groupby("model")
    assert scored["n"].max().to_dict() == {"linear_digits": 30, "mlp_digits": 50}
    assert {name: set(part["relative_norm"]) for name, part in scored} == {
        "linear_digits": {0.5},
        "mlp_digits": {0.5, 1.0},
    }
    gaps = table[table["kind"] == "difference"].set_index("model")["n"]
    assert gaps.to_dict() == {"linear_digits": 30, "mlp_digits": 50}
