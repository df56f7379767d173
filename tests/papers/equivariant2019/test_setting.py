"""Paper E's setting: samples that are nested, directions that are those of the attacks, nulls, and one sentence for bad input."""

import importlib
import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from uapkit import attacks, data, models, runner
from uapkit.lab import keeping
from uapkit.papers.equivariant2019 import fig1_energy, tab1_angles
from uapkit.papers.equivariant2019.setting import IN_DATA, RANDOM, SHUFFLED, family, over_seeds, training_seed


def item(slug):
    return importlib.import_module(f"uapkit.papers.equivariant2019.{slug}")


def test_images_are_those_of_the_rotated_set_and_samples_are_nested(setting):
    here = setting()
    all_of_them = {tuple(x.flatten().tolist()) for x in data.load("digits", rotation=30.0).x}
    few, many = here.turned(20), here.turned(60)
    assert torch.equal(few.x, many.x[:20])
    assert all(tuple(x.flatten().tolist()) in all_of_them for x in few.x)
    assert not torch.equal(few.x, data.load("digits", rotation=30.0)[:20].x), "the set's own order is not random"


@pytest.mark.parametrize("attack", ["gradient", "fgsm", "deepfool"])
def test_a_network_whose_attack_gives_no_direction_is_refused_by_its_name(setting, attack):
    here = setting()
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    with torch.no_grad():
        flat[1].weight.zero_()
        flat[1].bias.copy_(torch.arange(10.0))
    (name,) = here.bench.names([models.wrap(flat, input_size=(1, 28, 28), name="mine")])
    with pytest.raises(ValueError, match=r"gives no direction on any of the 20 images of mine; give the item another"):
        here.directions(name, attack, 20)


def test_directions_are_unit_gradients_and_their_signs(setting, net):
    here = setting()
    images, model = here.turned(20), here.network(net)
    g = attacks.loss_gradient(model, images.x, images.y).flatten(1)
    rows = here.directions(net, "gradient", 20)
    assert torch.allclose(rows, g / g.norm(dim=1, keepdim=True), atol=1e-6)
    signs = here.directions(net, "fgsm", 20)
    assert torch.equal(signs.sign(), g.sign())
    assert torch.allclose(signs.norm(dim=1), torch.ones(20), atol=1e-5)
    predicted = setting("predicted").directions(net, "gradient", 20)
    right = model.predict(images) == images.y
    assert torch.allclose(predicted[right], rows[right], atol=1e-6)
    assert not torch.allclose(here.directions(net, "gradient", 20, untrained=True), rows)


def test_deepfool_rows_change_the_label(setting, net):
    here = setting()
    images, rows = here.turned(20), here.directions(net, "deepfool", 20)
    r = attacks.deepfool(here.network(net), images.x).r.flatten(1)
    assert torch.allclose(rows, r / r.norm(dim=1, keepdim=True), atol=1e-5)


def test_smaller_samples_are_the_first_rows_of_the_largest(setting, net):
    alone, shared = setting(), setting()
    shared.most = 60
    assert torch.allclose(shared.directions(net, "gradient", 20), alone.directions(net, "gradient", 20), atol=1e-6)


def test_nulls_have_as_many_rows_and_their_own_support(setting, net):
    here = setting()
    trained, shuffled = here.rows(net, "gradient", 40), here.rows(net, "gradient", 40, SHUFFLED)
    assert torch.equal(trained.sort(1).values, shuffled.sort(1).values), "the entries stay"
    assert not torch.equal(trained, shuffled), "their places do not"
    own = here.own_subspace(40).float()
    for kind, inside in ((RANDOM, False), (IN_DATA, True)):
        rows = here.rows(net, "gradient", 40, kind)
        assert rows.shape == (40, 784)
        assert torch.allclose(rows @ own @ own.T, rows, atol=1e-4) == inside


def test_kept_directions_are_computed_once_and_follow_the_network(tmp_path, monkeypatch, setting, net):
    with keeping(tmp_path) as memo:
        first = setting().directions(net, "gradient", 20)
        assert memo.computed == 1
    with keeping(tmp_path) as memo:
        assert torch.equal(setting().directions(net, "gradient", 20), first)
        assert (memo.computed, memo.reused) == (0, 1)
        other = setting().directions("mlp_digits", "gradient", 20)
        setting("predicted").directions(net, "gradient", 20)
        assert (memo.computed, memo.reused) == (2, 1)
    assert not torch.allclose(other, first)


