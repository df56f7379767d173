"""Names, tags and cards; a user's own modules and files; normalisation."""

import os
import re
from dataclasses import replace

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torchvision.models import list_models

from uapkit import data, models, provenance
from uapkit.files import sha256
from uapkit.models import catalogue, state_sha256


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch, tmp_path):
    """No weights, no cache, no release, no network."""
    monkeypatch.delenv("UAPKIT_DATA", raising=False)
    monkeypatch.delenv("UAPKIT_RELEASE_URL", raising=False)
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("urllib.request.urlopen", _offline)


def _offline(*args, **kwargs):
    raise OSError("no network in tests")


def test_every_torchvision_classifier_and_our_own_are_listed():
    names = models.list()
    assert set(list_models(module=torchvision.models)) <= set(names)
    assert {"bvlc_googlenet", "tiny_darknet", "cifar10_resnet56", "vgg_digits", "roteqnet_digits"} <= set(names)
    assert names == sorted(set(names))


def test_unknown_names_and_weights_suggest_the_nearest():
    with pytest.raises(ValueError, match="'vgg16'"):
        models.load("vgg_16")
    with pytest.raises(ValueError, match="nearest names are 'gluon'"):
        models.load("squeezenet1_1", weights="gluonn")


def test_default_never_stands_for_other_weights():
    assert catalogue.find("squeezenet1_1", "default").source == "torchvision"
    assert catalogue.find("resnet50", "default").weights == "IMAGENET1K_V2"  # torchvision's own default
    assert catalogue.find("bvlc_googlenet", "default").weights == "caffe"
    for name in ("squeezenet1_1", "squeezenet1_0", "mobilenet_v2"):
        with pytest.raises(models.WeightsMissing, match="IMAGENET1K_V"):
            models.load(name)


def test_every_entry_of_the_catalogue_is_complete():
    tags = [str(entry) for entry in catalogue.own_entries()]
    assert len(tags) == len(set(tags))
    for entry in catalogue.own_entries():
        assert entry.classes in ("imagenet", "cifar10", "digits")
        assert bool(entry.recipe) != bool(entry.file), f"{entry}: a file or a recipe"
        if entry.file:
            assert len(entry.sha256) == 64
            assert entry.accuracy[0]["n"] >= 1000
        assert entry.source
        assert entry.licence


