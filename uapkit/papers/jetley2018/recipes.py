"""How the two small networks of [jetley2018] are trained; deterministic, resumable after any epoch.

The last epoch's weights are kept, so test images choose nothing. ``python -m uapkit.papers.jetley2018.recipes lenet_mnist``
trains one network and stores weights, curve and provenance. The paper gives no recipe; these are ours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from uapkit import checks
from uapkit.data import Images, load
from uapkit.lab.training import CURVE_IMAGES, MNIST_MEAN, MNIST_STD, Trained, record_of
from uapkit.models import training
from uapkit.models.model import Model
from uapkit.models.nets.digits import LeNet
from uapkit.models.nets.nin import NIN
from uapkit.runner.catalogue import project_root
from uapkit.seeds import child_seed

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True)
class Recipe:
    """Settings of a training by Adam whose learning rate falls from ``lr`` along a half cosine.

    shift: each batch is moved by up to so many pixels, zeros from outside. mirror: every other batch is mirrored.
    """

    name: str
    data: str
    epochs: int
    lr: float
    shift: int
    mirror: bool
    batch_size: int = 64
    weight_decay: float = 1e-4
    seed: int = 0


RECIPES = {
    "lenet_mnist": Recipe("lenet_mnist", "mnist", epochs=8, lr=1e-3, shift=2, mirror=False),
    "nin_cifar10": Recipe("nin_cifar10", "cifar10", epochs=18, lr=3e-3, shift=4, mirror=True),
}
NETS: dict[str, tuple[Callable[[], nn.Module], Sequence[float], Sequence[float]]] = {
    "lenet_mnist": (LeNet, (MNIST_MEAN,), (MNIST_STD,)),
    "nin_cifar10": (partial(NIN, width=48), CIFAR_MEAN, CIFAR_STD),
}


def untrained(recipe: Recipe) -> Model:
    """The recipe's network with its first weights."""
    make, mean, std = NETS[recipe.name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(recipe.seed, "initial_weights"))
        net = make().to(memory_format=torch.channels_last)  # twice as fast
    return Model(net, mean=mean, std=std, name=recipe.name)


def augmentation(recipe: Recipe) -> training.Augment:
    """``(x, generator) -> x``: one shift and one choice of mirroring for a whole batch."""

    def augment(x: Tensor, draws: torch.Generator) -> Tensor:
        s, (h, w) = recipe.shift, x.shape[-2:]
        top, left = torch.randint(2 * s + 1, (2,), generator=draws).tolist()
        x = pad(x, (s, s, s, s))[..., top : top + h, left : left + w]
        mirrored = bool(torch.randint(2, (), generator=draws)) and recipe.mirror
        return (x.flip(-1) if mirrored else x).contiguous(memory_format=torch.channels_last)

    return augment


def fit(
    recipe: Recipe,
    train: Images,
    test: Images,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Trained:
    """Train ``recipe``'s network; a run goes on from ``checkpoint``, a file written after every epoch.

    The curve has one row an epoch, with the accuracy on the first test images. Raises ValueError for images without
    labels, or the checkpoint of other settings.
    """
    if test.y is None:
        raise ValueError("the test images must have labels, got a set without")
    model = untrained(recipe)
    watched = test[: min(CURVE_IMAGES, len(test))]

    def note(row: dict[str, float]) -> None:
        row["test_accuracy"] = accuracy(model, watched)  # kept in the history, and so in the next checkpoint
        if on_epoch is not None:
            on_epoch(row)

    started = time.process_time()
    settings = {k: v for k, v in asdict(recipe).items() if k not in ("name", "data", "shift", "mirror")}
    history = training.fit(
        model,
        train,
        **settings,
        optimizer="adam",
        augment=augmentation(recipe),
        callback=note,
        checkpoint=checkpoint,
    )
    record = record_of(
        recipe,
        train,
        test,
        history,
        threads=torch.get_num_threads(),
        n_train=len(train),
        test_accuracy=accuracy(model, test),
        cpu_seconds=round(time.process_time() - started, 1),
    )
    return Trained.of(model.net, pd.DataFrame(history), record)


def accuracy(model: Model, images: Images) -> float:
    """Share of ``images`` labelled correctly, in eval mode."""
    assert images.y is not None
    mode = model.training
    predicted = model.eval().predict(images, 250)
    model.train(mode)
    return float((predicted == images.y).double().mean())


def train(name: str, *, epochs: int | None = None, root: str | None = None, **other: object) -> Trained:
    """Train ``"lenet_mnist"`` or ``"nin_cifar10"``; other arguments as in :func:`fit`. ValueError for another name."""
    recipe = RECIPES[checks.one_of(name, RECIPES, "network")]
    recipe = replace(recipe, epochs=recipe.epochs if epochs is None else epochs)
    sets = [load(recipe.data, split=split, root=root) for split in ("train", "test")]
    return fit(recipe, *sets, **other)  # type: ignore[arg-type]


def trainings() -> pd.DataFrame:
    """The stored trainings: a row a network with its epochs, accuracy on all test images, and what training it longer takes.

    hours_of_100_epochs: on one core, from the processor seconds of the stored training.
    """
    folder = project_root() / "results" / "jetley2018" / "training"
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return pd.DataFrame(
        [
            {
                "network": record["name"],
                "epochs": record["recipe"]["epochs"],
                "test_accuracy": record["test_accuracy"],
                "cpu_seconds": record["cpu_seconds"],
                "hours_of_100_epochs": record["cpu_seconds"] / record["recipe"]["epochs"] * 100 / 3600,
            }
            for record in records
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train one network and store it; see :func:`uapkit.runner.training.main`."""
    from uapkit.runner import training

    training.main("jetley2018", arguments)


if __name__ == "__main__":
    main()
