"""J (jetley2018) on MNIST's LeNet: subspaces of DeepFool's steps, a universal vector, scores along stored directions.

Figure 4 (subspaces of the first order), Figure 5 (lengths of the steps), Figure 1 (scores along a direction).
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from tests.independent.base import ARRAYS, Found, array, cell, close, exact, number, rate, rows, vector, width
from tests.independent.nets import deepfool, labels, lenet, mnist

LENET = "lenet_mnist"
FEW = np.random.default_rng(20268).permutation(10000)[:400]


@functools.cache
def steps() -> Tensor:
    """DeepFool's steps of 2,000 training digits, of length one."""
    which = torch.from_numpy(np.random.default_rng(20266).permutation(60000)[:2000])
    parts = [deepfool(lenet(), part) for part in mnist(train=True)[0][which].split(500)]
    return torch.nn.functional.normalize(torch.cat(parts).flatten(1).double(), dim=1)


@functools.cache
def bases() -> dict[str, Tensor]:
    """78 orthonormal columns: first singular vectors of the steps, first principal components of 2,000 digits."""
    which = torch.from_numpy(np.random.default_rng(20267).permutation(60000)[:2000])
    x = mnist(train=True)[0][which].flatten(1).double()
    x = x - x.mean(0)
    return {"S_hi": _first(steps()), "S_lo": _first(-steps(), last=True), "principal components": _first(x)}


def _first(a: Tensor, last: bool = False) -> Tensor:
    columns = torch.linalg.eigh(a.T @ a)[1]
    return columns[:, :78] if last else columns[:, -78:]


def accuracy_on(q: Tensor) -> float:
    """Accuracy on all test digits, projected about the mean digit."""
    mean = mnist(train=True)[0].flatten(1).mean(0)
    x, y = mnist()
    z = mean + (x.flatten(1) - mean) @ q.float() @ q.float().T
    return float((labels(lenet(), z.view_as(x), batch=1000) == y.numpy()).mean())


def _on(kind: str) -> float:
    return rows("jetley2018/fig4_deepfool_svd", model=LENET, kind=kind, share=0.1)["accuracy"].mean()


for kind in ("S_hi", "S_lo", "principal components"):

    @number(
        "J",
        "jetley2018/fig4_deepfool_svd",
        f"LeNet: accuracy on a tenth of the dimensions, {kind}",
        lambda kind=kind: _on(kind),
    )
    def _(stored: float, kind: str = kind) -> Found:
        return rate(accuracy_on(bases()[kind]), 10000, stored, 500, 10000)


@number(
    "J",
    "jetley2018/fig4_deepfool_svd",
    "LeNet: accuracy on a tenth of the dimensions, random, mean of the draws",
    lambda: _on("random"),
)
def _(stored: float) -> Found:
    chance = torch.Generator().manual_seed(13)
    mine = [accuracy_on(torch.linalg.qr(torch.randn(784, 78, generator=chance))[0]) for _ in range(4)]
    return rate(float(np.mean(mine)), 10000, stored, 500, 10000, float(np.std(mine, ddof=1)) * np.sqrt(1 / 4 + 1 / 2))


@number(
    "J",
    "jetley2018/fig4_deepfool_svd",
    "LeNet: accuracy on whole digits",
    lambda: cell("jetley2018/fig4_deepfool_svd", "accuracy", model=LENET, kind="images"),
)
def _(stored: float) -> Found:
    mine = float((labels(lenet(), mnist()[0], batch=1000) == mnist()[1].numpy()).mean())
    return rate(mine, 10000, stored, 500, 10000)


FREE = {"model": LENET, "kind": "unconfined"}


@number(
    "J",
    "jetley2018/fig5_confined",
    "LeNet: mean length of DeepFool's steps, unconfined",
    lambda: cell("jetley2018/fig5_confined", "mean_norm", **FREE),
)
def _(stored: float) -> Found:
    sizes = deepfool(lenet(), mnist()[0][FEW]).flatten(1).norm(dim=1).numpy()
    return close(sizes.mean(), len(sizes), sizes.std() / np.sqrt(len(sizes)), sizes.std() / np.sqrt(40))


UAP = {"model": LENET, "attack": "uap", "draw": 0, "share": 0.1}


@functools.cache
def universal() -> Tensor:
    return vector("jetley2018/sec_uap_energy", f"v/{LENET}/uap 0")


