"""M (moosavi2017): the stored universal perturbations on photographs and CIFAR-10, their lengths, cosines and normals.

Fooling rate (Table 1): the share of images with another predicted label; pixels from 0 to 255, no clipping.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from tests.independent.base import ARRAYS, Found, array, cell, close, exact, number, rate, rows, same_images, vector
from tests.independent.nets import N_PHOTOGRAPHS, cifar, cifar_net, deepfool, labels, photo_net, photographs

PHOTO, SMALL = "squeezenet1_1[gluon]", "cifar10_resnet20"
FEW = np.random.default_rng(20262).permutation(10000)[:2000]
GALLERY = f"v/{SMALL}/"


@functools.cache
def clean_photographs() -> np.ndarray:
    return photograph_labels(0.0)


def photograph_labels(v: Tensor | float) -> np.ndarray:
    parts = np.array_split(np.arange(N_PHOTOGRAPHS), 20)
    return np.concatenate([labels(photo_net, photographs(part, "squash256"), v) for part in parts])


@functools.cache
def clean_cifar() -> np.ndarray:
    return labels(cifar_net(), cifar()[0])


@functools.cache
def pushed_cifar() -> np.ndarray:
    return labels(cifar_net(), cifar()[0], vector("moosavi2017/fig4_gallery", GALLERY))


def few(v: Tensor) -> float:
    """Rate on 2,000 test images."""
    return float((labels(cifar_net(), cifar()[0][FEW], v) != clean_cifar()[FEW]).mean())


def of_test_set(v: Tensor, stored: float, n: int = 10000, spread: float = 0.0) -> Found:
    return rate(few(v), len(FEW), stored, n, 10000, spread)


for norm in (np.inf, 2.0):

    def _stored(norm: float = norm) -> float:
        where = {"model": PHOTO, "norm": norm, "kind": "UAP"}
        return rows("moosavi2017/tab1_fooling_rates", **where)["fooling_rate"].mean()

    name = "inf" if norm == np.inf else "2"

    @number(
        "M",
        "moosavi2017/tab1_fooling_rates",
        f"SqueezeNet 1.1, norm {name}: share of labels changed, X and the others together",
        _stored,
    )
    def _(stored: float, name: str = name) -> Found:
        now = photograph_labels(vector("moosavi2017/fig3_examples", f"v/{PHOTO}/{name}"))
        return same_images(float((now != clean_photographs()).mean()), N_PHOTOGRAPHS)


@number(
    "M",
    "moosavi2017/tab1_fooling_rates",
    "ResNet-20, norm inf: share of labels changed, the whole test set",
    lambda: cell(
        "moosavi2017/tab1_fooling_rates", "fooling_rate", model=SMALL, norm=np.inf, kind="UAP", scored_on="held out"
    ),
)
def _(stored: float) -> Found:
    return same_images(float((pushed_cifar() != clean_cifar()).mean()), 10000)


@functools.cache
def moves() -> np.ndarray:
    """How many images go from one label (row) to another (column): the graph of Figure 7."""
    found = np.zeros((10, 10), int)
    np.add.at(found, (clean_cifar(), pushed_cifar()), 1)
    np.fill_diagonal(found, 0)
    return found


@number(
    "M",
    "moosavi2017/fig7_label_graph",
    "ResNet-20: share of the changed labels that go to the three commonest",
    lambda: cell("moosavi2017/fig7_label_graph", "top_share", model=SMALL, kind="universal", part="targets", top=3),
)
def _(stored: float) -> Found:
    into = np.sort(moves().sum(0))[::-1]
    return exact(into[:3].sum() / into.sum(), int(into.sum()), 2.001 / into.sum(), "same images, as above")


@number(
    "M",
    "moosavi2017/fig7_label_graph",
    "ResNet-20: arrows that end at the commonest target of the graph",
    lambda: cell("moosavi2017/fig7_label_graph", "in_degree", model=SMALL, kind="universal", part="graph"),
)
def _(stored: float) -> Found:
    counts = np.bincount(moves().argmax(1)[moves().sum(1) > 0], minlength=10)
    return exact(float(counts.max()), 10, 0, "same images")


@number(
    "M",
    "moosavi2017/fig5_diversity",
    "ResNet-20: share of labels changed by the vector of the third shuffle",
    lambda: cell("moosavi2017/fig5_diversity", "fooling_rate", model=SMALL, kind="UAP", shuffle=2),
)
def _(stored: float) -> Found:
    return of_test_set(vector("moosavi2017/fig5_diversity", f"v/{SMALL}/2"), stored)


@functools.cache
def shuffles() -> Tensor:
    return torch.stack([vector("moosavi2017/fig5_diversity", f"v/{SMALL}/{i}") for i in range(5)])


@number(
    "M",
    "moosavi2017/fig5_diversity",
    "ResNet-20: share of labels changed by the signs of the sum of five shuffles",
    lambda: cell("moosavi2017/fig5_diversity", "fooling_rate", model=SMALL, kind="sum"),
)
def _(stored: float) -> Found:
    return of_test_set(shuffles().sum(0).sign() * 10 / 255, stored)


@number(
    "M",
    "moosavi2017/tab2_transfer",
    "ResNet-20: share of labels changed by the vector of ResNet-56",
    lambda: cell("moosavi2017/tab2_transfer", "fooling_rate", model=SMALL, source="cifar10_resnet56", kind="foreign"),
)
def _(stored: float) -> Found:
    return of_test_set(vector("moosavi2017/fig4_gallery", "v/cifar10_resnet56/"), stored)


def _stall() -> float:
    where = {"model": SMALL, "norm": 2.0, "kind": "UAP", "n_images": 1000, "row": "end"}
    return cell("moosavi2017/ext_stall", "fooling_rate", **where)


@number("M", "moosavi2017/ext_stall", "ResNet-20, norm 2: share of labels changed by the vector of 1000 images", _stall)
def _(stored: float) -> Found:
    return of_test_set(vector("moosavi2017/ext_stall", f"v/{SMALL}/2/UAP/1000"), _stall(), 2000)


def _draws(item: str, **where: object) -> np.ndarray:
    return rows(f"moosavi2017/{item}", model=SMALL, **where)["fooling_rate"].dropna().to_numpy()


def _null(draws: np.ndarray, mine: list[float]) -> Found:
    """The mean of own draws beside the mean of the stored ones: the draws differ, and the images."""
    between = np.std(draws, ddof=1) * np.sqrt(1 / len(mine) + 1 / len(draws))
    return rate(float(np.mean(mine)), len(FEW), float(draws.mean()), 10000, 10000, between)


@number(
    "M",
    "moosavi2017/fig5_diversity",
    "ResNet-20: share of labels changed by random signs, mean of the draws",
    lambda: float(_draws("fig5_diversity", kind="random signs", shuffle=None).mean()),
)
def _(stored: float) -> Found:
    chance = torch.Generator().manual_seed(11)
    mine = [few(torch.randn(3, 32, 32, generator=chance).sign() * 10 / 255) for _ in range(3)]
    return _null(_draws("fig5_diversity", kind="random signs", shuffle=None), mine)


@number(
    "M",
    "moosavi2017/sec_subspace",
    "ResNet-20: share of labels changed by random directions, mean of the draws",
    lambda: float(_draws("sec_subspace", kind="random direction").mean()),
)
def _(stored: float) -> Found:
    chance, draws = torch.Generator().manual_seed(12), _draws("sec_subspace", kind="random direction")
    v = torch.randn(2, 3, 32, 32, generator=chance)
    length = 2000 * 32 / 224 / 255
    found = _null(draws, [few(one * length / one.norm()) for one in v])
    return rate(
        found.value, len(FEW), float(draws.mean()), 1000, 10000, draws.std(ddof=1) * np.sqrt(1 / 2 + 1 / len(draws))
    )


@functools.cache
def normals() -> Tensor:
    """Minimal steps of 200 training images: columns of the matrix N of Figure 9."""
    which = np.random.default_rng(20263).permutation(50000)[:200]
    return deepfool(cifar_net(), cifar(train=True)[0][which], steps=10).flatten(1)


@number(
    "M",
    "moosavi2017/fig9_spectrum",
    "ResNet-20: mean length of a minimal step, in grey levels",
    lambda: rows("moosavi2017/fig9_spectrum", model=SMALL, kind="normals")["mean_length"].iloc[0],
)
def _(stored: float) -> Found:
    sizes = 255 * normals().norm(dim=1).numpy()
    return close(float(sizes.mean()), len(sizes), sizes.std() / np.sqrt(len(sizes)), sizes.std() / np.sqrt(4000))


@number(
    "M",
    "moosavi2017/fig9_spectrum",
    "ResNet-20: share of the squares in the first tenth of the singular values",
    lambda: cell("moosavi2017/fig9_spectrum", "energy", model=SMALL, kind="normals", n=4000, share=0.1),
    ARRAYS,
)
def _(stored: float) -> Found:
    values = array("moosavi2017/fig9_spectrum", f"values/{SMALL}/normals").astype(float) ** 2
    return exact(values[:307].sum() / values.sum(), values.size, 1e-3, "values in half precision")


@number(
    "M",
    "moosavi2017/fig4_gallery",
    "ResNet-20: 2-norm of the vector, in grey levels",
    lambda: cell("moosavi2017/fig4_gallery", "l2_norm", model=SMALL, kind="UAP"),
    ARRAYS,
)
def _(stored: float) -> Found:
    mine = 255 * float(vector("moosavi2017/fig4_gallery", GALLERY).double().norm())
    return exact(mine, 3072, 5e-4 * mine, "the vector is stored in half precision")


@number(
    "M",
    "moosavi2017/fig4_gallery",
    "SqueezeNet 1.1: share of the entries of at least nine grey levels",
    lambda: cell("moosavi2017/fig4_gallery", "fraction_entries_abs_ge_9", model=PHOTO, kind="UAP"),
    ARRAYS,
)
def _(stored: float) -> Found:
    v = 255 * vector("moosavi2017/fig4_gallery", f"v/{PHOTO}/")
    near = ((v.abs() - 9).abs() < 9 * 2**-10).double().mean()
    return exact(
        float((v.abs() >= 9).double().mean()), v.numel(), float(near), "entries that rounding may move across nine"
    )


@number(
    "M",
    "moosavi2017/fig5_diversity",
    "ResNet-20: largest cosine between the vectors of two shuffles",
    lambda: float(rows("moosavi2017/fig5_diversity", model=SMALL, kind="pair")["cosine"].max()),
    ARRAYS,
)
def _(stored: float) -> Found:
    units = torch.nn.functional.normalize(shuffles().flatten(1).double(), dim=1)
    mine = float((units @ units.T - torch.eye(5)).max())
    return exact(mine, 10, 1e-3, "the vectors are stored in half precision")