def test_the_normalisation_is_part_of_what_a_network_is(tmp_path, setting):
    """Two networks that differ in mean and deviation alone share no directions."""
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
    found = []
    with keeping(tmp_path) as memo:
        for mean, std in ((0.0, 1.0), (0.5, 0.25)):
            here = setting()
            here.bench.names([models.wrap(inner, mean=mean, std=std, input_size=(1, 28, 28), name="mine")])
            found.append(here.directions("mine", "gradient", 20))
        assert memo.computed == 2
    assert not torch.allclose(*found)


@pytest.mark.parametrize(
    ("slug", "given", "words"),
    [
        ("tab1_angles", {"k": 785}, r"top directions must lie in \[1, 784\]"),
        ("fig1_energy", {"k": 0}, "top directions must be an integer of at least 1"),
        ("tab1_angles", {"n_random": 0}, "n_random must be an integer of at least 1"),
        ("thm1_alignment", {"n_delta": 1}, "n_delta must be an integer of at least 2"),
        ("thm2_sampling", {"samples": (0,)}, "sampled rows must be an integer of at least 1"),
        ("fig1_energy", {"labels": "tru"}, "kind of labels"),
        ("fig1_energy", {"attacks": ("fgms",)}, "fgsm"),
    ],
)
def test_bad_parameters_get_one_clear_sentence(small, slug, given, words):
    with pytest.raises(ValueError, match=words):
        item(slug).run(**small, n_fit=40, **given)


def test_images_that_the_network_does_not_take_are_refused(tmp_path, net):
    for k in range(24):
        Image.fromarray(np.full((32, 32, 3), 10 * k, np.uint8)).save(tmp_path / f"{k:02d}.png")
    with pytest.raises(ValueError, match=rf"{net} takes images of 1 channels, got shape \(1, 3, 32, 32\)"):
        fig1_energy.run(models=(net,), data=str(tmp_path), n_fit=24, labels="predicted")


def test_too_large_a_sample_is_refused(small):
    with pytest.raises(ValueError, match="digits holds 500 images, got a sample of 501"):
        tab1_angles.run(**small, n_fit=501)


def test_weights_have_their_tag_without_being_loaded(setting):
    bench = setting().bench
    bench.names([models.wrap(torch.nn.Flatten(), input_size=(1, 28, 28), name="mine")])
    names = ("stdcnn_mnist_rot", "gcnn_mnist_rot[trained]", "nobody_trained_this", "mine")
    assert [bench.weights(n) for n in names] == ["trained", "trained", "default", "wrapped"]
    assert not bench._models


def test_training_seeds_are_read_from_names_and_averaged():
    assert [training_seed(n) for n in ("stdcnn_mnist_rot", "gcnn_mnist_rot_seed2", "x_seed12[tag]")] == [0, 2, 12]
    assert family("gcnn_mnist_rot_seed2") == family("gcnn_mnist_rot")
    rows = {"network": ["a"] * 4, "training_seed": [0, 1, 2, 3], "v": [1.0, 2.0, 6.0, math.nan]}
    found = over_seeds(pd.DataFrame(rows), "v").iloc[0]
    assert found[["v", "min", "max", "n_seeds"]].tolist() == [3, 1, 6, 3]
    assert found["spread"] == pytest.approx(math.sqrt(7))
    with pytest.raises(ValueError, match="several rows a training seed"):
        over_seeds(pd.DataFrame(rows | {"training_seed": 0}), "v")


def test_missing_weights_keep_their_rows(monkeypatch, evidence):
    monkeypatch.setattr(models, "load", lambda name, **kw: (_ for _ in ()).throw(models.WeightsMissing("not here")))
    with_models = [i for i in runner.items().values() if i.paper == "equivariant2019" and "models" in i.parameters]
    assert len(with_models) == 12, "fig7_invariant_vectors and ext_rotation_range need no stored weights"
    for about in with_models:
        more = {"train": ()} if about.slug == "sec_accuracy" else {}
        table = about.function(models=("roteqnet_mnist_rot",), **more)
        assert table["status"].unique().tolist() == ["not run here"], about.slug
        assert set(table["model"]) == {"roteqnet_mnist_rot"}
        assert about.claims is None or evidence(about.module, table).empty, about.slug
