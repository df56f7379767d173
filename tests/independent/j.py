"""J (jetley2018): the table of down-sampling, on all photographs and on CIFAR-10 (Section 4.4 and Table 1)."""

from __future__ import annotations

import functools

import numpy as np

from tests.independent.base import Found, cell, close, exact, number, rate
from tests.independent.nets import (
    N_PHOTOGRAPHS,
    cifar,
    cifar_net,
    deepfool,
    labels,
    photo_net,
    photographs,
    resampled,
)

PHOTO, SMALL = "squeezenet1_1[gluon]", "cifar10_resnet20"
FEW = np.random.default_rng(20265).permutation(10000)[:2000]
TABLE = "jetley2018/tab1_downsampling"


@functools.cache
def photos() -> dict[str, np.ndarray]:
    """Labels and lengths of all photographs, as they are and resampled through 200 of 227, here 197 of 224."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("as", "is", "sums", "squares", "sums200", "squares200")}
    for part in np.array_split(np.arange(N_PHOTOGRAPHS), 20):
        x = photographs(part, "centre")
        y = resampled(x, 197)
        found["as"].append(labels(photo_net, x))
        found["is"].append(labels(photo_net, y))
        for which, pixels in (("", x.double()), ("200", y.double())):
            found[f"sums{which}"].append(pixels.sum((2, 3)).numpy())
            found[f"squares{which}"].append(pixels.square().sum((1, 2, 3)).numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def mean_norm(which: str = "") -> float:
    """Mean norm of the photographs less their mean colour (data are mean-subtracted)."""
    sums, squares, pixels = photos()[f"sums{which}"], photos()[f"squares{which}"], 224 * 224
    colour = photos()["sums"].mean(0) / pixels
    return float(np.sqrt(squares - 2 * sums @ colour + pixels * colour @ colour).mean())


def _clean(column: str, model: str, d_low: float) -> float:
    return cell(TABLE, column, model=model, d_low=d_low, kind="clean")


SAME = "same photographs; one label for rounding"


@number("J", TABLE, "SqueezeNet 1.1: accuracy, no resampling", lambda: _clean("accuracy", PHOTO, 227))
def _(stored: float) -> Found:
    return exact((photos()["as"] == np.arange(N_PHOTOGRAPHS)).mean(), N_PHOTOGRAPHS, 0.001001, SAME)


@number("J", TABLE, "SqueezeNet 1.1, d = 200: accuracy", lambda: _clean("accuracy", PHOTO, 200))
def _(stored: float) -> Found:
    return exact((photos()["is"] == np.arange(N_PHOTOGRAPHS)).mean(), N_PHOTOGRAPHS, 0.001001, SAME)


@number(
    "J",
    TABLE,
    "SqueezeNet 1.1, d = 200: labels that resampling alone changes",
    lambda: _clean("fooling_rate", PHOTO, 200),
)
def _(stored: float) -> Found:
    return exact((photos()["is"] != photos()["as"]).mean(), N_PHOTOGRAPHS, 0.001001, SAME)


@number(
    "J",
    TABLE,
    "SqueezeNet 1.1: mean norm of the photographs less their mean colour",
    lambda: _clean("image_norm", PHOTO, 227),
    "data",
)
def _(stored: float) -> Found:
    mine = mean_norm()
    return exact(mine, N_PHOTOGRAPHS, 1e-5 * mine, "same photographs, single precision")


@number(
    "J",
    TABLE,
    "the same at d = 200, over that",
    lambda: _clean("image_norm", PHOTO, 200) / _clean("image_norm", PHOTO, 227),
    "data",
)
def _(stored: float) -> Found:
    return exact(mean_norm("200") / mean_norm(), N_PHOTOGRAPHS, 1e-5, "same photographs, single precision")


@functools.cache
def small() -> tuple[np.ndarray, np.ndarray]:
    x = cifar()[0][FEW]
    return labels(cifar_net(), x), labels(cifar_net(), resampled(x, 17))


@number(
    "J", TABLE, "ResNet-20, d = 120: labels that resampling alone changes", lambda: _clean("fooling_rate", SMALL, 120)
)
def _(stored: float) -> Found:
    mine = float((small()[0] != small()[1]).mean())
    return rate(mine, len(FEW), stored, 1000, 10000)


@number("J", TABLE, "ResNet-20, d = 120: accuracy", lambda: _clean("accuracy", SMALL, 120))
def _(stored: float) -> Found:
    mine = float((small()[1] == cifar()[1][FEW].numpy()).mean())
    return rate(mine, len(FEW), stored, 1000, 10000)


@number(
    "J",
    TABLE,
    "ResNet-20: mean length of DeepFool's steps, in grey levels",
    lambda: _clean("mean_deepfool_l2_norm", SMALL, 227),
)
def _(stored: float) -> Found:
    sizes = 255 * deepfool(cifar_net(), cifar()[0][FEW[:150]]).flatten(1).norm(dim=1).numpy()
    return close(sizes.mean(), len(sizes), sizes.std() / np.sqrt(len(sizes)), sizes.std() / np.sqrt(1000))
