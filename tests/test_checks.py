"""Refusals are one sentence that names the value, the allowed range and the fix."""

import math

import numpy as np
import pytest
import torch

from uapkit import checks


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match=r"unknown model 'resnet_50'; the nearest names are 'resnet50'"):
        checks.one_of("resnet_50", ["resnet50", "vgg16", "googlenet"], "model")
    assert checks.one_of("vgg16", ["resnet50", "vgg16"], "model") == "vgg16"
    assert checks.suggest("zzz", ["a", "b"]) == ["a", "b"], "always something to go on"


@pytest.mark.parametrize("value", [0.5, 0, -1, math.nan])
def test_exponent_below_one(value):
    with pytest.raises(ValueError, match=r"q must lie in \[1, inf\]"):
        checks.exponent(value, "q")


def test_exponent_of_another_type():
    with pytest.raises(TypeError, match="q must be a number, got 'five'"):
        checks.exponent("five", "q")
    for text in ("inf", "2", b"2"):  # float() would take it
        with pytest.raises(TypeError, match=f"q must be a number, got {text!r}"):
            checks.exponent(text, "q")
    assert checks.exponent(math.inf, "q") == math.inf


@pytest.mark.parametrize("value", [0.9, math.nan, math.inf, None, "1", b"1", 1j, torch.zeros(2)])
def test_a_seed_is_whole(value):
    with pytest.raises(ValueError, match="seed must be a whole number, got"):
        checks.seed(value)
    found = [checks.seed(whole) for whole in (3, -3, 3.0, np.int64(3), torch.tensor(3))]
    assert found == [3, -3, 3, 3, 3]
    assert {type(one) for one in found} == {int}


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (torch.full((1, 1, 2, 2), 2.0), ValueError, "pixels in .2, 2., allowed is .0, 1.; divide by 255"),
        (torch.full((1, 1, 2, 2), -0.1), ValueError, "allowed is"),
        (torch.full((1, 1, 2, 2), math.nan), ValueError, "not finite"),
        (torch.zeros(3, 2, 2), ValueError, r"shape \(n, c, h, w\), got \(3, 2, 2\)"),
        (torch.zeros(0, 1, 2, 2), ValueError, "empty"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), TypeError, "divide bytes by 255"),
        ([[0.0]], TypeError, "got list"),
        (torch.rand(1, 1, 2, 2, dtype=torch.complex64), TypeError, "real numbers, got torch.complex64"),
        (torch.rand(1, 1, 2, 2).to_sparse(), TypeError, r"dense, got the layout torch\.sparse_coo; call its to_dense"),
        (torch.zeros(1, 1, 2, 2, device="meta"), TypeError, "device 'meta', which holds no numbers"),
    ],
)
def test_images(x, error, words):
    with pytest.raises(error, match=words):
        checks.images(x)


def test_good_images_pass_unchanged():
    x = torch.rand(2, 3, 4, 4)
    assert checks.images(x) is x


def test_perturbation_shape_and_nan():
    with pytest.raises(ValueError, match=r"must have the images' shape \(1, 2, 2\), got \(2, 2\)"):
        checks.perturbation(torch.zeros(2, 2), (1, 2, 2))
    with pytest.raises(ValueError, match="not finite"):
        checks.perturbation(torch.full((1, 2, 2), math.inf), (1, 2, 2))


@pytest.mark.parametrize(
    ("v", "words"),
    [
        (torch.full((1, 2, 2), 1j), "v must be a tensor .* or a Perturbation, of real numbers, got torch.complex64"),
        (torch.ones(1, 2, 2, dtype=torch.bool), "real numbers, got torch.bool"),
        (torch.ones(1, 2, 2).to_sparse(), "dense, got the layout torch.sparse_coo"),
        (torch.ones(1, 2, 2, device="meta"), "holds no numbers"),
        ([[[1.0]]], "v must be a tensor .* or a Perturbation, got list"),
    ],
)
def test_perturbations_are_dense_tensors_of_real_numbers(v, words):
    with pytest.raises(TypeError, match=words):
        checks.perturbation(v, (1, 2, 2))


@pytest.mark.parametrize("value", [0, -1, 1.5, True, math.inf, -math.inf, math.nan, None, "1", 1j, torch.zeros(2)])
def test_counts(value):
    with pytest.raises(ValueError, match="n must be an integer of at least 1"):
        checks.count(value, "n")


def test_counts_may_have_an_end():
    assert checks.count(8, "bits", high=24) == 8
    with pytest.raises(ValueError, match="bits must be an integer of at least 1 and at most 24, got 1000000"):
        checks.count(10**6, "bits", high=24)


@pytest.mark.parametrize("value", [math.inf, math.nan, -0.1, 1e31, 10**400])
def test_a_radius_is_finite_and_named(value):
    assert checks.radius(0) == 0
    with pytest.raises(ValueError, match=r"eps must lie in \[0, 1e\+30\], got"):
        checks.radius(value)


@pytest.mark.parametrize("value", [(0,), (0, 1, 2), (1, 0), (0, math.nan), 5, None, ("a", "b")])
def test_bounds(value):
    assert checks.bounds([0, 1]) == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"bounds must be \(low, high\) with low < high, got "):
        checks.bounds(value)


@pytest.mark.parametrize("values", [[], (), None, 2.0])
def test_some_values(values):
    assert checks.some((1, 2), "ps") == [1, 2]
    with pytest.raises(ValueError, match="ps must hold at least one value, got"):
        checks.some(values, "ps")
