"""Singular values of all layers and convergence: known answers of linear networks, agreement with the solver."""

import math

import pandas as pd
import pytest
import torch

from uapkit import models
from uapkit.experiments import khrulkov2018 as paper
from uapkit.experiments import khrulkov2018_shared as shared
from uapkit.experiments.common import Bench
from uapkit.operators import JacobianOperator
from uapkit.singular import pq_singular

SMALL = {"models": ("lenet_digits",), "n_fit": 4, "max_iter": 5, "seed": 1}


def test_fig_singular_values():
    table = paper.fig_singular_values(**SMALL)
    model = models.load("lenet_digits")
    assert table["layer"].tolist() == model.layers(kind=("conv", "activation", "pool")), "every one of them"
    assert table["depth"].is_monotonic_increasing
    assert (table["singular_value"] > table["random_value"]).all()
    assert table["per_grey_level"].to_numpy() * 255 == pytest.approx(table["singular_value"].to_numpy())
    fit = Bench("digits", 4, 0, 1, 1).images(model)[0].x
    known = pq_singular(JacobianOperator(model.until("pool1"), fit), p=math.inf, q=10, max_iter=5, seed=1)
    assert table.set_index("layer").loc["pool1", "singular_value"] == pytest.approx(known.value)
    assert paper.EVIDENCE["fig_singular_values"](table).empty, "no VGG, no ResNet, no claim"


def test_a_singular_value_known_on_paper():
    """f(x) = 3x: signs move every pixel by 3, so sigma_(inf,q) of n images is 3 (n d)^(1/q)."""
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Flatten())
    net[0].weight.data.fill_(3.0)
    mine = models.wrap(net, input_size=(1, 28, 28), name="threefold")
    table = paper.fig_singular_values(models=[mine], n_fit=4, q=2.0, max_iter=2)
    assert table["singular_value"].item() == pytest.approx(3 * math.sqrt(4 * 784), rel=1e-5)
    assert table["random_value"].item() == pytest.approx(table["singular_value"].item()), "any signs are as good"


def test_fig_singular_values_evidence_compares_families():
    def rows(model, values):
        return pd.DataFrame({"model": model, "status": "run", "singular_value": values})

    table = pd.concat([rows("vgg16", [10, 20, 40]), rows("vgg19", [30, 60, 90]), rows("resnet50", [1, 2, 3])])
    found = paper.EVIDENCE["fig_singular_values"](table).set_index("network")
    assert found.loc["vgg19 / vgg16", "estimate"] == pytest.approx(3)
    assert found.loc["resnet50 / vgg16", "estimate"] == pytest.approx(0.1)
    assert found.loc["resnet50 / vgg16", "high"] < 0.5
    assert (found["low"] <= found["estimate"]).all()


def test_fig_convergence():
    table = paper.fig_convergence(**SMALL | {"max_iter": 8}, layers=["relu"], n_select=16, n_eval=60, n_seeds=2, q=5.0)
    own = table[table["kind"] == "trained"]
    for _, trace in own.groupby("start"):
        assert trace["singular_value"].is_monotonic_increasing
        assert trace["share"].iloc[-1] == 1
        assert trace["iteration"].tolist() == list(range(len(trace)))
    assert own["start"].nunique() == 2
    first = own[own["start"] == 0].iloc[-1]
    assert first["cosine"] == pytest.approx(1, abs=1e-5)
    assert own["fooling_rate"].notna().sum() in (2, 3, 4)
    evidence = paper.EVIDENCE["fig_convergence"](table).iloc[0]
    assert evidence["null"] < evidence["estimate"] <= 1, "five iterations do more than none"


def test_all_layers_come_from_one_forward_pass(monkeypatch):
    """A sweep over layers records its network once, and the untrained copy once, not once a layer."""
    made = []

    class Counted(shared.LayerJacobians):
        def __init__(self, model, layers, images, **settings):
            made.append(list(layers))
            super().__init__(model, layers, images, **settings)

    monkeypatch.setattr(shared, "LayerJacobians", Counted)
    monkeypatch.setattr(shared, "JacobianOperator", None)  # no layer by itself
    table = paper.fig_singular_values(models=["vgg_digits", "lenet_digits"], n_fit=4, max_iter=2)
    layers = table.groupby("model", sort=False)["layer"].apply(list)
    assert made == [layers["vgg_digits"]] * 2 + [layers["lenet_digits"]] * 2
    made.clear()
    paper.tab1_layers(models=["lenet_digits"], n_fit=4, n_select=8, n_eval=20, max_iter=2)
    assert len(made) == 2
