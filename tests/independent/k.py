"""K (khrulkov2018): the stored singular vectors on SqueezeNet 1.1, their singular values, and what the arrays hold.

Fooling rate (Tables 1 to 4): the share of images whose predicted label changes; nothing is clipped.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from tests.independent.base import ARRAYS, Found, array, cell, close, exact, number, rate, rows, vector
from tests.independent.nets import N_PHOTOGRAPHS, photo_net, photographs, squeezenet

NET, LAYER = "squeezenet1_1[gluon]", "features.1"
EPS = 10 / 255
CHANCE = np.random.default_rng(20261)
ORDER = CHANCE.permutation(N_PHOTOGRAPHS)
FEW = ORDER[:304]
VECTOR = ("khrulkov2018/tab1_layers", f"v/{NET}/{LAYER}")


@functools.cache
def clean() -> tuple[np.ndarray, np.ndarray]:
    return answers(None)


@functools.cache
def answers(key: tuple[str, str] | str | None, few: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Labels and their confidence, in the order of the classes, under a stored vector or "random signs"."""
    v: Tensor | float = 0.0 if key is None else signs() if key == "random signs" else vector(*key)
    labels, sure = [], []
    for part in np.array_split(FEW if few else np.arange(N_PHOTOGRAPHS), 8 if few else 20):
        with torch.no_grad():
            best = photo_net(photographs(part, "squash") + v).softmax(1).max(1)
        labels.append(best.indices.numpy())
        sure.append(best.values.numpy())
    return np.concatenate(labels), np.concatenate(sure)


@functools.cache
def signs(draw: int = 0) -> Tensor:
    """Random signs at the bound."""
    chance = np.random.default_rng(50 + draw)
    return torch.from_numpy(EPS * chance.choice([-1.0, 1.0], (3, 224, 224))).float()


def changed(key: tuple[str, str] | str, few: bool = False) -> np.ndarray:
    labels = clean()[0][FEW] if few else clean()[0]
    return answers(key, few)[0] != labels


def over_936(item: str, **where: object) -> float:
    """Rate over all photographs but the 64 that were fitted: the scored ones and those held in to choose with."""
    return (800 * cell(item, "fooling_rate", **where) + 136 * cell(item, "held_in_rate", **where)) / 936


def entire(key: tuple[str, str], stored: float) -> Found:
    return rate(float(changed(key).mean()), N_PHOTOGRAPHS, stored, 936, N_PHOTOGRAPHS)


def sample(key: tuple[str, str], stored: float) -> Found:
    return rate(float(changed(key, few=True).mean()), len(FEW), stored, 936, N_PHOTOGRAPHS)


