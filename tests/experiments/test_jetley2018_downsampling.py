"""The resampling network against Pillow; Table 1 and the direct attack on small networks."""

import numpy as np
import pytest
import torch
from PIL import Image

from uapkit import models
from uapkit.experiments import jetley2018 as paper
from uapkit.experiments.jetley2018_downsampling import Resampled, defended, random_directions

SMALL = {"models": ("mlp_digits",), "n_eval": 40, "seed": 2}


@pytest.fixture(scope="module")
def table1():
    return paper.tab1_downsampling(**SMALL, d_lows=(227, 150, 60), factors=(1, 3))


@pytest.mark.parametrize("side", [7, 13, 20])
def test_resampling_is_pillows_bicubic(side):
    x = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(side))
    low = Image.fromarray(x[0, 0].numpy(), mode="F").resize((side, side), Image.Resampling.BICUBIC)
    there = np.asarray(low.resize((28, 28), Image.Resampling.BICUBIC))
    ours = Resampled(torch.nn.Flatten(), side).resampled(x)[0, 0].numpy()
    assert np.abs(ours - there).max() < 1e-5


def test_resampling_keeps_constants_and_its_own_size_and_passes_gradients():
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low = Resampled(torch.nn.Flatten(), 5)
    assert torch.equal(Resampled(torch.nn.Flatten(), 16).resampled(x), x)
    assert torch.allclose(low.resampled(torch.full_like(x, 0.3)), torch.full_like(x, 0.3), atol=1e-6)
    v = torch.rand_like(x)
    image, pull = torch.func.vjp(low.resampled, x)
    assert torch.allclose((image * v).sum(), (x * pull(v)[0]).sum(), rtol=1e-6), "linear: the gradient is its adjoint"


def test_tab1_downsampling(table1):
    attack = table1[table1["kind"] == "deepfool"].set_index(["d_low", "f"])
    assert attack.loc[(227, 1), "fooling_rate"] == 1, "DeepFool fools the network that it was made on"
    assert attack.loc[(60, 1), "fooling_rate"] < 1
    assert attack.loc[(60, 1), "side"] == 7
    norms = attack.xs(1, level="f")[["mean_image_l2_norm", "mean_deepfool_l2_norm"]]
    assert (norms.diff().dropna() < 0).all(axis=None), "what is sampled down has less norm"
    assert np.allclose(attack["mean_deepfool_l2_norm"], 255 * attack["deepfool_norm"])
    null = table1[table1["kind"] == "random direction"]
    assert null["fooling_rate"].max() < 0.3
    assert set(null["f"]) == {1, 3}


def test_tab1_evidence_is_the_paired_difference(table1):
    evidence = paper.EVIDENCE["tab1_downsampling"](table1).set_index("claim")
    rates = table1[table1["kind"] == "deepfool"].set_index(["d_low", "f"])["fooling_rate"]
    assert evidence.loc["f1_rises", "estimate"] == pytest.approx(rates[60, 1] - rates[150, 1])
    assert evidence.loc["robust_for_larger_f", "estimate"] == pytest.approx(rates[60, 3] - rates[150, 3])
    assert {"null_low", "null_high"} <= set(evidence.columns)


def test_sec_direct_attack():
    table = paper.sec_direct_attack(**SMALL, d_lows=(227, 60))
    at = table.set_index(["d_low", "kind"])
    assert at.loc[(60, "direct"), "fooling_rate"] == 1
    assert at.loc[(60, "transferred"), "fooling_rate"] < 1
    assert at.loc[(60, "random direction"), "fooling_rate"] < 0.2
    assert at.loc[(227, "direct"), "norm_ratio"] == pytest.approx(1, rel=1e-4), "no resampling, the same attack"
    low, ratio, high = at.loc[(60, "direct"), ["ratio_low", "norm_ratio", "ratio_high"]]
    assert 0.5 < low <= ratio <= high < 2
    evidence = paper.EVIDENCE["sec_direct_attack"](table).set_index("claim")
    assert evidence.loc["as_effective", "estimate"] == at.loc[(60, "direct"), "norm_ratio"]
    assert evidence.loc["direct_beats_transferred", "low"] > 0


def test_a_network_that_is_not_here_keeps_its_row():
    table = paper.tab1_downsampling(models=("alexnet", "mlp_digits"), n_eval=10, d_lows=(227,), factors=(1,))
    assert table.loc[table["model"] == "alexnet", "status"].tolist() == ["not run here"]
    assert (table.loc[table["model"] == "mlp_digits", "status"] == "run").all()


def test_defended_network_is_a_model():
    low = defended(models.load("mlp_digits"), 9)
    assert low(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert not low.training


def test_random_directions_have_the_norms_of_the_attacks():
    r = torch.rand(5, 1, 4, 4)
    v = random_directions(r, seed=0)
    assert torch.allclose(v.flatten(1).norm(dim=1), r.flatten(1).norm(dim=1))
    assert not torch.allclose(v[0], v[1])
