"""Clean accuracy is that of the public functions; the stored trainings, and curves of their seeds in one colour."""

import pandas as pd
import pytest
import torch

from uapkit import data, models
from uapkit.lab import Run
from uapkit.papers.equivariant2019 import sec_accuracy


def test_sec_accuracy(net, evidence):
    table = sec_accuracy.run(models=(net,), rotations=(0.0, 30.0), train=("stdcnn",), epochs=1, n_eval=100)
    clean = table[table["kind"] == "clean"].set_index("rotation")
    images = data.load("digits", n=100, seed=0, rotation=30.0)
    expected = float((models.load(net).predict(images) == images.y).double().mean())
    assert clean.loc[30.0, "accuracy"] == pytest.approx(expected)
    assert table[table["kind"] == "untrained network"]["accuracy"].max() < 0.4
    assert set(table.loc[table["is_null"], "kind"]) == {"untrained network"}, "clean images are what is measured here"
    averaged = table[table["kind"] == "averaged"]
    assert averaged["rotation"].tolist() == [30.0]
    trained, quarters = models.load(net), [torch.rot90(images.x, k, (-1, -2)) for k in range(4)]
    labels = sum(trained(x).softmax(1) for x in quarters).argmax(1)
    assert averaged["accuracy"].item() == pytest.approx(float((labels == images.y).double().mean()))
    curve = table[table["kind"] == "epoch"]
    assert curve["epoch"].tolist() == [1]
    assert 0 < curve["train_loss"].item() < 3
    assert evidence(sec_accuracy, table)["estimate"].item() == clean.loc[30.0, "accuracy"]
    assert evidence(sec_accuracy, table.replace(net, "stdcnn_mnist_rot_sgd"))["training"].item() == "sgd"
    (ax,) = sec_accuracy.figure(Run.of(table)).axes
    assert clean.loc[30.0, "accuracy"] in [bar.get_width() for bar in ax.patches]


def test_stored_trainings_are_those_of_the_records():
    table, curves = sec_accuracy.trainings()
    assert table["network"].tolist() == list(curves)
    epochs = table.set_index("network")["epochs"]
    assert all(len(curve) == epochs[name] for name, curve in curves.items())


def test_training_seeds_share_a_colour_and_one_label():
    curve = pd.DataFrame({"epoch": [1, 2], "test_accuracy": [0.8, 0.9], "train_accuracy": [0.7, 0.8]})
    names = ("stdcnn_mnist_rot", "stdcnn_mnist_rot_seed1", "gcnn_mnist_rot")
    (ax,) = sec_accuracy.curves(dict.fromkeys(names, curve)).axes
    line = next(one for one in ax.lines if one.get_label() == "StdCNN, test")
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 2], [0.8, 0.9])
    assert len(ax.lines) == 6
    assert len({line.get_color() for line in ax.lines}) == 2
    assert len(ax.get_legend_handles_labels()[1]) == 4
