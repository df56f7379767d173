"""Refusals are one sentence that names the value, the allowed range and the fix."""

import math

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
    assert checks.exponent(math.inf, "q") == math.inf


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


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_counts(value):
    with pytest.raises(ValueError, match="n must be an integer of at least 1"):
        checks.count(value, "n")
