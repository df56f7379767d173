"""Training of paper E's networks: deterministic, resumable, and what is stored is what the provenance says."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from uapkit.data import Images
from uapkit.lab import keep, keeping
from uapkit.papers.equivariant2019 import recipes
from uapkit.papers.equivariant2019.recipes import (
    RECIPES,
    Recipe,
    accuracy,
    architecture,
    fit,
    learning_rate,
    train,
)
from uapkit.seeds import generator

ROOT = Path(__file__).parents[3]
STORED = sorted((ROOT / "results" / "equivariant2019" / "training").glob("*.json"))
SMALL = Recipe("stdcnn", epochs=3, lr=3e-3, n_images=90, n_validation=10, rotation=180.0, batch_size=16)


def blobs(n: int, name: str) -> Images:
    """Three classes that no rotation about the centre confuses: rings of three radii, with noise."""
    g = generator(0, name)
    y = torch.arange(n) % 3
    axis = torch.arange(28.0) - 13.5
    radius = (axis.square() + axis.square()[:, None]).sqrt()
    ring = torch.stack([torch.exp(-((radius - r) ** 2) / 4) for r in (2.0, 6.0, 10.0)])
    x = ring[y][:, None] * 0.8 + 0.2 * torch.rand(n, 1, 28, 28, generator=g)
    return Images(x, y, ("small", "middle", "large"), name)


TRAIN, TEST = blobs(100, "rings/train"), blobs(60, "rings/test")


class Stop(Exception):
    pass


SGD = {"optimizer": "sgd", "momentum": 0.5, "lr": 0.01}


@pytest.mark.parametrize(("net", "stop_after", "more"), [("stdcnn", 2, {}), ("stdcnn", 2, SGD), ("roteqnet", 1, {})])
def test_a_resumed_training_ends_bit_for_bit_where_an_uninterrupted_one_does(
    net: str, stop_after: int, more: dict, tmp_path: Path
) -> None:
    recipe = replace(SMALL, net=net, epochs=stop_after + 1, n_images=34 if net == "roteqnet" else 90, **more)
    whole = fit(recipe, TRAIN, TEST)

    def interrupt(row: dict[str, float]) -> None:
        if row["epoch"] == stop_after:
            raise Stop

    path = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        fit(recipe, TRAIN, TEST, checkpoint=path, on_epoch=interrupt)
    epochs: list[float] = []
    torch.rand(7)  # the state of torch's own generator must not matter
    resumed = fit(recipe, TRAIN, TEST, checkpoint=path, on_epoch=lambda row: epochs.append(row["epoch"]))
    assert epochs == [stop_after + 1]
    for key, value in whole.state.items():
        assert torch.equal(value, resumed.state[key]), key
    times = ["seconds", "cpu_seconds"]
    pd.testing.assert_frame_equal(whole.curve.drop(columns=times), resumed.curve.drop(columns=times))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # nothing half-written stays


def test_training_learns_and_seeds_differ() -> None:
    recipe = replace(SMALL, epochs=12)
    first, second = fit(recipe, TRAIN, TEST), fit(replace(recipe, seed=1), TRAIN, TEST)
    assert first.record["test_accuracy"]["180"] > 0.9  # chance is a third
    assert first.curve.train_loss.iloc[-1] < 0.5 * first.curve.train_loss.iloc[0]
    assert list(first.curve.epoch) == list(range(1, 13))
    assert not torch.equal(next(iter(first.state.values())), next(iter(second.state.values())))
    assert first.record["n_train"] == 80
    net = first.into(architecture("stdcnn"))
    assert not net.training
    assert accuracy(net, TEST) == first.record["test_accuracy"]["0"], "the weights are all that was learnt"


def test_the_outside_is_left_as_it_was() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    fit(replace(SMALL, epochs=1), TRAIN, TEST)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_accuracy_is_scored_on_test_images_turned_once_by_the_same_angles() -> None:
    done = fit(replace(SMALL, epochs=1, rotation=45.0), TRAIN, TEST)
    net = done.into(architecture("stdcnn"))
    assert set(done.record["test_accuracy"]) == {"0", "45", "180"}
    for degrees, score in done.record["test_accuracy"].items():
        assert score == accuracy(net, TEST.rotated(float(degrees), recipes.TEST_ROTATION_SEED))
    assert done.record["test_accuracy"]["45"] == done.curve.test_accuracy.iloc[-1]  # 60 images: all are watched


def test_accuracy_counts() -> None:
    class Zero(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([1.0, 0.0, 0.0]).expand(len(x), 3)

    assert accuracy(Zero(), TEST, batch_size=7) == pytest.approx(1 / 3)


def test_learning_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [learning_rate(SMALL, step, 200) for step in range(200)]
    peak = rates.index(max(rates))
    assert max(rates) == SMALL.lr
    assert peak == round(SMALL.warm_up * 200) - 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 <= rates[-1] < 1e-3 * SMALL.lr


def test_the_second_recipe_is_that_of_the_code_whose_network_table_2_prints() -> None:
    for net in ("stdcnn", "gcnn"):
        recipe = RECIPES[f"{net}_sgd"]
        assert (recipe.lr, recipe.momentum, recipe.batch_size, recipe.epochs) == (0.01, 0.5, 64, 10)
        assert {learning_rate(recipe, step, 100) for step in range(100)} == {0.01}, "its rate does not change"
        made = recipes.optimizer_of(recipe, architecture(f"{net}_sgd"))
        assert isinstance(made, torch.optim.SGD)
        assert {group["momentum"] for group in made.param_groups} == {0.5}
        assert replace(recipe, seed=2).name == f"{net}_mnist_rot_sgd_seed2"
    assert len({recipe.name for recipe in RECIPES.values()}) == len(RECIPES), "no two write the same weights"


def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    fit(replace(SMALL, epochs=1), TRAIN, TEST, checkpoint=path)
    with pytest.raises(ValueError, match="another run"):
        fit(replace(SMALL, epochs=1, rotation=90.0), TRAIN, TEST, checkpoint=path)


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="'stdcnn'"):
        train("stdcn")
    with pytest.raises(ValueError, match=r"rotation must lie in \[0, 180\]"):
        train("stdcnn", rotation=270)
    with pytest.raises(ValueError, match=r"n_images must lie in \[11, 100\]"):
        fit(replace(SMALL, n_images=101), TRAIN, TEST)
    with pytest.raises(ValueError, match="labels"):
        fit(SMALL, Images(TRAIN.x), TEST)


def test_one_epoch_on_the_embedded_digits() -> None:
    done = train("stdcnn", data="digits", epochs=1, rotation=0)
    assert done.record["n_validation"] == (done.record["n_train"] + done.record["n_validation"]) // 10
    assert done.record["test_accuracy"]["0"] > 0.2  # chance is a tenth


def test_a_kept_training_is_made_once_and_follows_recipe_and_images(tmp_path: Path) -> None:
    recipe = replace(SMALL, epochs=1)
    with keeping(tmp_path) as memo:
        first = keep(fit, recipe, TRAIN, TEST)
        again = keep(fit, recipe, TRAIN, TEST)
        assert (memo.computed, memo.reused) == (1, 1)
        keep(fit, replace(recipe, seed=1), TRAIN, TEST)
        keep(fit, recipe, Images(TRAIN.x.flip(0), TRAIN.y.flip(0), TRAIN.classes, TRAIN.name), TEST)
        assert memo.computed == 3
    assert all(torch.equal(value, again.state[key]) for key, value in first.state.items())
    pd.testing.assert_frame_equal(first.curve, again.curve)
    assert first.record == again.record
    assert not list(tmp_path.rglob("*.state")), "no checkpoint stays behind"


def test_the_command_stores_weights_curve_and_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "load", lambda name, split, root: {"train": TRAIN, "test": TEST}[split])
    monkeypatch.setitem(RECIPES, "stdcnn", SMALL)
    folders = ["--weights", f"{tmp_path}/w", "--results", f"{tmp_path}/r", "--checkpoints", f"{tmp_path}/c"]
    recipes.main(["stdcnn", "--rotation", "45", "--seed", "3", *folders])
    check_stored(tmp_path / "r" / "stdcnn_mnist_rot45_seed3.json", tmp_path / "w")


def check_stored(path: Path, weights: Path) -> dict:
    """The provenance at ``path`` names the weights and the curve that lie beside it."""
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["name"] == path.stem == Recipe(**record["recipe"]).name
    stored = weights / f"{path.stem}.safetensors"
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == record["weights_sha256"]
    assert hashlib.sha256(path.with_suffix(".csv").read_bytes()).hexdigest() == record["curve_sha256"]
    curve = pd.read_csv(path.with_suffix(".csv"))
    assert list(curve.epoch) == list(range(1, record["recipe"]["epochs"] + 1))
    assert len(record["commit"]) == 40 or record["commit"] == "unknown"
    assert len(record["code_sha256"]) == 64
    net = architecture(record["recipe"]["net"])
    net.load_state_dict(load_file(stored))
    assert all(bool(torch.isfinite(v.float()).all()) for v in net.state_dict().values())
    return record


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_trainings_are_whole_and_reach_what_is_published(path: Path) -> None:
    record = check_stored(path, ROOT / "uapkit" / "models" / "weights")
    published = {"stdcnn": 0.95, "gcnn": 0.95, "roteqnet": 0.97}  # lower ends of what public implementations reach
    reached = 0.9 if record["recipe"].get("optimizer") == "sgd" else published[record["recipe"]["net"]]
    if record["recipe"]["rotation"] == 180:
        assert record["test_accuracy"]["180"] > reached
