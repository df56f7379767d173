"""The spectrum over a training: epoch 0, what is measured after an epoch, and which state tells the share."""

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import attacks, data, models
from uapkit.lab import Run
from uapkit.lab.training import MNIST_MEAN, MNIST_STD
from uapkit.papers.equivariant2019 import ext_training
from uapkit.papers.equivariant2019.watch import Pixels, watch


def test_ext_training(evidence):
    table = ext_training.run(recipes=("stdcnn_sgd",), seeds=(0, 1), epochs=2)
    assert table["epoch"].tolist() == [0, 1, 2] * 2
    assert table[["top1_share", "top5_share", "sure", "error_along", "test_accuracy"]].stack().between(0, 1).all()
    assert table.groupby("training_seed")["top5_share"].first().nunique() == 2, "each seed begins with its own weights"
    found = evidence(ext_training, table).set_index("claim")
    assert set(found.index) == {"share_rises_first", "share_falls_afterwards", "ends_above_10_percent"}
    last = table[table["epoch"] == 2]["top5_share"].mean()
    assert found.loc["ends_above_10_percent", "estimate"] == pytest.approx(last)
    assert found.loc["ends_above_10_percent", "training"] == "sgd"
    axes = ext_training.figure(Run.of(table)).axes
    assert [ax.get_xlabel() for ax in axes] == ["epoch", "test accuracy", "margin", "gradient norm"]
    assert list(axes[0].lines[0].get_ydata()) == table["top5_share"].tolist()[:3]


def test_the_peak_of_a_training_is_that_of_the_others():
    """Shares without a course: the largest of each training lies above both its ends, but says nothing."""
    shares = {0: [0.2, 0.5, 0.2, 0.2], 1: [0.2, 0.2, 0.5, 0.2]}
    rows = [
        {"model": "stdcnn_sgd", "status": "run", "training_seed": seed, "epoch": epoch, "top5_share": share, "network": "stdcnn",
         "peak": 1, "test_accuracy": 0.9}
        for seed, course in shares.items()
        for epoch, share in enumerate(course)
    ]  # fmt: skip
    found = {one.name: one.found for one in ext_training.claims(Run.of(pd.DataFrame(rows)))}
    assert found["share_rises_first"].value == pytest.approx(0)
    assert found["share_falls_afterwards"].value == pytest.approx(0)


def test_what_is_watched_is_what_the_public_functions_find():
    images = data.load("digits", n=80, seed=0)
    net = models.load("linear_digits")

    class Normalised(torch.nn.Module):
        def forward(self, z):
            return net(z * MNIST_STD + MNIST_MEAN)

    found = watch(Normalised(), images)
    rows = attacks.loss_gradient(net, images.x, images.y).flatten(1).double()
    s = torch.linalg.svdvals(rows / rows.norm(dim=1, keepdim=True)) ** 2
    assert found["top1_share"] == pytest.approx(float(s[0] / s.sum()), rel=1e-3)
    assert found["top5_share"] == pytest.approx(float(s[:5].sum() / s.sum()), rel=1e-3)
    assert found["gradient_norm"] == pytest.approx(float(rows.norm(dim=1).mean()), rel=1e-3)
    clean = 1 - float((net(images.x[40:]).argmax(1) == images.y[40:]).double().mean())
    assert found["error_along"] > clean
    assert torch.allclose(Pixels(Normalised())(images.x), net(images.x), atol=1e-4)


def course(name: str, accuracy: list[float], share: list[float]) -> pd.DataFrame:
    about = {"status": "run", "model": name, "network": "stdcnn", "training_seed": 0, "peak": 1}
    epochs = range(1, len(share) + 1)
    return pd.DataFrame([about | {"epoch": e, "test_accuracy": a, "top5_share": s, "margin": 0.0}
                         for e, a, s in zip(epochs, accuracy, share, strict=True)])  # fmt: skip


def test_a_share_that_accuracy_tells_lies_together_at_equal_accuracy_and_not_at_equal_epoch():
    """Trainings of different speed, the share a function of the accuracy alone; and the reverse."""
    speeds = (0.02, 0.025, 0.03, 0.036, 0.045, 0.055)
    accuracy = [[0.7 + v * e for e in range(5)] for v in speeds]
    by_accuracy = Run.of(
        pd.concat([course(f"r{j}", a, [float(np.exp(-9 * x)) for x in a]) for j, a in enumerate(accuracy)])
    )
    found = ext_training.recipes_apart(by_accuracy)
    assert found.high < 0
    by_epoch = Run.of(
        pd.concat([course(f"r{j}", a, [float(np.exp(-e)) for e in range(5)]) for j, a in enumerate(accuracy)])
    )
    assert ext_training.recipes_apart(by_epoch).low > 0
    apart = ext_training.explained(by_epoch).set_index("equal")["apart"]
    assert apart["epoch"] == 0
    assert ext_training.recipes_apart(Run.of(course("r", accuracy[0], accuracy[0]))) is None
