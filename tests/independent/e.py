"""E (equivariant2019): accuracies, shares of own gradients, the universal direction, angles, and random directions.

Figure 1: rows are loss gradients (true labels) of length one, of test digits turned by uniform angles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tests.independent.base import ARRAYS, WEIGHTS, Found, cell, close, exact, number, rate, rows, vector, width
from tests.independent.nets import Net, group_net, labels, mnist, std_net, turned

ADAMW, SGD = "stdcnn_mnist_rot", "stdcnn_mnist_rot_sgd"
N = 10000


@functools.lru_cache(3)
def digits(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turned test digits in an order of our own, their labels, the same digits two degrees further, and upright."""
    chance = torch.Generator().manual_seed(20264 + seed)
    x, y = mnist()
    order, angles = torch.randperm(N, generator=chance), 360 * torch.rand(N, generator=chance) - 180
    return turned(x[order], angles), y[order], turned(x[order], angles + 2), x[order]


@functools.lru_cache(3)
def gradients(name: str, seed: int = 0) -> Tensor:
    x, y = digits(seed)[:2]
    found = []
    for part, target in zip(x.split(500), y.split(500), strict=True):
        part = part.clone().requires_grad_()
        loss = functional.cross_entropy(std_net(name)(part).double(), target, reduction="sum")
        found.append(torch.autograd.grad(loss, part)[0].flatten(1).double())
    return units(torch.cat(found))


def units(a: Tensor) -> Tensor:
    """Rows of length one; rows without a direction are left out."""
    size = a.norm(dim=1, keepdim=True)
    return (a / size)[size[:, 0] > 0]


def squares(a: Tensor) -> Tensor:
    """Squared singular values, the largest first, as shares of their sum."""
    found = torch.linalg.eigvalsh(a.T @ a).flip(0).clamp_min(0)
    return found / found.sum()


def top(a: Tensor, k: int) -> Tensor:
    """The first k right singular vectors, as columns."""
    return torch.linalg.eigh(a.T @ a)[1].flip(1)[:, :k]


