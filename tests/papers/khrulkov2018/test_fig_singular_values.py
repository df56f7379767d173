"""Singular values of all layers: a value known on paper, agreement with the solver, families compared."""

import math

import pandas as pd
import pytest
import torch

from uapkit import lab, models
from uapkit.lab import Run
from uapkit.operators import JacobianOperator
from uapkit.papers.khrulkov2018 import fig_singular_values
from uapkit.singular import pq_singular


def test_fig_singular_values():
    table = fig_singular_values.run(models=("lenet_digits",), n_fit=4, max_iter=5, seed=1)
    model = models.load("lenet_digits")
    assert table["layer"].tolist() == model.layers(kind=("conv", "activation", "pool")), "every one of them"
    assert table["depth"].is_monotonic_increasing
    assert (table["singular_value"] > table["random_value"]).all()
    assert table["per_grey_level"].to_numpy() * 255 == pytest.approx(table["singular_value"].to_numpy())
    fit = lab.Bench("digits", 4, 0, 1, 1).split("lenet_digits").fit.x
    known = pq_singular(JacobianOperator(model.until("pool1"), fit), p=math.inf, q=10, max_iter=5, seed=1)
    assert table.set_index("layer").loc["pool1", "singular_value"] == pytest.approx(known.value)
    run = Run.of(table)
    assert not list(fig_singular_values.claims(run)), "no VGG, no ResNet, no claim"
    lines = {line.get_label(): list(line.get_ydata()) for line in fig_singular_values.figure(run).axes[0].lines}
    assert lines["singular vector"] == pytest.approx(table["singular_value"].tolist())
    assert lines["untrained network"] == pytest.approx(table["untrained_value"].tolist())
    assert [line.get_label() for line in fig_singular_values.networks(run).axes[0].lines] == ["LeNet (digits)"]


def test_a_singular_value_known_on_paper():
    """f(x) = 3x: signs move every pixel by 3, so sigma_(inf,q) of n images is 3 (n d)^(1/q)."""
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Flatten())
    net[0].weight.data.fill_(3.0)
    mine = models.wrap(net, input_size=(1, 28, 28), name="threefold")
    table = fig_singular_values.run(models=[mine], n_fit=4, q=2.0, max_iter=2)
    assert table["singular_value"].item() == pytest.approx(3 * math.sqrt(4 * 784), rel=1e-5)
    assert table["random_value"].item() == pytest.approx(table["singular_value"].item()), "any signs are as good"


def test_random_weights_and_networks_with_other_images():
    """A network with random weights is a null in the table and in the figure; each network has its own images and layers."""
    given = {"models": ("vgg_digits[random]", "lenet_digits"), "layers": {"lenet_digits": ["pool1"]}, "max_iter": 2}
    given |= {"data": {"lenet_digits": "digits", "default": "digits"}, "n_fit": {"lenet_digits": 3, "default": 2}}
    run = Run.of(fig_singular_values.run(**given))
    rows = run.rows.set_index("model")
    fresh, trained = rows.loc["vgg_digits[random]"], rows.loc[["lenet_digits"]]
    assert fresh["is_null"].all()
    assert fresh["weights"].eq("random").all()
    assert fresh["layer"].tolist() == models.load("vgg_digits", weights="random").layers(
        kind=("conv", "activation", "pool")
    )
    assert fresh["untrained_value"].tolist() == fresh["singular_value"].tolist()
    assert trained["layer"].tolist() == ["pool1"]
    assert not trained["is_null"].any()
    assert fresh["n"].eq(2).all()
    assert trained["n"].tolist() == [3]
    assert set(run.measured["model"]) == {"lenet_digits"}
    styles = [line.get_linestyle() for line in fig_singular_values.networks(run).axes[0].lines]
    assert styles == [":", "-"]


def test_no_claim_rests_on_random_weights():
    about = {"status": "run", "singular_value": [1.0, 2.0, 3.0]}
    table = pd.concat(
        [
            pd.DataFrame({"model": "vgg16[random]", "kind": "untrained network", **about}),
            pd.DataFrame({"model": "resnet50", "kind": "trained", **about}),
        ]
    )
    assert not list(fig_singular_values.claims(Run.of(table)))
    assert list(fig_singular_values.claims(Run.of(table.assign(kind="trained"))))


def test_claims_compare_families():
    def rows(model, values):
        return pd.DataFrame({"model": model, "status": "run", "singular_value": values})

    table = pd.concat([rows("vgg16", [10, 20, 40]), rows("vgg19", [30, 60, 90]), rows("resnet50", [1, 2, 3])])
    found = {claim.network: claim.found for claim in fig_singular_values.claims(Run.of(table))}
    assert found["vgg19 / vgg16"].value == pytest.approx(3)
    assert found["resnet50 / vgg16"].value == pytest.approx(0.1)
    assert found["resnet50 / vgg16"].high < 0.5
    assert all(one.low <= one.value for one in found.values())
