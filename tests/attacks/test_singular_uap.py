import functools
import math

import numpy as np
import pytest
import torch
from torch import nn

from uapkit import models
from uapkit.attacks import singular_uap
from uapkit.data import Images
from uapkit.operators import LayerJacobians

inf = math.inf


def wrapped(seed: int = 0) -> models.Model:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 4, 5))
    return models.wrap(net.double(), mean=0.4, std=0.3, input_size=(1, 6, 6), name="tiny")


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.rand(7, 1, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def stacked(model: models.Model, x: torch.Tensor, layer: str) -> torch.Tensor:
    """The dense Jacobian of the layer, all images below each other."""
    one = torch.func.jacrev(lambda z: model.until(layer)(z[None]).flatten())
    return torch.cat([one(image).reshape(-1, 36) for image in x])


@pytest.mark.parametrize(
    ("kind", "message"), [({"p": "inf"}, "p must be a number"), ({"q": "2"}, "q must"), ({"seed": 0.5}, "seed must")]
)
def test_bad_numbers_are_refused_before_any_work(x, kind, message):
    with pytest.raises((TypeError, ValueError), match=message):
        singular_uap(wrapped(), x, layer=lambda x: pytest.fail("the layer ran"), **kind)


def test_numbers_of_numpy_become_plain(x):
    kinds = {"p": np.float64(2), "q": np.int64(3), "seed": np.int64(1), "max_iter": np.int64(3)}
    told = singular_uap(wrapped(), x, layer="2", **kinds)
    plain = singular_uap(wrapped(), x, layer="2", p=2, q=3, seed=1, max_iter=3)
    assert told.made_by == plain.made_by
    assert torch.equal(told.v, plain.v)


@pytest.mark.parametrize("layer", ["0", "2", "4"])
def test_two_two_is_the_svd_of_the_stacked_jacobian(x, layer):
    model = wrapped()
    result = singular_uap(model, x, layer=layer, p=2, q=2, norm=2, eps=0.5, max_iter=3000)
    _, s, vh = torch.linalg.svd(stacked(model, x, layer))
    assert result.made_by["singular_value"] == pytest.approx(float(s[0]), rel=1e-6)
    assert abs(float(result.v.flatten() @ vh[0])) == pytest.approx(0.5, rel=1e-4)
    assert result.size() == pytest.approx(0.5)


@pytest.mark.parametrize("q", [1.0, 5.0, 10.0])
def test_every_entry_is_eps_and_the_value_is_that_of_v(x, q):
    model = wrapped()
    result = singular_uap(model, x, layer="2", q=q, eps=10 / 255)
    assert torch.allclose(result.v.abs(), torch.full_like(result.v, 10 / 255))
    response = stacked(model, x, "2") @ (result.v.flatten() * 25.5)
    assert result.made_by["singular_value"] == pytest.approx(float(torch.linalg.vector_norm(response, q)), rel=1e-6)
    assert result.history[-1] == pytest.approx(result.made_by["singular_value"])
    assert all(b >= a for a, b in zip(result.history, result.history[1:], strict=False))


def test_made_by_says_how(x):
    images = Images(x.float(), name="random")
    result = singular_uap(wrapped().float(), images, layer="1", q=3, max_iter=4, seed=5)
    expected = {"method": "singular_uap", "model": "tiny", "images": "random", "images_sha256": images.sha256}
    expected |= {"n_fit": 7, "layer": "1", "p": "inf", "q": 3.0, "seed": 5}
    assert {k: result.made_by[k] for k in expected} == expected
    assert result.made_by["n_iter"] == len(result.history) <= 4
    assert isinstance(result.made_by["converged"], bool)
    assert (result.eps, result.norm) == (10 / 255, inf)


def test_the_seed_and_nothing_else_decides_the_sign_and_chunks_do_not(x):
    model = wrapped()
    first = singular_uap(model, x, layer="2", p=2, q=2, norm=2, seed=0, max_iter=400)
    assert torch.equal(first.v, singular_uap(model, x, layer="2", p=2, q=2, norm=2, seed=0, max_iter=400).v)
    assert torch.allclose(first.v, singular_uap(model, x, layer="2", p=2, q=2, norm=2, chunk=2, max_iter=400).v)
    others = [singular_uap(model, x, layer="2", p=2, q=2, norm=2, seed=s, max_iter=400).v for s in range(6)]
    cosines = torch.stack([(first.v * v).sum() / first.v.norm() / v.norm() for v in others])
    assert torch.allclose(cosines.abs(), torch.ones(6, dtype=torch.float64), atol=1e-3)
    assert cosines.min() < 0 < cosines.max()


def test_a_callable_layer_and_the_callback(x):
    model, seen = wrapped(), []
    by_name = singular_uap(model, x, layer="2", max_iter=3)
    by_call = singular_uap(
        model, x, layer=model.until("2"), max_iter=3, callback=lambda k, v, value: seen.append(value)
    )
    assert torch.equal(by_name.v, by_call.v)
    assert tuple(seen) == by_call.history
    assert by_call.made_by["layer"] == "2"
    unnamed = {"max_iter": 1, "q": 2}
    assert singular_uap(model, x, layer=model.net[0], **unnamed).made_by["layer"] == "Conv2d"
    assert singular_uap(model, x, layer=torch.tanh, **unnamed).made_by["layer"] == "tanh"
    assert singular_uap(model, x, layer=functools.partial(torch.mul, other=2), **unnamed).made_by["layer"] == "partial"


def test_what_is_not_said_is_as_in_the_paper_and_recorded_jacobians_must_fit(x):
    model = wrapped()
    plain = singular_uap(model, x, layer="2")
    assert (plain.made_by["p"], plain.made_by["q"], plain.eps, plain.norm) == ("inf", 10.0, 10 / 255, inf)
    full = singular_uap(model, x, layer="2", max_iter=20, rtol=0.0, seed=0)
    assert torch.equal(plain.v, full.v)
    assert plain.made_by == full.made_by
    assert plain.made_by["start_value"] < plain.made_by["singular_value"]
    recorded = LayerJacobians(model, ["0", "2"], x)
    assert torch.equal(singular_uap(model, x, layer="2", recorded=recorded).v, plain.v)
    for other, images in ((wrapped(1), x), (model, x.flip(0))):
        with pytest.raises(ValueError, match="another model or other images"):
            singular_uap(other, images, layer="2", recorded=recorded)
    with pytest.raises(TypeError, match=r"give models.wrap\(module\), got Sequential"):
        singular_uap(model.net, x, layer="2")
    with pytest.raises(ValueError, match="training mode"):
        singular_uap(wrapped().train(), x, layer="2")
    other = singular_uap(model, x, layer="2", p=2, q=2, norm=inf, eps=0.1, max_iter=3)
    assert other.size(inf) == pytest.approx(0.1), "the size is told in another norm than that which confines v"
    with pytest.raises(ValueError, match="norm must lie"):
        singular_uap(model, x, layer="2", norm=0.5)
    with pytest.warns(UserWarning, match="5/255"):
        singular_uap(model, x, layer="2", eps=5, max_iter=1)


def test_bad_arguments_are_named(x):
    model = wrapped()
    with pytest.raises(ValueError, match="layer of tiny"):
        singular_uap(model, x, layer="22")
    with pytest.raises(ValueError, match=r"p must lie in \[1, inf\]"):
        singular_uap(model, x, layer="2", p=0.5)
    with pytest.raises(ValueError, match="q must lie in"):
        singular_uap(model, x, layer="2", q=0)
    with pytest.raises(ValueError, match="eps must lie in"):
        singular_uap(model, x, layer="2", eps=-1)
    with pytest.raises(ValueError, match=r"eps must lie in .*, got inf"):
        singular_uap(model, x, layer="2", eps=inf)
    with pytest.raises(ValueError, match="empty"):
        singular_uap(model, x[:0], layer="2")
    dead = models.wrap(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)), name="dead")
    with torch.no_grad():
        dead.net[0].bias.fill_(-100)
    with pytest.raises(ValueError, match="dead or saturated"):
        singular_uap(dead, x.float(), layer="1")