def jackknife(a: Tensor, value: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """A number of the rows of a, and its standard error from leaving out one tenth of them at a time."""
    every = [float(value(a[torch.arange(len(a)) % 10 != i])) for i in range(10)]
    return float(value(a)), float(np.std(every) * 3)


def _accuracy(model: str, degrees: float) -> float:
    return cell("equivariant2019/sec_accuracy", "accuracy", model=model, rotation=degrees, kind="clean")


def right(net: Net, x: Tensor) -> np.ndarray:
    return labels(net, x, batch=500) == digits()[1].numpy()


for model, net in ((ADAMW, std_net), (SGD, std_net), ("gcnn_mnist_rot", group_net)):

    @number(
        "E",
        "equivariant2019/sec_accuracy",
        f"{model}: accuracy on upright test digits",
        lambda model=model: _accuracy(model, 0),
    )
    def _(stored: float, model: str = model, net: object = net) -> Found:
        return exact(right(net(model), digits()[3]).mean(), N, 1.001 / N, "same digits; one label for rounding")


@number("E", "equivariant2019/sec_accuracy", f"{ADAMW}: accuracy on turned test digits", lambda: _accuracy(ADAMW, 180))
def _(stored: float) -> Found:
    return rate(right(std_net(ADAMW), digits()[0]).mean(), N, stored, N)


for model in (ADAMW, SGD):
    where = {"model": model, "attack": "gradient", "kind": "trained"}

    @number(
        "E",
        "equivariant2019/fig1_energy",
        f"{model}: share of the squares in the first five directions",
        lambda where=where: cell("equivariant2019/fig1_energy", "top_share", **where),
    )
    def _(stored: float, where: dict = where) -> Found:
        mine, error = jackknife(gradients(where["model"]), lambda a: squares(a)[:5].sum())
        return close(mine, N, error, width("equivariant2019/fig1_energy", **where))

    half = {"model": model, "attack": "gradient", "kind": "singular vector", "fit": "other half", "relative_norm": 0.5}

    @number(
        "E",
        "equivariant2019/fig5_fooling",
        f"{model}: error along the vector of other digits at half the mean norm",
        lambda half=half: cell("equivariant2019/fig5_fooling", "error_rate", **half),
    )
    def _(stored: float, half: dict = half) -> Found:
        v = top(gradients(half["model"])[5000:], 1).float().view(1, 28, 28)
        x, y = digits()[0], digits()[1].numpy()
        size = 0.5 * float(x.flatten(1).norm(dim=1).mean())
        fit = [(labels(std_net(half["model"]), x[5000:6000], s * size * v) != y[5000:6000]).mean() for s in (1, -1)]
        sign = 1 if fit[0] >= fit[1] else -1
        mine = (labels(std_net(half["model"]), x[:5000], sign * size * v) != y[:5000]).mean()
        other = cell("equivariant2019/fig5_fooling", "refit_spread", **half)
        return rate(float(mine), 5000, stored, 2000, spread=other * np.sqrt(2))


RANDOM = {"model": ADAMW, "kind": "random direction", "relative_norm": 0.5}


@number(
    "E",
    "equivariant2019/fig5_fooling",
    f"{ADAMW}: labels changed by random directions of that length, mean",
    lambda: rows("equivariant2019/fig5_fooling", **RANDOM)["fooling_rate"].mean(),
)
def _(stored: float) -> Found:
    chance, x = torch.Generator().manual_seed(3), digits()[0]
    size, clean, mine = 0.5 * float(x.flatten(1).norm(dim=1).mean()), labels(std_net(ADAMW), x[:1000]), []
    for _ in range(16):
        v = torch.randn(1, 28, 28, generator=chance)
        both = [labels(std_net(ADAMW), x[:1000], s * size * v / v.norm()) != clean for s in (1, -1)]
        mine.append(max(one.mean() for one in both))
    stored = rows("equivariant2019/fig5_fooling", **RANDOM)["fooling_rate"]
    between = float(np.std(mine, ddof=1)) * np.sqrt(1 / 16 + 1 / len(stored))
    return rate(float(np.mean(mine)), 1000, float(stored.mean()), 2000, spread=between)


@functools.lru_cache(2)
def invariant(seed: int = 0) -> Tensor:
    """Figure 7: a turned digit and the same one two degrees on, their difference."""
    return (digits(seed)[2] - digits(seed)[0]).flatten(1).double()


@functools.cache
def crossed() -> list[Tensor]:
    """Cosines of the first five directions of gradients with the five of rotations, for twelve drawings of all angles."""
    found = []
    for seed in range(12):
        found.append(top(gradients(ADAMW, seed), 5).T @ top(units(invariant(seed)), 5))
    return found


def redrawn(values: list[float]) -> Found:
    """The digits are the stored run's, the angles are not: own drawings say what that is worth."""
    error = np.std(values, ddof=1) * np.sqrt(1 + 1 / len(values))
    return Found(float(np.mean(values)), N, 2 * error, "two standard deviations of drawing the angles again")


ANGLES = {"model": ADAMW, "attack": "gradient", "kind": "trained", "index": 5}


@number(
    "E",
    "equivariant2019/tab1_angles",
    f"{ADAMW}: smallest principal angle to the invariant directions, degrees",
    lambda: cell("equivariant2019/tab1_angles", "principal_angle", **ANGLES),
)
def _(stored: float) -> Found:
    return redrawn([float(torch.rad2deg(torch.arccos(torch.linalg.svdvals(c)[0]))) for c in crossed()])


DOTS = {"model": ADAMW, "attack": "gradient", "sample": 10000, "k": 5, "kind": "trained"}


@number(
    "E",
    "equivariant2019/fig2_dot_products",
    f"{ADAMW}: mean modulus of the dot products of five with five",
    lambda: cell("equivariant2019/fig2_dot_products", "mean_dot", **DOTS),
)
def _(stored: float) -> Found:
    return redrawn([float(c.abs().mean()) for c in crossed()])


for kind, shift in (("own invariant direction", 0), ("another image's invariant direction", 1)):
    where = {"model": ADAMW, "attack": "gradient", "kind": kind}

    @number(
        "E",
        "equivariant2019/ext_own_invariant",
        f"{ADAMW}: mean modulus of the cosine, {kind}",
        lambda where=where: cell("equivariant2019/ext_own_invariant", "mean_cos", **where),
    )
    def _(stored: float, where: dict = where, shift: int = shift) -> Found:
        other = invariant().roll(shift, 0)
        cosines = torch.cosine_similarity(gradients(ADAMW), other).abs().numpy()
        return close(cosines.mean(), N, cosines.std() / np.sqrt(N), width("equivariant2019/ext_own_invariant", **where))


ROUND = {"kind": "invariant directions", "index": 1}


@number(
    "E",
    "equivariant2019/fig7_invariant_vectors",
    "share of the squares in the first invariant direction",
    lambda: cell("equivariant2019/fig7_invariant_vectors", "share", **ROUND),
    "data",
)
def _(stored: float) -> Found:
    mine, error = jackknife(units(invariant()), lambda a: squares(a)[0])
    return close(mine, N, error, error)


@number(
    "E",
    "equivariant2019/fig8_attack_vectors",
    f"{ADAMW}: share of the squares of own gradients along the stored v1",
    lambda: cell("equivariant2019/fig8_attack_vectors", "share", model=ADAMW, attack="gradient", index=1),
    f"{WEIGHTS}, {ARRAYS}",
)
def _(stored: float) -> Found:
    v = vector("equivariant2019/fig8_attack_vectors", f"v/{ADAMW}/gradient/1").flatten().double()
    along = (gradients(ADAMW) @ (v / v.norm())).square().numpy()
    return close(along.mean(), N, along.std() / np.sqrt(N), along.std() / np.sqrt(N))


@number(
    "E",
    "equivariant2019/fig1_energy",
    "share of the squares in the first five directions of random rows",
    lambda: cell("equivariant2019/fig1_energy", "top_share", model=ADAMW, kind="random"),
    "random numbers",
)
def _(stored: float) -> Found:
    a = units(torch.randn(N, 784, generator=torch.Generator().manual_seed(9), dtype=torch.float64))
    mine, error = jackknife(a, lambda b: squares(b)[:5].sum())
    return close(mine, N, error, error)
