"""Paper J's first-order items on a linear network, whose attacks all lie in the span of nine known directions."""

import math

import numpy as np
import pytest
import torch

from uapkit import models, subspace
from uapkit.experiments import jetley2018 as paper
from uapkit.experiments import jetley2018_first_order as first
from uapkit.experiments.jetley2018_directions import _left_out, _overlap
from uapkit.lab.sweep import for_network

NINE = 9 / 784  # ten classes: differences of their weights span nine dimensions
LINEAR = {"models": ("linear_digits",), "n_fit": 60, "n_eval": 80, "seed": 3}


@pytest.fixture(scope="module")
def svd():
    return paper.fig4_deepfool_svd(**LINEAR, shares=(NINE, 775 / 784), n_random=1)


def test_fig4_deepfool_svd(svd):
    at = svd.set_index(["kind", "d"])
    whole = at.loc[("images", 784), "accuracy"]
    assert at.loc[("S_hi", 9), "accuracy"] == whole, "nine directions are all that a linear network looks at"
    assert at.loc[("S_lo", 775), "accuracy"] < 0.3, "the other 775 tell it nothing"
    assert at.loc[("random", 9), "accuracy"] < whole / 2
    assert at.loc[("principal components", 775), "accuracy"] == whole
    s = svd.attrs["arrays"]["s/linear_digits"]
    assert (s[9:] < 1e-3 * s[0]).all(), "rank nine"


def test_spans_hold_complementary_parts_of_the_images(svd):
    at = svd.set_index(["kind", "d"])["image_norm"]
    assert at[("S_hi", 9)] < at[("principal components", 9)]
    assert at[("S_hi", 9)] < 1
    assert at[("S_lo", 775)] < 1


def test_fig4_evidence_judges_a_tenth_of_the_directions():
    table = paper.fig4_deepfool_svd(**LINEAR, shares=(0.01, 0.1), n_random=1)
    evidence = paper.EVIDENCE["fig4_deepfool_svd"](table)
    assert evidence["claim"].tolist() == ["replicates_with_first_order"] * 2 + ["beyond_principal_components"]
    right = {k: table.attrs["arrays"][f"right/linear_digits/{k}/0.1"].mean() for k in ("S_hi", "principal components")}
    assert evidence["estimate"].iloc[2] == pytest.approx(right["S_hi"] - right["principal components"])
    mine = table[(table["kind"] == "S_hi") & (table["d"] == 78)]["accuracy"].item()
    assert evidence["estimate"].iloc[0] == mine
    assert evidence["bound"].iloc[0] == table.loc[table["kind"] == "images", "accuracy"].item() / 2
    assert evidence["null_high"].iloc[0] < evidence["low"].iloc[0]


def test_ext_gradient_svd():
    table = paper.ext_gradient_svd(**LINEAR, shares=(10 / 784, 0.1), n_random=1)
    at = table[table["d"] == 10].set_index("kind")
    chance = 10 / 784
    assert at.loc["random", "overlap"] < 5 * chance
    assert at.loc["gradients of all classes", "overlap"] > 0.85, "ten gradients hold their nine differences"
    assert at.loc["gradients of all classes", "accuracy"] >= at.loc["deepfool", "accuracy"] - 0.05
    assert at.loc["gradient, untrained network", "overlap"] < 0.5
    assert (table["overlap_low"].dropna() <= table["overlap"].dropna()).all()
    evidence = paper.EVIDENCE["ext_gradient_svd"](table)
    assert set(evidence["claim"]) == {"gradients_carry_the_accuracy", "gradients_span_the_same"}


def test_overlap_of_planted_spans():
    rng = torch.Generator().manual_seed(1)
    rows = torch.randn(50, 3, generator=rng) @ torch.eye(12)[:3]
    same, other = _left_out(rows), _left_out(rows.flip(1))
    assert _overlap(same, same, 3)["overlap"] == pytest.approx(1, abs=1e-5)
    assert _overlap(same, other, 3)["overlap"] < 1e-6
    half = [torch.linalg.qr(torch.randn(12, 12, generator=rng))[0]]
    found = _overlap(same[:1], half, 12)
    assert found["overlap"] == pytest.approx(1, abs=1e-5), "the whole space overlaps with itself"
    angles = np.radians(subspace.principal_angles(same[0][:, :3], half[0][:, :3]))
    assert _overlap(same[:1], half, 3)["overlap"] == pytest.approx((np.cos(angles) ** 2).mean(), abs=1e-5)