@pytest.mark.parametrize("name", ["cifar10_resnet20", "stdcnn_digits", "squeezenet1_0", "mobilenet_v3_small"])
def test_untrained_networks_come_from_their_seed_alone(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, c = (models.load(name, weights="random", seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert a.card.sha256 == b.card.sha256 != c.card.sha256
    assert a.card.weights == "random"
    assert a.card.accuracy == ()
    x = torch.rand(2, *a.input_size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(a(x), b(x))
    assert a(x).shape == (2, len(a.classes))
    assert not a.training
    assert not any(p.requires_grad for p in a.parameters())


def test_loaded_networks_are_noted_as_inputs():
    with provenance.recording() as inputs:
        random = models.load("tiny_darknet", weights="random")
        wrapped = models.wrap(nn.Flatten(), name="mine")
    assert inputs == {"tiny_darknet[random]": random.card.sha256, "mine[wrapped]": wrapped.card.sha256}


def test_ten_of_255_means_ten_grey_levels_for_caffe():
    """The first layer of a Caffe network sees 255 * pixels - (123, 117, 104); a perturbation of 10/255 is 10 to it."""
    model = models.load("bvlc_googlenet", weights="random")
    seen = []
    model.net.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x = torch.full((1, 3, 32, 32), 0.5)
    model(x)
    model(x + 10 / 255)
    assert torch.allclose(seen[0][0, :, 0, 0], torch.tensor([4.5, 10.5, 23.5]), atol=1e-4)
    assert torch.allclose(seen[1] - seen[0], torch.tensor(10.0), atol=1e-4)


def test_normalisation_of_a_wrapped_module():
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    model = models.wrap(nn.Identity(), mean=(0.1, 0.2, 0.3), std=(1, 2, 4), classes=("a", "b"))
    assert torch.allclose(model(x)[:, 2], (x[:, 2] - 0.3) / 4)
    assert model.card.std == (1, 2, 4)
    assert model.classes == ("a", "b")
    assert torch.equal(models.wrap(nn.Identity())(x), x)
    assert model.double()(x.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"std": 0.0}, "std must be positive"),
        ({"std": [1.0, -1.0, 1.0]}, "std must be positive"),
        ({"mean": [0.5, float("nan"), 0.5]}, "mean must be finite"),
        ({"mean": [0.5, 0.5], "std": [1.0, 1.0, 1.0]}, "2 channels and std 3"),
        ({"mean": [[0.1, 0.2], [0.3, 0.4]]}, "one a channel"),
        ({"bounds": (1, 0)}, "low < high"),
        ({"bounds": (0,)}, "low < high"),
        ({"input_size": 5}, r"\(c, h, w\), got 5"),
        ({"input_size": (28, 28)}, r"\(c, h, w\)"),
        ({"input_size": (1, 0, 28)}, "at least 1"),
    ],
)
def test_bad_arguments_of_wrap(arguments, said):
    with pytest.raises(ValueError, match=said):
        models.wrap(nn.Identity(), **arguments)


@pytest.mark.parametrize("value", ["x", ["a"], {}, torch.ones(3) * 1j, 1j])
def test_a_mean_is_made_of_numbers(value):
    for name in ("mean", "std"):
        with pytest.raises(TypeError, match=f"{name} must be one number or one a channel"):
            models.wrap(nn.Identity(), **{name: value})


@pytest.mark.parametrize("weights", [5, None, ["gluon"]])
def test_weights_are_a_tag_or_a_path(weights):
    with pytest.raises(TypeError, match="weights must be a tag such as 'default' or the path of a file, got "):
        models.load("mlp_digits", weights=weights)


def test_only_modules_are_wrapped():
    with pytest.raises(TypeError, match="got function"):
        models.wrap(lambda x: x)


def test_grey_images_are_not_broadcast_to_colour():
    model = models.wrap(nn.Identity(), mean=(0.1, 0.2, 0.3))
    with pytest.raises(ValueError, match="takes images of 3 channels"):
        model(torch.rand(1, 1, 4, 4))


def test_predict_takes_images_and_batches():
    model = models.load("linear_digits", weights="random")
    images = data.Images(torch.rand(7, 1, 28, 28, generator=torch.Generator().manual_seed(2)))
    labels = model(images.x).argmax(1)
    for batch_size in (1, 3, 7, 100):
        assert torch.equal(model.predict(images, batch_size=batch_size), labels)
    with pytest.raises(ValueError, match="at least 1"):
        model.predict(images, batch_size=0)
    with pytest.raises(ValueError, match="leave normalisation to the model"):
        model.predict(images.x * 255)
    without_label = models.wrap(nn.Sequential(nn.Flatten(), nn.Linear(images.x[0].numel(), 3)))
    without_label.net[1].bias[1] = float("nan")
    with pytest.raises(ValueError, match="logits are not finite"):
        without_label.predict(images)


def test_caffe_names_of_googlenet():
    model = models.load("bvlc_googlenet", weights="random")
    model.input_size = (3, 64, 64)  # the same layers, sixteen times as fast
    listed = model.layers()
    assert set(model.aliases) <= set(listed)
    caffe = [name for name in listed if "/" in name]
    assert caffe[:6] == [
        "conv1/7x7_s2",
        "conv1/relu_7x7",
        "pool1/3x3_s2",
        "pool1/norm1",
        "conv2/3x3_reduce",
        *caffe[5:6],
    ]
    assert caffe[-1] == "loss3/classifier"
    assert len([n for n in model.layers(kind="conv") if n.startswith("inception")]) == 9 * 6
    x = torch.rand(1, 3, 64, 64)
    assert model.until("inception_3b/output")(x).shape == (1, 480, 8, 8)
    before, after = model.until("conv1/7x7_s2")(x), model.until("conv1/relu_7x7")(x)
    assert torch.equal(before.clamp(min=0), after)
    assert before.min() < 0


def test_own_files_are_loaded_and_named(tmp_path):
    model = models.load("mlp_digits", weights="random", seed=3)
    x = torch.rand(2, 1, 28, 28)
    state = model.net.state_dict()
    save_file(state, tmp_path / "mine.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "mine.pth")
    for file in ("mine.safetensors", "mine.pth"):
        own = models.load("mlp_digits", weights=tmp_path / file)
        assert torch.equal(own(x), model(x))
        assert own.card.weights == file
        assert own.card.source == "a file of the user's"
        assert models.load("mlp_digits", weights=str(tmp_path / file)).card.sha256 == own.card.sha256
    with pytest.raises(models.WeightsMissing, match="there is no file"):
        models.load("mlp_digits", weights=tmp_path / "other.pth")


def test_files_that_do_not_fit_name_the_first_keys(tmp_path):
    state = models.load("mlp_digits", weights="random").net.state_dict()
    cases = {
        "lacks fc1.weight": {k: v for k, v in state.items() if k != "fc1.weight"},
        "unknown extra.weight": {**state, "extra.weight": torch.zeros(1)},
        "size mismatch for fc1.weight": {**state, "fc1.weight": torch.zeros(3, 784)},
        "lacks fc1.bias, fc1.weight, fc2.bias and 3 more": {"x": torch.zeros(1)},
    }
    for said, tensors in cases.items():
        save_file(tensors, tmp_path / "w.safetensors")
        with (
            pytest.raises(ValueError, match=f"w.safetensors does not fit MLP: .*{said}")
            if "3 more" not in said
            else (pytest.raises(ValueError, match=r"lacks .* and 3 more"))
        ):
            models.load("mlp_digits", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["densenet121", "googlenet"])
def test_torchvision_files_are_found_and_verified_where_the_user_put_them(tmp_path, monkeypatch, name):
    """torchvision's file names end with the first digits of the sha256; two conventions of its old files are known."""
    entry = catalogue.torchvision_entries(name)[0]
    net = models.load(name, weights="random", seed=1).net
    state = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d\.)", r"\1.\2", k): v for k, v in net.state_dict().items()}
    assert ("features.denseblock1.denselayer1.norm.1.weight" in state) == (name == "densenet121")
    file = tmp_path / "weights" / entry.file
    file.parent.mkdir()
    torch.save(state, file)
    with pytest.raises(ValueError, match=rf"{file.name} in root/weights is truncated or changed: sha256 expected"):
        models.load(name, root=tmp_path)
    real = replace(entry, sha256=sha256(file)[:8])
    monkeypatch.setattr(catalogue, "torchvision_entries", lambda _: [real])
    model = models.load(name, root=tmp_path)
    assert model.card.sha256 == sha256(file)
    assert state_sha256(model.net.state_dict()) == state_sha256(net.state_dict())
    assert getattr(model.net, "transform_input", None) == (True if name == "googlenet" else None)


def test_status_says_what_is_here_and_what_to_do(tmp_path):
    table = models.status()
    assert set(table.name) == set(models.list())
    by = table.set_index(["name", "weights"])
    assert by.loc[("linear_digits", "trained"), "state"] == "trainable"
    assert by.loc[("tiny_darknet", "darknet"), "state"] == "missing"
    assert "tiny_darknet.safetensors" in by.loc[("tiny_darknet", "darknet"), "what_to_do"]
    assert "vgg16-397923af.pth" in by.loc[("vgg16", "IMAGENET1K_V1"), "what_to_do"]
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "tiny_darknet.safetensors").write_bytes(b"x")
    row = models.status(root=tmp_path).set_index("name").loc["tiny_darknet"]
    assert (row.state, row["where"]) == ("here", "root/weights")
    assert str(tmp_path) not in table.to_csv() + models.status(root=tmp_path).to_csv()
    assert os.path.expanduser("~") not in table.to_csv()


def test_a_root_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="root must be an existing folder"):
        models.load("tiny_darknet", root=tmp_path / "nowhere")