def layer(x: Tensor) -> Tensor:
    """SqueezeNet's first convolution and its ReLU, from pixels in [0, 1]."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return squeezenet().features[:2]((x - mean[:, None, None]) / std[:, None, None])


def push(x: Tensor, v: Tensor) -> Tensor:
    """J v by the paper's two gradients: J'w is linear in w, so its product with v has the gradient J v."""
    x = x.clone().requires_grad_()
    out = layer(x)
    w = torch.zeros_like(out, requires_grad=True)
    (back,) = torch.autograd.grad(out, x, w, create_graph=True)
    return torch.autograd.grad((back * v).sum(), w)[0]


@functools.cache
def tenth_powers() -> dict[str, np.ndarray]:
    """||J(x) v||_10^10 of 120 photographs x, for the stored vector, checks, and five draws of random signs."""
    tried = {"vector": vector(*VECTOR), "checks": vector("khrulkov2018/ext_patterns", f"v/{NET}//checks")}
    tried |= {f"signs {draw}": signs(draw) for draw in range(5)}
    found: dict[str, list[Tensor]] = {name: [] for name in tried}
    for place, part in enumerate(np.split(ORDER[:120], 12)):
        x = photographs(part, "squash")
        for name, v in tried.items():
            if place < 4 or not name.startswith("signs"):
                found[name].append((push(x, v / EPS).double().abs() ** 10).flatten(1).sum(1))
    return {name: torch.cat(powers).numpy() for name, powers in found.items()}


def spread(value: object, n: int, draws: int = 400) -> float:
    """Standard error of a number of ``n`` of the photographs, by drawing them again."""
    chance = np.random.default_rng(7)
    return float(np.std([value(chance.integers(0, 120, n)) for _ in range(draws)]))


@number(
    "K",
    "khrulkov2018/tab1_layers",
    "share of labels that the vector of features.1 changes, scored and held in",
    lambda: over_936("khrulkov2018/tab1_layers", model=NET, layer=LAYER, kind="singular vector"),
)
def _(stored: float) -> Found:
    return entire(VECTOR, stored)


@number(
    "K",
    "khrulkov2018/ext_patterns",
    "share of labels that stripes change, scored and held in",
    lambda: over_936("khrulkov2018/ext_patterns", model=NET, kind="stripes"),
)
def _(stored: float) -> Found:
    return entire(("khrulkov2018/ext_patterns", f"v/{NET}//stripes"), stored)


for source in ("squeezenet1_0[deepcompressed]", "mobilenet_v2[tflite_int8]"):

    def _stored(source: str = source) -> float:
        return over_936("khrulkov2018/tab4_transfer", model=NET, built_on=source, kind="singular vector")

    @number(
        "K",
        "khrulkov2018/tab4_transfer",
        f"share of labels that the vector of {source} changes, scored and held in",
        _stored,
    )
    def _(stored: float, source: str = source) -> Found:
        return sample(("khrulkov2018/tab4_transfer", f"v/{source}"), stored)


def _signs() -> np.ndarray:
    return rows("khrulkov2018/tab1_layers", model=NET, kind="random signs")["fooling_rate"].to_numpy()


@number(
    "K",
    "khrulkov2018/tab1_layers",
    "share of labels that random signs change, mean of the draws",
    lambda: float(_signs().mean()),
)
def _(stored: float) -> Found:
    draws = _signs()
    between = draws.std(ddof=1) * np.sqrt(1 + 1 / len(draws))
    mine = float(changed("random signs", few=True).mean())
    return rate(mine, len(FEW), float(draws.mean()), 800, N_PHOTOGRAPHS, between)


@number(
    "K",
    "khrulkov2018/ext_p_sweep",
    "share of labels that the vector of p = 2 changes at equal 2-norm, scored and held in",
    lambda: over_936("khrulkov2018/ext_p_sweep", model=NET, p=2.0, norm=2.0),
)
def _(stored: float) -> Found:
    v = vector("khrulkov2018/ext_p_sweep", f"v/{NET}/p = 2")
    length = EPS * np.sqrt(v.numel())
    x = [photographs(part, "squash") + v * length / v.norm() for part in np.split(FEW, 8)]
    with torch.no_grad():
        now = torch.cat([photo_net(part).argmax(1) for part in x]).numpy()
    mine = float((now != clean()[0][FEW]).mean())
    return rate(mine, len(FEW), stored, 936, N_PHOTOGRAPHS)


def _unsure(column: str) -> float:
    return cell("khrulkov2018/tab_predictions", column, model=NET, kind="scored images", direction="singular vector")


@number(
    "K",
    "khrulkov2018/tab_predictions",
    "share of the changed labels with a confidence below one half",
    lambda: _unsure("unsure_share"),
)
def _(stored: float) -> Found:
    flips = changed(VECTOR)
    sure = answers(VECTOR)[1][flips]
    return rate(float((sure < 0.5).mean()), int(flips.sum()), stored, 455, int(flips.sum()))


@number(
    "K",
    "khrulkov2018/ext_equal_spectrum",
    "share of labels that the vector changes where the network was right",
    lambda: cell(
        "khrulkov2018/ext_equal_spectrum",
        "fooling_rate",
        model=NET,
        kind="singular vector",
        condition="right labels only",
    ),
)
def _(stored: float) -> Found:
    right = clean()[0] == np.arange(N_PHOTOGRAPHS)
    return rate(float(changed(VECTOR)[right].mean()), int(right.sum()), stored, 137, int(right.sum()))


@number(
    "K",
    "khrulkov2018/tab1_layers",
    "singular value of the stored vector at features.1, for 64 photographs",
    lambda: cell("khrulkov2018/tab1_layers", "singular_value", model=NET, layer=LAYER, kind="singular vector"),
)
def _(stored: float) -> Found:
    powers = tenth_powers()["vector"]

    def value(which: np.ndarray) -> float:
        return (64 * powers[which].mean()) ** 0.1

    return close(value(np.arange(120)), 120, spread(value, 120), spread(value, 64))


def share(name: str) -> tuple[float, float]:
    """A value over the vector's, on the photographs that have both, and its standard error for 64 others."""
    over = tenth_powers()[name]
    under = tenth_powers()["vector"][: len(over)]

    def value(which: np.ndarray) -> float:
        which = which % len(over)
        return (over[which].sum() / under[which].sum()) ** 0.1

    return value(np.arange(len(over))), spread(value, 64)


