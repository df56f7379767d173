"""Tidy table to figure; nothing is computed here beyond placing and scaling what is shown."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from uapkit import names


class Look(NamedTuple):
    """How one meaning is drawn, in every figure: the marker and the line tell the same as the colour."""

    colour: str
    marker: str
    line: str = "-"


# Colours by meaning: Okabe & Ito's for what is measured, greys and dashes for nulls, black for what a paper prints.
_ATTACK, _UAP = Look("#0072B2", "o"), Look("#D55E00", "s")
_RANDOM, _OWN = Look("#808080", ".", ":"), Look("#CC79A7", "P", "--")
MEANINGS: dict[str, Look] = {
    "published": Look("#000000", "*", "none"),
    "stated bound": Look("#000000", ""),
    # what is under study
    **dict.fromkeys(("attack", "singular vector", "trained", "positive", "S_hi", "normals", "direct"), _ATTACK),
    **dict.fromkeys(("attack directions", "target class"), _ATTACK),
    **dict.fromkeys(("power method", "fixed batch", "batch", "norm inf"), _ATTACK),
    **dict.fromkeys(("redrawn each iteration", "another start", "norm 2"), Look("#0072B2", "s", "--")),
    **dict.fromkeys(("UAP", "universal", "universal perturbation", "transferred"), _UAP),
    **dict.fromkeys(("UAP, full length", "universal, full length"), Look("#D55E00", ">", "--")),
    "UAP, blocked": Look("#D55E00", "D", "-."),
    "UAP, overshoot 1": Look("#FDAE61", "<", "-."),
    "UAP, sphere": Look("#7F3B08", "^"),
    "UAP, new views": Look("#E7298A", "v", "--"),
    "UAP, other photographs": Look("#1B7837", "P"),
    "UAP, other photographs, new views": Look("#1B7837", "X", "--"),
    "UAP, earlier": Look("#D55E00", "v", ":"),  # of the network before it was tuned
    **dict.fromkeys(("gradient", "gradient ascent", "saliency"), Look("#009E73", "^")),
    **dict.fromkeys(("fgsm", "gradient ascent, no linearisation"), Look("#56B4E9", "v")),
    "deepfool": Look("#003F5C", "D"),
    "sum of deepfool": Look("#003F5C", "<", "-."),
    "negative": Look("#8C510A", "s"),
    **dict.fromkeys(("both", "curvature directions"), Look("#5E3C99", "D")),
    "gradients of all classes": Look("#A6CE39", "<"),
    "in the span": Look("#5E3C99", "X"),
    "down-sampling": Look("#66A61E", "p"),
    "adversarial training": Look("#B2182B", "h"),
    **dict.fromkeys(("flat", "S_lo"), Look("#5FB8AC", "v")),
    # nulls
    **dict.fromkeys(("random", "random signs", "random direction", "random pair", "random directions"), _RANDOM),
    **dict.fromkeys(("random signs, larger", "equal length"), Look("#808080", "d", "-.")),
    "uniform noise": Look("#808080", "1", ":"),
    **dict.fromkeys(("untrained", "untrained network", "gradient, untrained network"), Look("#E69F00", "X", "--")),
    **dict.fromkeys(("data", "principal components", "images"), _OWN),
    **dict.fromkeys(("random in the data's subspace", "random direction in the data's subspace"), _OWN),
    **dict.fromkeys(("random phase", "random phases"), Look("#9A6A00", "d", ":")),
    "random phase, radial": Look("#9A6A00", "D", "-."),
    "stripes": Look("#4D4D4D", "|", ":"),
    "checks": Look("#4D4D4D", "P", "--"),
    "Perlin noise": Look("#A3A3A3", "v", "--"),
    "Gabor noise": Look("#A3A3A3", "^", "-."),
    **dict.fromkeys(("shuffled", "shuffled pixels", "shuffled labels"), Look("#B39B00", "x", "--")),
    **dict.fromkeys(("clean", "none", "best other"), Look("#333333", "_", "-.")),
    "control": Look("#333333", "x", "--"),
}
# Tol's muted palette, which shares no colour with a meaning; a network keeps its colour and marker in all figures.
_MUTED = ("#332288", "#CC6677", "#117733", "#AA4499", "#999933", "#882255", "#44AA99", "#DDCC77", "#88CCEE")
_NETWORKS = (
    "bvlc_googlenet", "squeezenet1_1", "squeezenet1_0", "tiny_darknet", "mobilenet_v2", "cifar10_resnet20",
    "cifar10_resnet20_adv", "cifar10_resnet56", "nin_cifar10", "lenet_mnist", "stdcnn_mnist_rot", "gcnn_mnist_rot",
    "roteqnet_mnist_rot", "vgg_digits", "lenet_digits", "mlp_digits", "linear_digits", "stdcnn_digits", "gcnn_digits",
    "roteqnet_digits", "cifar10_resnet32", "cifar10_resnet44", "vgg16", "vgg19", "resnet50", "alexnet", "googlenet",
    "stdcnn_mnist_rot_sgd", "resnet152", "resnet18", "resnet101", "gcnn_mnist_rot_sgd",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def look(meaning: str) -> Look:
    """How a meaning is drawn. ValueError for one that has no look yet: give it one in ``MEANINGS``."""
    if meaning not in MEANINGS:
        raise ValueError(
            f"no look for {meaning!r}; give it one in uapkit/figures/style.py, known: {', '.join(MEANINGS)}"
        )
    return MEANINGS[meaning]


def look_of_place(k: int) -> Look:
    """How the k-th of a few points, images or sizes is drawn, which have no meaning but their order."""
    return Look(_MUTED[k % len(_MUTED)], MARKERS[k % len(MARKERS)])


def look_of_network(name: str) -> Look:
    """How a network is drawn; those of the user's own share what the named ones leave, by their name."""
    plain = re.sub(r"_seed\d+$", "", name.partition("[")[0])
    place = _NETWORKS.index(plain) if plain in _NETWORKS else len(_NETWORKS) + zlib.crc32(plain.encode()) % 54
    return Look(_MUTED[place % len(_MUTED)], MARKERS[(place // len(_MUTED) + place) % len(MARKERS)])


def in_order(count: int) -> list[Look]:
    """How an ordered series of ``count`` lines is drawn, such as layers from input to output or ranks: dark to light."""
    shades = plt.get_cmap("cividis")(np.linspace(0, 0.85, max(count, 1)))
    return [Look(to_hex(shade), MARKERS[place % len(MARKERS)]) for place, shade in enumerate(shades)]


STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "font.size": 10,
    "legend.frameon": False,
}


@contextmanager
def style(*, grid: bool = True) -> Iterator[None]:
    """The book's look, for the figures made inside the ``with`` block.

    They leave pyplot's list of open figures at its end, or a notebook would show each of them twice.
    """
    before = set(plt.get_fignums())
    with plt.rc_context({**STYLE, "axes.grid": grid}):  # type: ignore[dict-item]
        yield
    for number in set(plt.get_fignums()) - before:
        plt.close(number)


def short(spec: str) -> str:
    """A network's name for people, as :func:`uapkit.names.network` gives it; other words stay as they are."""
    return " ".join(names.network(word) for word in spec.split(" "))


def broken(name: str) -> str:
    """A name on two lines where it is long, so that neighbours do not overlap: at a bracket, else at the dot nearest its middle."""
    if len(name) <= 14:
        return name
    if " (" in name:
        return name.replace(" (", "\n(")
    dots = [k + 1 for k, letter in enumerate(name) if letter == "."]
    at = min(dots, key=lambda k: abs(k - len(name) / 2), default=0)
    return f"{name[:at]}\n{name[at:]}" if at else name


def with_intervals(
    ax: plt.Axes, x: Sequence, rows: pd.DataFrame, value: str, shown: Look, label: str, line: bool = True
) -> None:
    """Points with their 95 % intervals (columns ``low`` and ``high``) in the look of what they mean."""
    middle = rows[value].to_numpy(float)
    below, above = middle - rows["low"].to_numpy(float), rows["high"].to_numpy(float) - middle
    ax.errorbar(
        x,
        middle,
        yerr=[below.clip(0), above.clip(0)],
        color=shown.colour,
        marker=shown.marker,
        linestyle=shown.line if line else "none",
        capsize=3,
        label=label,
    )
