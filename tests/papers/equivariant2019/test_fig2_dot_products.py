"""Figures 2b to 4b: dot products of planted directions, and of random ones."""

import math

import pytest
import torch

from uapkit.lab import Run
from uapkit.papers.equivariant2019 import fig2_dot_products


def test_fig2_dot_products(small, setting, net, evidence):
    table = fig2_dot_products.run(**small, attacks=("gradient",), samples=(60,), ks=(3, 5), n_random=20)
    random = table[(table["kind"] == "random") & (table["k"] == 5)].iloc[0]
    assert random["mean_dot"] == pytest.approx(math.sqrt(2 / (math.pi * 784)), rel=0.1)
    inside = table[(table["kind"] == "random in the data's subspace") & (table["k"] == 5)].iloc[0]
    assert inside["mean_dot"] > 2 * random["mean_dot"]
    v = torch.linalg.svd(setting().directions(net, "gradient", 60).double())[2][:3]
    u = torch.linalg.svd(setting().invariant(60, 2.0).double())[2][:3]
    mine = table[(table["kind"] == "trained") & (table["k"] == 3)].iloc[0]
    assert mine["mean_dot"] == pytest.approx(float((v @ u.T).abs().mean()), rel=1e-4)
    claims = set(evidence(fig2_dot_products, table)["claim"])
    assert set(evidence(fig2_dot_products, table.assign(model="gcnn_mnist_rot_sgd_seed1"))["training"]) == {"sgd"}
    assert claims == {"dot_below_random", "dot_below_random_in_data"}, "0.07 is below chance by construction"
    axes = fig2_dot_products.figure(Run.of(table)).axes
    assert [ax.get_title() for ax in axes] == ["top 3", "top 5"]
    assert mine["mean_dot"] in [y for line in axes[0].lines for y in line.get_ydata()]
