"""The regulariser: its penalty is the norm that a dense Jacobian gives, its gradient is right, and training lowers it."""

import math

import pandas as pd
import pytest
import torch

from uapkit import lab, models
from uapkit.data import load
from uapkit.norms import lp_norm
from uapkit.papers.khrulkov2018 import ext_regulariser
from uapkit.papers.khrulkov2018.ext_regulariser import penalty


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
    table = ext_regulariser.run(strengths=(0.0, 0.3), seeds=(0,), **settings).set_index("strength")
    assert table.loc[0.3, "singular_value"] < 0.9 * table.loc[0.0, "singular_value"], "the term does what it asks for"
    assert table.loc[0.0, "accuracy"] > 0.5
    assert (table["fooling_rate"] > table["random_rate"]).all()


def test_training_leaves_the_given_network_alone_and_is_deterministic():
    net = lab.Bench("digits", 4).untrained("mlp_digits", 5)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    images = load("digits", split="train", n=40)
    given = {"layers": ["relu1"], "p": math.inf, "q": 4.0, "epochs": 1, "lr": 0.01, "batch_size": 20, "seed": 0}
    made = [ext_regulariser.trained_weights(net, images, strength=s, **given)[0] for s in (0.1, 0.1, 0.0)]
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(torch.equal(made[0][k], v) for k, v in made[1].items())
    assert not all(torch.equal(made[0][k], v) for k, v in made[2].items()), "the term changes the weights"


def table_of_three_seeds():
    rows = [
        {
            "model": "net",
            "status": "run",
            "strength": strength,
            "seed": seed,
            "accuracy": accuracy,
            "held_in_accuracy": accuracy,
            "singular_value": 1.0,
            "fooling_rate": rate + 0.01 * seed,
            "uap_rate": rate,
            "random_rate": 0.0,
        }
        for seed in (0, 1, 2)
        for strength, accuracy, rate in ((0.0, 0.95, 0.8), (0.1, 0.94, 0.5), (1.0, 0.60, 0.1))
    ]
    return lab.Run.of(pd.DataFrame(rows))


def test_claims_keep_to_harmless_strengths():
    found = list(ext_regulariser.claims(table_of_three_seeds()))
    assert all("strength 0.1" in claim.network for claim in found), "the strongest one costs too much accuracy"
    assert [claim.found.value for claim in found] == pytest.approx([0.3, 0.3])


def test_figure_draws_means_over_seeds():
    left, right = ext_regulariser.figure(table_of_three_seeds()).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in left.lines}
    assert lines["fooled by UAP"] == pytest.approx([0.8, 0.5, 0.1])
    assert lines["fooled by the singular vector"] == pytest.approx([0.81, 0.51, 0.11])
    assert [t.get_text() for t in right.get_xticklabels()] == ["0", "0.1", "1"]
