"""Every attack x everybody's networks x what every attack promises. A bug report becomes one line of benchmarks/_zoo.py."""

import importlib.util
import math
import re
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from uapkit import attacks, evaluate, models
from uapkit.attacks import Perturbation

path = Path(__file__).parents[2] / "benchmarks" / "_zoo.py"
spec = importlib.util.spec_from_file_location("zoo", path)
zoo = sys.modules["zoo"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(zoo)

EPS = 0.1


def wrapped(net):
    """Attacked at its logits: by name through a Model, as the function that it is otherwise."""
    return (models.wrap(net), "logits") if isinstance(net, nn.Module) else (net, net)


def singular(net, x, seed, batch):
    model, layer = wrapped(net)
    return attacks.singular_uap(model, x, layer=layer, q=2, p=2, eps=EPS, norm=2, max_iter=3, seed=seed, chunk=batch)


UNIVERSAL = {  # (network, images, seed, batch) -> Perturbation in the 2-norm
    "uap": lambda net, x, seed, batch: attacks.uap(net, x, norm=2, eps=EPS, max_passes=1, max_iter=3, seed=seed),
    "singular_uap": singular,
    "svd_uap of gradients": lambda net, x, seed, batch: attacks.svd_uap(net, x, eps=EPS, seed=seed),
    "svd_uap of signs": lambda net, x, seed, batch: attacks.svd_uap(net, x, directions="fgsm", eps=EPS, seed=seed),
}
PER_IMAGE = {  # (network, images, batch) -> one an image
    "deepfool": lambda net, x, batch: attacks.deepfool(net, x, batch_size=batch).r,
    "loss_gradient": lambda net, x, batch: attacks.loss_gradient(net, x, batch_size=batch),
    "fgsm": lambda net, x, batch: attacks.fgsm(net, x, eps=EPS, batch_size=batch),
    "saliency": lambda net, x, batch: attacks.saliency(net, x, batch_size=batch),
}
WORKS = [pytest.param(one, id=one.name) for one in zoo.ZOO if not one.says and not one.slow]  # the page has them all
REFUSED = [pytest.param(one, id=one.name) for one in zoo.ZOO if one.says]


def close(a, b, share=1e-3):
    return float((a - b).norm()) <= share * float(b.norm())


@pytest.mark.parametrize("one", WORKS)
def test_what_every_attack_promises(one):
    net, x = zoo.built(one), zoo.images(one)
    before = [p.clone() for p in net.parameters()] if isinstance(net, nn.Module) else []
    generators = torch.get_rng_state()
    clean = evaluate.labels(net, x)
    assert float(evaluate.fooling_rate(net, x, torch.zeros(x.shape[1:]))) == 0
    assert torch.equal(evaluate.labels(net, x, batch_size=1), clean)
    for name, attack in PER_IMAGE.items():
        r = attack(net, x, None)
        assert r.shape == x.shape, name
        assert r.dtype == x.dtype, name
        assert bool(r.isfinite().all()), name
        assert torch.equal(attack(net, x, None), r), name
        if name != "fgsm":  # the sign of a rounding error is another one in another batch
            apart = sum(
                not close(one_by_one, whole, 0.02) for one_by_one, whole in zip(attack(net, x, 1), r, strict=True)
            )
            assert apart <= (name == "deepfool"), (
                name
            )  # rounding may send it over another of two boundaries equally near
    found = attacks.deepfool(net, x)
    assert bool(found.success.any())
    assert torch.equal(evaluate.labels(net, x, found.r), found.adversarial)
    assert torch.equal(found.label, clean)
    assert bool((found.adversarial != clean)[found.success].all())
    made = {name: attack(net, x, 0, None) for name, attack in UNIVERSAL.items()}
    for name, v in made.items():
        assert isinstance(v, Perturbation), name
        assert v.v.shape == x.shape[1:], name
        assert v.v.dtype == x.dtype or one.name == "in double precision", name
        assert v.size() <= EPS * 1.0001, name
        assert name == "uap" or v.size() == pytest.approx(EPS, rel=1e-4), name
        assert torch.equal(UNIVERSAL[name](net, x, 0, None).v, v.v), name
    assert close(singular(net, x, 0, 1).v, made["singular_uap"].v, 0.02)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters() if before else [], strict=True))
    if "draws a number" not in one.name:
        assert torch.equal(torch.get_rng_state(), generators)  # the gate's and the attacks' draws are their own


