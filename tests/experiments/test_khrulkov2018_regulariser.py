"""The regulariser: its penalty is the norm that a dense Jacobian gives, its gradient is right, and training lowers it."""

import math

import pandas as pd
import pytest
import torch

from uapkit import models
from uapkit.experiments import khrulkov2018 as paper
from uapkit.experiments.khrulkov2018_regulariser import penalty
from uapkit.norms import lp_norm


def small_model(seed=0):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    return models.wrap(net.double(), input_size=(1, 3, 3))


@pytest.mark.parametrize(("p", "q"), [(math.inf, 4.0), (2.0, 2.0)])
def test_penalty_is_one_power_iteration_on_the_dense_jacobian(p, q):
    model, x = small_model(), torch.rand(4, 1, 3, 3, dtype=torch.float64)
    v = torch.ones(1, 3, 3, dtype=torch.float64)
    value, new = penalty(model, "2", x, v, p, q)
    respond = model.until("2")
    dense = torch.cat(
        [torch.autograd.functional.jacobian(lambda u: respond(u[None])[0], one).reshape(6, 9) for one in x]
    )
    g = dense.T @ (lambda z: z.sign() * z.abs() ** (q - 1))(dense @ v.flatten())
    expected = g.sign() if p == math.inf else g / g.norm()
    assert torch.allclose(new.flatten(), expected)
    assert float(value) == pytest.approx(float(lp_norm(dense @ expected, q)) / 4 ** (1 / q))


def test_penaltys_gradient_is_that_of_finite_differences():
    model, x = small_model(1), torch.rand(3, 1, 3, 3, dtype=torch.float64)
    model.requires_grad_(True)
    v = torch.ones(1, 3, 3, dtype=torch.float64)
    weight = model.net[1].weight
    value, fixed = penalty(model, "2", x, v, math.inf, 4.0)
    (gradient,) = torch.autograd.grad(value, weight)
    step = torch.zeros_like(weight)
    step[2, 3] = 1e-6
    ends = []
    for sign in (1, -1):
        weight.data += sign * step
        z = torch.func.jvp(model.until("2"), (x,), (fixed.expand_as(x),))[1].detach()
        ends.append(float(lp_norm(z.flatten(), 4.0)) / 3 ** (1 / 4))
        weight.data -= sign * step
    assert float(gradient[2, 3]) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


def test_ext_regulariser():
    settings = {"n_train": 200, "epochs": 5, "n_fit": 8, "n_select": 40, "n_eval": 100, "max_iter": 4, "max_passes": 1}
    table = paper.ext_regulariser(strengths=(0.0, 0.3), seeds=(0,), **settings).set_index("strength")
    assert table.loc[0.3, "singular_value"] < 0.9 * table.loc[0.0, "singular_value"], "the term does what it asks for"
    assert table.loc[0.0, "accuracy"] > 0.5
    assert (table["fooling_rate"] > table["random_rate"]).all()


def test_ext_regulariser_evidence_keeps_to_harmless_strengths():
    rows = [
        {"model": "net", "status": "run", "strength": s, "seed": k, "held_in_accuracy": a, "fooling_rate": f + 0.01 * k}
        | {"uap_rate": f}
        for k in (0, 1, 2)
        for s, a, f in ((0.0, 0.95, 0.8), (0.1, 0.94, 0.5), (1.0, 0.60, 0.1))
    ]
    found = paper.EVIDENCE["ext_regulariser"](pd.DataFrame(rows))
    assert found["network"].str.contains(r"strength 0\.1").all(), "the strongest one costs too much accuracy"
    assert found["estimate"].tolist() == pytest.approx([0.3, 0.3])