@number(
    "J",
    "jetley2018/sec_uap_energy",
    "LeNet: share of labels that the first universal vector changes",
    lambda: cell("jetley2018/sec_uap_energy", "fooling_rate", kind="S_hi", **UAP),
)
def _(stored: float) -> Found:
    x = mnist()[0]
    mine = (labels(lenet(), x, universal(), 1000) != labels(lenet(), x, 0.0, 1000)).mean()
    return rate(float(mine), 10000, stored, 1000, 10000)


for kind in ("S_hi", "principal components"):

    @number(
        "J",
        "jetley2018/sec_uap_energy",
        f"LeNet: share of the universal vector's norm in {kind}, a tenth",
        lambda kind=kind: cell("jetley2018/sec_uap_energy", "norm_share", kind=kind, **UAP),
    )
    def _(stored: float, kind: str = kind) -> Found:
        v, chance = universal().flatten().double(), np.random.default_rng(17)
        mine = float((bases()[kind].T @ v).norm() / v.norm())
        rest = steps() if kind == "S_hi" else mnist(train=True)[0][:2000].flatten(1).double()
        again = []
        for _ in range(6):
            some = rest[torch.from_numpy(chance.integers(0, len(rest), len(rest)))]
            q = _first(some if kind == "S_hi" else some - some.mean(0))
            again.append(float((q.T @ v).norm() / v.norm()))
        return close(mine, 2000, float(np.std(again, ddof=1)), float(np.std(again, ddof=1)))


@number(
    "J",
    "jetley2018/fig1_scores",
    "LeNet: mean of 1,860 scores of six digits along the positive direction of class 6",
    lambda: float(array("jetley2018/fig1_scores", f"scores/{LENET}/6/positive").astype(float).mean()),
)
def _(stored: float) -> Found:
    item = "jetley2018/fig1_scores"
    x, v = vector(item, f"x/{LENET}"), vector(item, f"v/{LENET}/6/positive")
    s, stored = array(item, f"s/{LENET}"), array(item, f"scores/{LENET}/6/positive")
    with torch.no_grad():
        mine = torch.stack([lenet()(x + float(one) * v / v.norm()) for one in s], 1).numpy()
    worst = float(np.abs(mine - stored).max())
    return exact(
        float(mine.mean()),
        mine.size,
        0.02,
        f"arrays in half precision; largest difference of one score {worst:.3f}",
    )


NEGATIVE = {"model": LENET, "target": 6, "kind": "negative", "s": -10.9375}


@number(
    "J",
    "jetley2018/fig_negative_flat",
    "LeNet: share of labels changed 10.9 along the negative direction of class 6",
    lambda: cell("jetley2018/fig_negative_flat", "changed", **NEGATIVE),
)
def _(stored: float) -> Found:
    v, x = vector("jetley2018/fig_negative_flat", f"v/{LENET}/6/negative"), mnist()[0]
    now = labels(lenet(), x, -10.9375 * v / v.norm(), 1000)
    mine = float((now != labels(lenet(), x, 0.0, 1000)).mean())
    return rate(mine, 10000, stored, 100, 10000)


TRADE = {"model": LENET, "defence": "only attack directions", "level": 0.1}


@number(
    "J",
    "jetley2018/ext_tradeoff",
    "LeNet: accuracy lost on attack directions alone, from paired flags",
    lambda: cell("jetley2018/ext_tradeoff", "loss", **TRADE),
    ARRAYS,
)
def _(stored: float) -> Found:
    return exact(float(_lost().mean()), 500, 1e-6, "the same flags")


@number(
    "J",
    "jetley2018/ext_tradeoff",
    "half the width of the interval of that loss",
    lambda: 1.96 * width("jetley2018/ext_tradeoff", "loss_low", "loss_high", **TRADE),
    ARRAYS,
)
def _(stored: float) -> Found:
    half = 1.96 * float(_lost().std(ddof=1)) / np.sqrt(500)
    return exact(half, 500, 0.1 * half, "the normal distribution in place of drawing again: a tenth")


def _lost() -> np.ndarray:
    whole = array("jetley2018/ext_tradeoff", f"right/{LENET}/none/1").astype(float)
    return whole - array("jetley2018/ext_tradeoff", f"right/{LENET}/only attack directions/0.1")
