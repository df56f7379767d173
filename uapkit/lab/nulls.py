"""The nulls: what each baseline is, in words and as a draw, once for all papers.

A row of a table is a null where one of its columns ``kind``, ``direction``, ``attack`` or ``defence`` says one of these
names; :class:`uapkit.lab.Run` marks it in the column ``is_null``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from uapkit import evaluate
from uapkit.seeds import child_seed

COLUMNS = ("kind", "direction", "attack", "defence")
RANDOM_SIGNS, RANDOM_DIRECTION, UNTRAINED = "random signs", "random direction", "untrained network"
NULLS: dict[str, str] = {
    RANDOM_SIGNS: "every pixel up or down by the radius, at random",
    "random signs, larger": "random signs of a larger radius",
    RANDOM_DIRECTION: "a direction uniform on the sphere, of the same 2-norm",
    "random direction in the data's subspace": "a random direction in the images' own principal subspace, of the same 2-norm",
    "equal length": "random signs or a random direction, as long in the 2-norm as the attack itself",
    "null": "random signs or a random direction; the column ``source`` says which",
    "random": "a random direction, or a subspace spanned by such, of the same size",
    "random in the data's subspace": "random directions in the images' own principal subspace",
    "random, in the images' subspace": "random directions in the images' own principal subspace",
    "random, on the sphere": "random directions, uniform on the sphere",
    "principal components": "as many of the images' own principal components",
    "data": "as many of the images' own principal components",
    "subspace of the images": "random vectors in the images' own principal subspace",
    "random pair": "two random directions",
    "random phase": "noise with the vector's own two-dimensional spectrum and random phases, reduced to signs",
    "random phase, radial": "noise with the vector's spectrum averaged over directions, reduced to signs",
    "stripes": "plain square stripes, the best of a small grid on held-in images",
    "checks": "a checkerboard, the best of a small grid on held-in images",
    "Perlin noise": "smooth procedural noise, the best of a small grid on held-in images",
    "Gabor noise": "striped procedural noise, the best of a small grid on held-in images",
    "random phases": "the vector's own spectrum with random phases",
    "only random directions": "all but a random subspace is removed",
    "without random directions": "a random subspace is removed",
    "shuffled pixels": "each direction keeps its entries and loses where they stand",
    "shuffled labels": "the labels of other images",
    "uniform noise": "noise, uniform in the ball",
    UNTRAINED: "the same attack made on a copy of the network with fresh weights",
    "untrained": "a copy of the network with fresh weights",
    "gradient, untrained network": "gradients of a copy of the network with fresh weights",
    "clean": "the images as they are",
    "control": "the same training on images that nobody perturbed",
}


def is_null(kind: object) -> bool:
    """Is this the name of a null?"""
    return kind in NULLS


def kind_of(norm: float) -> str:
    """What the random null of a norm is called: random signs, or a random direction."""
    return RANDOM_SIGNS if norm == math.inf else RANDOM_DIRECTION


def random(shape: Sequence[int], *, eps: float, norm: float = math.inf, seed: int, name: str) -> Tensor:
    """(c, h, w) random signs (norm inf) or a direction uniform on the sphere, of size ``eps``; ``name`` tells draws apart."""
    return evaluate.random_perturbation(shape, eps=eps, norm=norm, seed=child_seed(seed, name))
