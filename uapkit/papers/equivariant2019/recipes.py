"""How the three networks of [equivariant2019] are trained on rotated digits; deterministic, resumable after any epoch.

The last epoch's weights are kept: neither validation nor test images choose anything. ``python -m
uapkit.papers.equivariant2019.recipes stdcnn --rotation 180 --seed 0`` trains one network and stores weights, curve and
provenance.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from uapkit import checks
from uapkit.data import Images, load
from uapkit.files import write_whole
from uapkit.lab.training import CURVE_IMAGES, MNIST_MEAN, MNIST_STD, Trained, record_of
from uapkit.models import checkpoints
from uapkit.models.nets.gcnn import GCNN
from uapkit.models.nets.roteqnet import RotEqNet
from uapkit.models.nets.stdcnn import StdCNN
from uapkit.papers.equivariant2019.watch import watch
from uapkit.progress import Bar
from uapkit.seeds import child_seed, generator

TEST_ROTATION_SEED = 0  # test images are turned once, by the same angles for every network and seed
NETS: dict[str, Callable[[], nn.Module]] = {"stdcnn": StdCNN, "gcnn": GCNN, "roteqnet": RotEqNet}


@dataclass(frozen=True)
class Recipe:
    """Settings of a training: by AdamW, whose rate rises for a share ``warm_up`` of the steps and then falls, or by SGD.

    n_images: how many training images are used, of which ``n_validation`` are held back; None for all.
    rotation: images are turned by angles uniform in [-rotation, rotation] degrees, drawn anew every epoch.
    optimizer: "adamw", or "sgd" with ``momentum`` at a constant rate. variant: a word that tells it from the net's first recipe.
    """

    net: str
    epochs: int
    lr: float
    n_images: int | None
    n_validation: int
    rotation: float = 180.0
    seed: int = 0
    batch_size: int = 64
    weight_decay: float = 0.01
    warm_up: float = 0.15
    optimizer: str = "adamw"
    momentum: float = 0.0
    variant: str = ""

    def __post_init__(self) -> None:
        checks.one_of(self.net, NETS, "network")
        checks.one_of(self.optimizer, ("adamw", "sgd"), "optimizer")
        checks.in_range(self.rotation, 0, 180, "rotation")
        checks.in_range(self.lr, 0, 1, "lr", open_low=True)
        for name in ("epochs", "n_validation", "batch_size"):
            checks.count(getattr(self, name), name)

    @property
    def name(self) -> str:
        """Name of the weights on MNIST: ``stdcnn_mnist_rot``, ``stdcnn_mnist_rot45_seed1``, ``gcnn_mnist_rot_sgd``, ..."""
        turned = "" if self.rotation == 180 else f"{self.rotation:g}"
        variant = f"_{self.variant}" if self.variant else ""
        return f"{self.net}_mnist_rot{turned}{variant}" + (f"_seed{self.seed}" if self.seed else "")


# Table 2 comes without a protocol: 55,000 + 5,000 images as in the paper's appendix. RotEqNet: its authors' 12,000.
_STDCNN = Recipe("stdcnn", epochs=30, lr=3e-3, n_images=None, n_validation=5000)
_GCNN = Recipe("gcnn", epochs=8, lr=3e-3, n_images=None, n_validation=5000)
# The code whose network Table 2 prints trains so: github.com/adambielski/pytorch-gconv-experiments, its MNIST example.
_SGD: dict[str, Any] = {"epochs": 10, "lr": 0.01, "optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.0}
RECIPES = {
    "stdcnn": _STDCNN,
    "gcnn": _GCNN,
    "roteqnet": Recipe("roteqnet", epochs=28, lr=1e-2, n_images=12000, n_validation=1000),
    "stdcnn_sgd": replace(_STDCNN, variant="sgd", **_SGD),
    "gcnn_sgd": replace(_GCNN, variant="sgd", **_SGD),
    # Of the experiment on why longer training spreads the spectrum: one thing changed at a time.
    "stdcnn_sgd_long": replace(_STDCNN, variant="sgd_long", **(_SGD | {"epochs": 40})),
    "stdcnn_sgd_decay": replace(_STDCNN, variant="sgd_decay", **(_SGD | {"weight_decay": 1e-3})),
    "stdcnn_sgd_fast": replace(_STDCNN, variant="sgd_fast", **(_SGD | {"lr": 0.1})),
    "stdcnn_no_decay": replace(_STDCNN, variant="no_decay", weight_decay=0.0),
}


def architecture(net: str) -> nn.Module:
    """The network of a recipe (``"stdcnn"``, ``"gcnn_sgd"``, ...) with fresh weights, in the layout that it is fastest in."""
    net = RECIPES[net].net if net in RECIPES else net
    made = NETS[net]()
    return made.to(memory_format=torch.channels_last) if net == "stdcnn" else made


def optimizer_of(recipe: Recipe, net: nn.Module) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum, over all parameters of ``net``."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            net.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)


def normalise(x: Tensor) -> Tensor:
    """Pixels in [0, 1] to what the networks take."""
    return (x - MNIST_MEAN) / MNIST_STD


@torch.no_grad()
def accuracy(net: nn.Module, images: Images, batch_size: int = 250) -> float:
    """Share of ``images`` (pixels in [0, 1]) that ``net``, in eval mode, labels correctly."""
    assert images.y is not None
    net.eval()
    hits = sum(int((net(normalise(b.x)).argmax(1) == b.y).sum()) for b in images.batches(batch_size))
    return hits / len(images)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of step 0 <= step < steps; that of SGD does not change."""
    if recipe.optimizer == "sgd":
        return recipe.lr
    rise = max(1, round(recipe.warm_up * steps))
    if step < rise:
        return recipe.lr * (step + 1) / rise
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def fit(
    recipe: Recipe,
    train: Images,
    test: Images,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Trained:
    """Train ``recipe``'s network on one thread.

    checkpoint: a file, written whole after every epoch; if it is there the training continues from it and ends bit for
    bit where an uninterrupted one ends. on_epoch: called with each new row of the curve, which holds the measures of
    :mod:`uapkit.papers.equivariant2019.watch` too. ``record["test_accuracy"]``
    maps rotation ranges (0, the recipe's, 180) to the accuracy on all test images turned once by fixed angles.
    Raises ValueError for too few images, images without labels, or the checkpoint of another run.
    """
    if train.y is None or test.y is None:
        raise ValueError("train and test must have labels, got a set without")
    n = checks.count(recipe.n_images or len(train), "n_images")
    if not recipe.n_validation < n <= len(train):
        raise ValueError(f"n_images must lie in [{recipe.n_validation + 1}, {len(train)}] for these sets, got {n}")
    chosen = torch.randperm(len(train), generator=generator(recipe.seed, "split"))[:n]
    validation, fitted = train[chosen].split(recipe.n_validation)
    validation = validation.rotated(recipe.rotation, child_seed(recipe.seed, "validation"))
    turned = test.rotated(recipe.rotation, TEST_ROTATION_SEED)
    watched = turned[:CURVE_IMAGES]
    key = json.dumps({"recipe": asdict(recipe), "train": train.sha256, "test": test.sha256}, sort_keys=True)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums over several threads would depend on their number
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights and dropout draw from torch's own generator
            torch.manual_seed(child_seed(recipe.seed, "initial_weights"))
            net = architecture(recipe.net)
            optimizer = optimizer_of(recipe, net)
            rows = checkpoints.restore(checkpoint, key, net, optimizer) if checkpoint and checkpoint.is_file() else []
            epochs = range(len(rows), recipe.epochs)
            for epoch in Bar(epochs, initial=len(rows), total=recipe.epochs, desc=f"{recipe.net} on {train.name}"):
                clock, cpu = time.perf_counter(), time.process_time()
                row: dict[str, float] = {"epoch": epoch + 1, **_epoch(recipe, net, optimizer, fitted, epoch)}
                row["validation_accuracy"] = accuracy(net, validation)
                row["test_accuracy"] = accuracy(net, watched)
                row |= watch(net, watched)
                row["seconds"] = round(time.perf_counter() - clock, 2)
                row["cpu_seconds"] = round(time.process_time() - cpu, 2)
                rows.append(row)
                if checkpoint:
                    write_whole(checkpoint, checkpoints.pack(key, rows, net, optimizer))
                if on_epoch:
                    on_epoch(row)
        ranges = {0.0: test, float(recipe.rotation): turned, 180.0: test.rotated(180.0, TEST_ROTATION_SEED)}
        scores = {f"{degrees:g}": accuracy(net, images) for degrees, images in ranges.items()}
    finally:
        torch.set_num_threads(threads)
    record = record_of(
        recipe,
        train,
        test,
        rows,
        threads=1,
        n_train=len(fitted),
        n_validation=len(validation),
        test_accuracy=scores,
        validation_accuracy=rows[-1]["validation_accuracy"],
        cpu_seconds=round(sum(r["cpu_seconds"] for r in rows), 1),
    )
    return Trained.of(net, pd.DataFrame(rows).astype({"epoch": int}), record)


def _epoch(
    recipe: Recipe, net: nn.Module, optimizer: torch.optim.Optimizer, fitted: Images, epoch: int
) -> dict[str, float]:
    """One pass over freshly rotated images; all draws are named by the epoch, so a resumed run repeats them."""
    torch.manual_seed(child_seed(recipe.seed, f"dropout/{epoch}"))
    order = torch.randperm(len(fitted), generator=generator(recipe.seed, f"order/{epoch}"))
    turned = fitted.rotated(recipe.rotation, child_seed(recipe.seed, f"rotation/{epoch}"))
    assert turned.y is not None
    batches = [b for b in order.split(recipe.batch_size) if len(b) > 1]  # batch norm needs two images
    loss_sum, hits, seen = 0.0, 0, 0
    net.train()
    for i, index in enumerate(Bar(batches, desc=f"epoch {epoch + 1}")):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, epoch * len(batches) + i, recipe.epochs * len(batches))
        labels = turned.y[index]
        logits = net(normalise(turned.x[index]))
        loss = cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += float(loss.detach()) * len(index)
        hits += int((logits.argmax(1) == labels).sum())
        seen += len(index)
    return {"train_loss": loss_sum / seen, "train_accuracy": hits / seen}