def test_fig5_confined():
    table = paper.fig5_confined(models=("linear_digits",), n_fit=60, n_eval=12, shares=(NINE, 0.1), seed=3)
    arrays = table.attrs["arrays"]
    free = 1 / arrays["reciprocal/linear_digits/unconfined/1/0"]
    inside = 1 / arrays[f"reciprocal/linear_digits/S_hi/{NINE:g}/0"]
    assert np.allclose(inside, free, rtol=1e-3), "the span of all attacks confines nothing"
    random = arrays["reciprocal/linear_digits/random/0.1/0"]
    assert (random <= (1 + 1e-5) / free).all(), "on a linear network confined is never shorter"
    assert (arrays["image/linear_digits/S_lo/0.1/0"] <= arrays["image/linear_digits/unconfined/1/0"]).all()
    assert table["norm"].min() == pytest.approx(table.loc[table["kind"] == "unconfined", "norm"].item(), rel=1e-3)


def test_fig5_evidence_compares_spans_image_by_image():
    table = paper.fig5_confined(models=("mlp_digits",), n_fit=60, n_eval=12, shares=(0.1,), seed=3)
    evidence = paper.EVIDENCE["fig5_confined"](table).set_index("network")
    a = table.attrs["arrays"]
    assert all(np.isfinite(v).all() for v in a.values()), "infinite values could not be stored"
    first_row = evidence.loc["mlp_digits, S_hi against S_lo"]
    shorter = a["reciprocal/mlp_digits/S_hi/0.1/0"] > a["reciprocal/mlp_digits/S_lo/0.1/0"]
    more = a["image/mlp_digits/S_hi/0.1/0"] > a["image/mlp_digits/S_lo/0.1/0"]
    assert first_row["estimate"] == (shorter == more).mean()
    assert evidence.loc["mlp_digits, S_hi against principal components", "claim"] == "inverse_to_principal_components"


def test_sec_uap_energy():
    table = paper.sec_uap_energy(
        models=("mlp_digits",), n_fit=60, n_uap=20, n_eval=60, n_draws=2, shares=(0.1, 0.9), n_curvature=0, seed=3
    )
    uap, null = (table[table["attack"] == a] for a in ("uap", "random signs"))
    hi = uap[(uap["kind"] == "S_hi") & (uap["share"] == 0.1)]
    assert (hi["norm_share"] > 1.5 * hi["chance"]).all()
    assert (null["norm_share"] - null["chance"]).abs().max() < 0.12
    parts = uap[uap["draw"] == 0].set_index(["kind", "share"])["norm_share"]
    whole = parts["S_hi", 0.1] ** 2 + parts["S_lo", 0.9] ** 2
    assert whole == pytest.approx(1, abs=1e-4), "78 and 706 dimensions are complementary"
    evidence = paper.EVIDENCE["sec_uap_energy"](table).iloc[0]
    assert evidence["estimate"] == pytest.approx(hi["norm_share"].mean(), rel=1e-5)
    assert evidence["null_high"] < evidence["low"]


def test_networks_of_two_image_sets_and_the_callers_own():
    own = models.load("linear_digits")
    own.name = "mine"
    pairs = first.Pairs({"mine": "digits", "other": "mnist"}, {"mine": 5, "other": 7}, 6)
    assert pairs.specs([own]) == ["mine"]
    fit, scored = pairs.images("mine")
    assert (len(fit), len(scored)) == (5, 6)
    assert pairs.data_of("lenet_mnist") == "mnist"
    with pytest.raises(ValueError, match="data by network needs a value for 'x'"):
        for_network({"y": "digits"}, "x", "data")


def test_projected_network_and_its_complement():
    net = models.load("linear_digits")
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    mean, basis = x.mean(0), subspace.random_subspace(784, 30, seed=1).float()
    only, without = first.Projected(net, basis, mean), first.Projected(net, basis, mean, remove=True)
    assert torch.allclose(only(x) + without(x), net(x) + net(mean[None]), atol=1e-4), "a linear network adds the parts"
    assert torch.allclose(without(mean[None]), net(mean[None]), atol=1e-5)


def test_images_too_large_for_a_full_basis_are_refused(monkeypatch):
    monkeypatch.setattr(first, "LARGEST", 100)
    with pytest.raises(ValueError, match="full basis of 784 dimensions"):
        paper.fig4_deepfool_svd(**LINEAR, shares=(0.1,))


def test_median_with_infinite_values():
    median, low, high = first.bootstrap_median(torch.tensor([1.0, 2.0, 3.0, math.inf, math.inf]))
    assert median == 3
    assert low <= median <= high == math.inf
