"""Answers of the package at a few settings: what the laboratory's page compares itself with, and the tests the page."""

from __future__ import annotations

import math
from typing import Any

import torch

from uapkit import attacks, data, spectra
from uapkit.book.laboratory_chain import floats
from uapkit.curvature import Curvatures, principal_curvatures
from uapkit.data import Images
from uapkit.models.model import Model
from uapkit.models.smooth import softened

POWER: tuple[dict[str, Any], ...] = (
    {"layer": "block2_pool", "p": math.inf, "q": 10, "n": 16, "seed": 0, "iterations": 12},
    {"layer": "block1_conv2", "p": math.inf, "q": 2, "n": 4, "seed": 3, "iterations": 12},
    {"layer": "logits", "p": 2, "q": 2, "n": 8, "seed": 1, "iterations": 8},
)
UNIVERSAL: tuple[dict[str, Any], ...] = (
    {"norm": math.inf, "eps": 0.25, "n": 16, "seed": 0, "passes": 2},
    {"norm": 2.0, "eps": 4.2, "n": 8, "seed": 1, "passes": 1},
)
STACKED: tuple[dict[str, Any], ...] = ({"n": 24, "seed": 0, "degrees": 0.0}, {"n": 24, "seed": 0, "degrees": 30.0})
BETA = 2.0  # sharpness of the smooth copy whose curvatures are taken
CURVED: tuple[dict[str, Any], ...] = (
    {"n": 20, "seed": 0, "target": 3, "most": 4, "beta": BETA},
    {"n": 20, "seed": 0, "target": 3, "most": 20, "beta": BETA},
    {"n": 10, "seed": 1, "target": 8, "most": 20, "beta": 5.0},
)


def train(n: int, seed: int) -> Images:
    """The training digits that the page draws for this seed."""
    return data.load("digits", split="train", n=n, seed=seed)


def power(model: Model, *, layer: str, p: float, q: float, n: int, seed: int, iterations: int) -> dict[str, Any]:
    """K's bench: settings, the value after each iteration and the unit vector."""
    made = attacks.singular_uap(
        model, train(n, seed), layer=layer, p=p, q=q, norm=p, eps=1.0, max_iter=iterations, seed=seed
    )
    settings = {"layer": layer, "p": _plain(p), "q": _plain(q), "n": n, "seed": seed, "iterations": iterations}
    return {
        "settings": settings,
        "history": list(made.history),
        "start": made.made_by["start_value"],
        "v": floats(made.v),
    }


def universal(model: Model, *, norm: float, eps: float, n: int, seed: int, passes: int) -> dict[str, Any]:
    """M's bench: settings, the rate on the fitted digits after each pass, v; and DeepFool's own steps on those digits."""
    x = train(n, seed)
    made = attacks.uap(model, x, norm=norm, eps=eps, max_passes=passes, seed=seed)
    steps = attacks.deepfool(model, x, max_iter=10)
    settings = {"norm": _plain(norm), "eps": eps, "n": n, "seed": seed, "passes": passes}
    return {
        "settings": settings,
        "rates": list(made.history),
        "steps": made.made_by["steps"],
        "v": floats(made.v),
        "deepfool": torch.linalg.vector_norm(steps.r.flatten(1).double(), dim=1).tolist(),
        "adversarial": steps.adversarial.tolist(),
    }


def stacked(model: Model, *, n: int, seed: int, degrees: float) -> dict[str, Any]:
    """E's bench: singular values of the stacked unit loss gradients, those of random rows, the first vector."""
    x = train(n, seed)
    rows = spectra.direction_matrix(attacks.loss_gradient(model, x.rotated([degrees] * n) if degrees else x))
    return {
        "settings": {"n": n, "seed": seed, "degrees": degrees},
        "values": spectra.singular_values(rows).tolist(),
        "random": spectra.singular_values(spectra.random_directions(n, rows.shape[1], seed)).tolist(),
        "v": floats(spectra.top_singular(rows, 1).vectors[0]),
    }


def curvatures(model: Model, x: Images, target: int, *, most: int, beta: float, seed: int) -> Curvatures:
    """Both ends of the spectrum of the mean Hessian of a smooth copy, whose exact products no rounding can send astray.

    Differences of gradients of the network itself jump with every kink on their way: points moved by 1e-4 a pixel change
    a product by some per cent, and where DeepFool's gradient at a digit falls on a tie of a max-pooling over the even
    background, rounding alone decides between points further apart than that.
    """
    smooth = softened(model, beta)
    assert isinstance(smooth, Model)
    return principal_curvatures(
        smooth, x, target, k=1, step=None, method="lanczos", max_products=most, n_check=0, seed=seed
    )


def curved(model: Model, *, n: int, seed: int, target: int, most: int, beta: float) -> dict[str, Any]:
    """J's bench: the largest and the smallest mean principal curvature and their directions."""
    found = curvatures(model, train(n, seed), target, most=most, beta=beta, seed=seed)
    return {
        "settings": {"n": n, "seed": seed, "target": target, "most": most, "beta": beta},
        "points": found.n,
        "values": found.values.tolist(),
        "v": [floats(found.vectors[:, j]) for j in range(2)],
    }


def answers(model: Model) -> dict[str, Any]:
    """Bench -> answers, as plain JSON, all for ``model``."""
    return {
        "network": model.name,
        "K": [power(model, **one) for one in POWER],
        "M": [universal(model, **one) for one in UNIVERSAL],
        "E": [stacked(model, **one) for one in STACKED],
        "J": [curved(model, **one) for one in CURVED],
    }


def _plain(x: float) -> float | str:
    return "inf" if x == math.inf else x