def train(
    net: str,
    *,
    data: str = "mnist",
    rotation: float = 180.0,
    seed: int = 0,
    epochs: int | None = None,
    root: str | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Trained:
    """Train by one of :data:`RECIPES` (``"stdcnn"``, ``"gcnn_sgd"``, ...) on turned images of a 28 x 28 grey set; see :func:`fit`.

    Source: [equivariant2019], Section 3 and Table 2; the protocol is ours where the paper gives none (:data:`RECIPES`).
    Raises ValueError for an unknown recipe, a rotation outside [0, 180] or images of another size.
    """
    recipe, fitted, test = prepared(net, data=data, rotation=rotation, seed=seed, epochs=epochs, root=root)
    return fit(recipe, fitted, test, checkpoint=checkpoint, on_epoch=on_epoch)


def prepared(
    net: str, *, data: str, rotation: float, seed: int, epochs: int | None, root: str | None = None
) -> tuple[Recipe, Images, Images]:
    """What :func:`fit` takes: the recipe for a set of images, and its training and test images.

    Sets smaller than MNIST are used whole, a tenth of them for validation.
    """
    recipe = replace(RECIPES[checks.one_of(net, RECIPES, "network")], rotation=float(rotation), seed=seed)
    fitted, test = (load(data, split=split, root=root) for split in ("train", "test"))
    if fitted.shape != (1, 28, 28):
        raise ValueError(
            f"{net} is trained on images of 1 x 28 x 28, but {data} holds {' x '.join(map(str, fitted.shape))}"
        )
    n = min(recipe.n_images or len(fitted), len(fitted))
    recipe = replace(recipe, n_images=n, n_validation=min(recipe.n_validation, max(1, n // 10)))
    return replace(recipe, epochs=recipe.epochs if epochs is None else epochs), fitted, test


def main(arguments: Sequence[str] | None = None) -> None:
    """Train one network and store it; see :func:`uapkit.runner.training.main`."""
    from uapkit.runner import training

    words = {"rotation": "range of the random rotations in degrees", "seed": "of weights, order and rotations"}
    training.main("equivariant2019", arguments, options=words)


if __name__ == "__main__":
    main()
