"""The recipes of paper J's networks: deterministic, resumable, augmentation that keeps labels' pictures."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from uapkit import data, models, runner
from uapkit.models.nets.nin import NIN
from uapkit.papers.jetley2018 import recipes as j


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", split="train", n=96), data.load("digits", split="test", n=50)


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(digits, tmp_path):
    recipe = replace(j.RECIPES["lenet_mnist"], epochs=2)
    whole = j.fit(recipe, *digits)
    file = tmp_path / "half.pt"

    class Interrupted(Exception):
        pass

    def stop(row):
        raise Interrupted

    with pytest.raises(Interrupted):
        j.fit(recipe, *digits, checkpoint=file, on_epoch=stop)
    resumed = j.fit(recipe, *digits, checkpoint=file)
    for key, value in whole.state.items():
        assert torch.equal(value, resumed.state[key])
    assert len(resumed.curve) == 2
    assert whole.record["test_accuracy"] == resumed.record["test_accuracy"]


def test_augmentation_shifts_and_mirrors_whole_batches():
    x = torch.zeros(3, 1, 9, 9)
    x[:, :, 4, 3] = 1.0
    seen = set()
    augment = j.augmentation(replace(j.RECIPES["nin_cifar10"], shift=1))
    draws = torch.Generator().manual_seed(0)
    for _ in range(60):
        moved = augment(x, draws)
        assert moved.shape == x.shape
        assert torch.equal(moved[0], moved[2])
        assert moved.sum() == 3
        seen.add(tuple(moved[0, 0].nonzero()[0].tolist()))
    mirrored = {(r, 8 - c) for r in (3, 4, 5) for c in (2, 3, 4)}
    assert seen == {(r, c) for r in (3, 4, 5) for c in (2, 3, 4)} | mirrored


def test_nin_has_a_map_a_class():
    net = NIN(width=4).eval()
    logits = net(torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, 10)
    with pytest.raises(ValueError, match="width"):
        NIN(width=0)


def test_bad_input(digits):
    with pytest.raises(ValueError, match="lenet_mnist"):
        j.train("lenet_minst")
    with pytest.raises(ValueError, match="labels"):
        j.fit(j.RECIPES["lenet_mnist"], digits[0], data.Images(torch.rand(2, 1, 28, 28)))


def test_the_command_stores_weights_curve_and_provenance(digits, tmp_path, monkeypatch):
    small = dict(zip(("train", "test"), digits, strict=True))
    monkeypatch.setattr(j, "load", lambda name, split, root: small[split])
    monkeypatch.setitem(j.RECIPES, "lenet_mnist", replace(j.RECIPES["lenet_mnist"], epochs=1))
    folders = ["--weights", f"{tmp_path}/w", "--results", f"{tmp_path}/r", "--checkpoints", f"{tmp_path}/c"]
    j.main(["lenet_mnist", *folders])
    record = json.loads((tmp_path / "r" / "lenet_mnist.json").read_text(encoding="utf-8"))
    weights = tmp_path / "w" / "lenet_mnist.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == record["weights_sha256"]
    assert hashlib.sha256((tmp_path / "r" / "lenet_mnist.csv").read_bytes()).hexdigest() == record["curve_sha256"]
    j.untrained(j.RECIPES["lenet_mnist"]).net.load_state_dict(load_file(weights))
    assert (record["n_train"], record["n_test"], len(record["code_sha256"])) == (96, 50, 64)


@pytest.mark.parametrize("name", j.RECIPES)
def test_stored_weights_are_those_of_their_record(name):
    """Curve, record, packaged weights and the card in the catalogue are of one run."""
    folder = runner.project_root() / "results" / "jetley2018" / "training"
    record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert record["dirty"] is False
    assert hashlib.sha256((folder / f"{name}.csv").read_bytes()).hexdigest() == record["curve_sha256"]
    weights = Path(models.__file__).parent / "weights" / f"{name}.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == record["weights_sha256"]
    card = models.load(name).card
    assert card.sha256 == record["weights_sha256"]
    assert card.accuracy[0]["top1"] == pytest.approx(100 * record["test_accuracy"])
    assert record["recipe"]["epochs"] == j.RECIPES[name].epochs


def test_the_cost_of_longer_trainings_comes_from_the_stored_ones():
    told = j.trainings().set_index("network")
    assert set(told.index) == set(j.RECIPES)
    for name, row in told.iterrows():
        assert row["epochs"] == j.RECIPES[name].epochs
        assert row["hours_of_100_epochs"] * 36 * row["epochs"] == pytest.approx(row["cpu_seconds"])
    assert told.loc["nin_cifar10", "test_accuracy"] == pytest.approx(0.8725)
