import math

import numpy as np
import pytest
import torch
from torch import nn

from uapkit.attacks import deepfool, loss_gradient, svd_uap
from uapkit.evaluate import fooling_rate
from uapkit.spectra import direction_matrix

inf = math.inf


def affine(w: torch.Tensor, b: torch.Tensor) -> nn.Module:
    layer = nn.Linear(w.shape[1], w.shape[0])
    with torch.no_grad():
        layer.weight.copy_(w)
        layer.bias.copy_(b)
    return nn.Sequential(nn.Flatten(), layer).eval()


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).eval()


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.rand(30, 1, 6, 6, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("directions", ["gradient", "fgsm", "deepfool"])
def test_it_is_the_top_singular_vector_of_the_unit_rows(net, x, directions):
    rows = {
        "gradient": lambda: loss_gradient(net, x),
        "fgsm": lambda: loss_gradient(net, x).sign(),
        "deepfool": lambda: deepfool(net, x).r[deepfool(net, x).success],
    }[directions]()
    unit = direction_matrix(rows)
    _, s, vh = torch.linalg.svd(unit.double())
    result = svd_uap(net, x, directions=directions, eps=0.7, sign="+")
    assert abs(float(result.v.flatten().double() @ vh[0])) == pytest.approx(0.7, rel=1e-4)
    assert result.size(2) == pytest.approx(0.7)
    assert result.made_by["singular_value"] == pytest.approx(float(s[0]), rel=1e-5)
    assert result.made_by["share"] == pytest.approx(float(s[0]) ** 2 / len(unit), rel=1e-4)
    third = svd_uap(net, x, directions=directions, eps=0.7, sign="+", vector=3)
    assert abs(float(third.v.flatten().double() @ vh[2])) == pytest.approx(0.7, rel=1e-3)


def test_both_signs_are_tried_and_the_better_one_is_kept(x):
    # class 1 wins only with a brighter picture: one sign fools all, the other none, whichever the vector came with
    for turn in (1.0, -1.0):
        model = affine(turn * torch.tensor([[0.0] * 36, [1.0] * 36]), torch.tensor([0.0, -turn * 36 * 0.5 - 9]))
        label = model(x).argmax(1)
        assert (label == label[0]).all()
        result = svd_uap(model, x, eps=6.0)
        rates = result.made_by["fooling_rate_fit"]
        assert sorted(rates.values()) == [0.0, 1.0]
        assert rates[result.made_by["sign"]] == 1.0
        assert (model(x + result.v).argmax(1) != label).all()


def test_norm_sign_and_ready_rows(net, x):
    plus = svd_uap(net, x, eps=0.1, norm=inf, sign="+")
    assert float(plus.v.abs().max()) == pytest.approx(0.1)
    assert torch.equal(svd_uap(net, x, eps=0.1, norm=inf, sign="-").v, -plus.v)
    rows = loss_gradient(net, x)
    given = svd_uap(net, x, directions=rows, eps=0.1, norm=inf, sign="+")
    assert torch.allclose(given.v, plus.v)
    assert given.made_by["directions"] == "given"
    told = {
        "method": "svd_uap",
        "model": "Sequential",
        "n_fit": 30,
        "directions": "gradient",
        "vector": 1,
        "n_rows": 30,
    }
    assert told.items() <= plus.made_by.items()
    assert (plus.made_by["labels"], plus.made_by["sign"], plus.eps, plus.norm) == ("predicted", "+", 0.1, inf)
    assert "fooling_rate_fit" not in plus.made_by
    assert plus.v.flatten()[plus.v.abs().argmax()] > 0
    rows[0] = 0
    fewer = svd_uap(net, x, directions=rows, eps=0.1, vector=2)
    assert (fewer.made_by["n_rows"], fewer.norm, len(fewer.history)) == (29, 2, 2)
    assert fewer.history[0] >= fewer.history[1] == fewer.made_by["singular_value"] > 0
    y = (net(x).argmax(1) + 1) % 5
    assert svd_uap(net, x, eps=0.1, y=y).made_by["labels"] == "given"
    still = svd_uap(net, x, eps=0)
    assert (still.made_by["fooling_rate_fit"], still.made_by["sign"]) == ({"+": 0.0, "-": 0.0}, "+"), (
        "of equals the first"
    )
    assert not torch.allclose(svd_uap(net, x, eps=0.1, norm=inf, sign="+", y=y).v, plus.v, atol=1e-3)


class Negative(nn.Module):
    """The network at negatives of the images."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(1 - x)


def test_the_rates_of_both_signs_are_those_of_plus_and_minus_v(net, x):
    """They change places on negatives."""
    rows = loss_gradient(net, x)
    v = svd_uap(net, x, directions=rows, eps=1.0, sign="+").v
    rate, twice = (float(fooling_rate(net, x, f * v)) for f in (1, 2))
    assert 0 < rate < twice, "or this would show nothing"
    plain, turned = svd_uap(net, x, eps=1.0), svd_uap(Negative(net).eval(), 1 - x, directions=rows, eps=1.0)
    assert plain.made_by["fooling_rate_fit"] == {"+": rate, "-": 0.0}
    assert turned.made_by["fooling_rate_fit"] == {"+": 0.0, "-": rate}
    assert torch.equal(turned.v, -v)


def test_bad_arguments_are_named(net, x):
    with pytest.raises(ValueError, match="'gradient'"):
        svd_uap(net, x, directions="gradients", eps=1)
    with pytest.raises(ValueError, match="sign"):
        svd_uap(net, x, eps=1, sign="best")
    with pytest.raises(ValueError, match="eps"):
        svd_uap(net, x, eps=-1)
    with pytest.raises(ValueError, match=r"eps must lie in .*, got inf"):
        svd_uap(net, x, eps=inf)
    with pytest.raises(TypeError, match=r"directions must be .* real numbers"):
        svd_uap(net, x, directions=x * 1j, eps=0.1)
    with pytest.raises(ValueError, match="image-shaped"):
        svd_uap(net, x, eps=1, directions=torch.rand(4, 36))
    with pytest.raises(ValueError, match=r"rows \(m, c, h, w\), got \(4, 1, 6, 5\)"):
        svd_uap(net, x, eps=1, directions=torch.rand(4, 1, 6, 5))
    with pytest.raises(ValueError, match="vector"):
        svd_uap(net, x, eps=1, vector=0)
    with pytest.raises(ValueError, match="norm"):
        svd_uap(net, x, eps=1, norm=0.5)
    with pytest.raises(ValueError, match=r"k must lie in \[1, 30\]"):
        svd_uap(net, x, eps=1, vector=31)
    dead = affine(torch.zeros(3, 36), torch.arange(3.0))
    with pytest.raises(ValueError, match="no perturbation"):
        svd_uap(dead, x, eps=1, directions="deepfool")
    with pytest.raises(ValueError, match="rows are zero"):
        svd_uap(dead, x, eps=1)


@pytest.mark.parametrize("vector", [2.0, np.int64(2)])
def test_a_whole_number_is_one_in_any_type(net, x, vector):
    told, plain = (svd_uap(net, x, eps=0.5, vector=n) for n in (vector, 2))
    assert told.made_by == plain.made_by
    assert torch.equal(told.v, plain.v)
    with pytest.raises(ValueError, match=r"seed must be a whole number, got 0\.5"):
        svd_uap(lambda x: pytest.fail("the network ran"), x, eps=0.5, seed=0.5)