def _share(kind: str) -> float:
    where = {"model": NET, "layer": LAYER, "kind": f"value of {kind}"}
    return cell("khrulkov2018/ext_patterns", "value_share", **where)


@number("K", "khrulkov2018/ext_patterns", "value of checks at features.1 over the vector's", lambda: _share("checks"))
def _(stored: float) -> Found:
    mine, error = share("checks")
    return close(mine, 120, error * np.sqrt(64 / 120), error)


@number(
    "K", "khrulkov2018/ext_patterns", "value of random signs there, mean of five draws", lambda: _share("random signs")
)
def _(stored: float) -> Found:
    mine, errors = zip(*[share(f"signs {draw}") for draw in range(5)], strict=True)
    between = float(np.std(mine, ddof=1))
    error = np.hypot(max(errors), between)
    how = "two standard errors of both samples and of the draws"
    return Found(float(np.mean(mine)), 40, 2 * np.hypot(error, between / np.sqrt(5)), how)


@number(
    "K",
    "khrulkov2018/ext_linearity",
    "cosine between the change of features.1 and J v, ten grey levels",
    lambda: cell(
        "khrulkov2018/ext_linearity", "cosine", model=NET, layer=LAYER, direction="singular vector", scale=1.0
    ),
)
def _(stored: float) -> Found:
    cosines = []
    for part in np.split(ORDER[:60], 6):
        x = photographs(part, "squash")
        with torch.no_grad():
            moved = (layer(x + vector(*VECTOR)) - layer(x)).flatten(1)
        cosines.append(torch.cosine_similarity(moved, push(x, vector(*VECTOR)).flatten(1)))
    found = torch.cat(cosines).numpy()
    return close(float(found.mean()), 60, found.std() / np.sqrt(60), found.std() / np.sqrt(64))


@number(
    "K",
    "khrulkov2018/ext_p_sweep",
    "largest entry of the vector of p = 2 at equal 2-norm",
    lambda: cell("khrulkov2018/ext_p_sweep", "peak", model=NET, p=2.0, norm=2.0),
    ARRAYS,
)
def _(stored: float) -> Found:
    v = vector("khrulkov2018/ext_p_sweep", f"v/{NET}/p = 2").double()
    mine = float(v.abs().max() / v.norm()) * EPS * np.sqrt(v.numel())
    return exact(mine, v.numel(), 2e-3 * mine, "the vector is stored in half precision")


@number(
    "K",
    "khrulkov2018/tab1_layers",
    "mean of the stored flags of the vector of features.1",
    lambda: cell("khrulkov2018/tab1_layers", "fooling_rate", model=NET, layer=LAYER, kind="singular vector"),
    ARRAYS,
)
def _(stored: float) -> Found:
    flags = array("khrulkov2018/tab1_layers", f"fooled/{NET}/{LAYER}")
    return exact(float(flags.mean()), flags.size, 1e-8, "the same flags")