@pytest.mark.parametrize("one", REFUSED)
def test_what_is_refused_and_in_which_words(one):
    x = zoo.images(one)
    if one.scores:
        assert float(evaluate.fooling_rate(zoo.built(one), x, torch.zeros(x.shape[1:]))) == 0
    else:
        with pytest.raises((ValueError, TypeError), match=one.says):
            evaluate.fooling_rate(zoo.built(one), x, torch.zeros(x.shape[1:]))
    for name, attack in {**PER_IMAGE, "uap": lambda n, x, _: attacks.uap(n, x)}.items():
        with pytest.raises((ValueError, TypeError), match=one.says) as refusal:
            attack(zoo.built(one), x, None)
        assert "\n" not in str(refusal.value), name
    with pytest.raises((ValueError, TypeError), match=one.says):
        singular(zoo.built(one), x, 0, None)


IMAGES = {  # what is handed over instead of pixels in [0, 1], and the words about it
    "bytes": (lambda x: (x * 255).byte(), "divide bytes by 255"),
    "0 to 255": (lambda x: x * 255, r"allowed is \[0, 1\]"),
    "normalised": (lambda x: (x - 0.5) / 0.2, r"allowed is \[0, 1\]"),
    "one image": (lambda x: x[0], r"\(n, c, h, w\)"),
    "none": (lambda x: x[:0], "at least one image"),
    "NaN": (lambda x: x * math.nan, "not finite"),
    "NumPy": (lambda x: x.numpy(), "torch.from_numpy|NumPy array"),
    "a path": (lambda x: "folder", "must be"),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_that_are_none_are_refused_everywhere(kind):
    change, words = IMAGES[kind]
    one = zoo.ZOO[0]
    net, x = zoo.built(one), change(zoo.images(one))
    doors = [lambda a=a: a(net, x, None) for a in PER_IMAGE.values()]
    doors += [lambda a=a: a(net, x, 0, None) for a in UNIVERSAL.values()]
    doors += [lambda: evaluate.labels(net, x), lambda: models.wrap(net).predict(x)]
    for door in doors:
        with pytest.raises((TypeError, ValueError)) as refusal:
            door()
        assert re.search(words, str(refusal.value)), str(refusal.value)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_images_of_another_floating_type_give_the_same_attack(dtype):
    net, x = zoo.built(zoo.ZOO[0]), zoo.images(zoo.ZOO[0])
    other, same = x.to(dtype), x.to(dtype).float()
    assert torch.equal(evaluate.labels(net, other), evaluate.labels(net, same))
    for name, attack in PER_IMAGE.items():
        found = attack(net, other, None)
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32), name
        assert close(found, attack(net, same, None)), name
    for name, attack in UNIVERSAL.items():
        assert close(attack(net, other, 0, None).v, attack(net, same, 0, None).v), name


@pytest.mark.parametrize("around", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_mode_around_an_attack_changes_nothing(around):
    net, x = zoo.built(zoo.ZOO[0]), zoo.images(zoo.ZOO[0])
    expected = [a(net, x, None) for a in PER_IMAGE.values()] + [a(net, x, 0, None).v for a in UNIVERSAL.values()]
    with around():
        x = zoo.images(zoo.ZOO[0])
        found = [a(net, x, None) for a in PER_IMAGE.values()] + [a(net, x, 0, None).v for a in UNIVERSAL.values()]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("default", ["float64", "meta"])
def test_a_default_type_or_device_of_the_users_changes_nothing(default):
    net, x = zoo.built(zoo.ZOO[0]), zoo.images(zoo.ZOO[0])

    def everything():
        yield from (a(net, x, None) for a in PER_IMAGE.values())
        yield from (a(net, x, 0, None).v for a in UNIVERSAL.values())
        yield evaluate.labels(net, x, evaluate.random_perturbation(x.shape[1:], eps=EPS, seed=0))

    expected = list(everything())
    try:
        torch.set_default_dtype(torch.float64) if default == "float64" else torch.set_default_device("meta")
        found = list(everything())
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_eps_on_the_scale_of_bytes_is_said():
    net, x = zoo.built(zoo.ZOO[0]), zoo.images(zoo.ZOO[0])
    for attack in (
        lambda eps: attacks.uap(net, x, eps=eps, max_passes=1),
        lambda eps: attacks.singular_uap(models.wrap(net), x, layer="logits", eps=eps),
        lambda eps: attacks.svd_uap(net, x, norm=math.inf, eps=eps),
        lambda eps: attacks.fgsm(net, x, eps=eps),
    ):
        with pytest.warns(UserWarning, match="eps = 8 .* 8/255"):
            attack(8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            attack(8 / 255)
