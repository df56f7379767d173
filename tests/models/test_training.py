"""Training is deterministic and resumable; trained networks are kept whole, once, with their card."""

import threading
import warnings

import pytest
import torch
from torch import nn

from uapkit import data, models, sources
from uapkit.files import cache_folder
from uapkit.models import catalogue, trained, training


def blobs(n=60):
    """Two classes of 1x4x4 images, bright above or bright below."""
    x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.4
    y = torch.arange(n) % 2
    x[y == 0, :, :2] += 0.5
    x[y == 1, :, 2:] += 0.5
    return data.Images(x, y, ("above", "below"), "blobs/train")


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))


RECIPE = {"epochs": 4, "lr": 0.05, "batch_size": 16, "seed": 3}


def numbers(history):
    return [(row["epoch"], row["loss"], row["accuracy"]) for row in history]


def jitter(x, generator):
    return x + 0.01 * torch.rand(x.shape, generator=generator)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_network_learns_and_is_left_in_eval_mode(optimizer):
    model = models.wrap(net())
    history = training.fit(model, blobs(), **RECIPE | {"epochs": 12}, optimizer=optimizer)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert float((model.predict(blobs()) == blobs().y).double().mean()) > 0.95
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())  # frozen as it was
    assert [row["epoch"] for row in history] == list(range(1, 13))


def test_training_depends_on_its_seed_alone():
    runs = []
    for noise, seed in ((0, 3), (9, 3), (0, 4)):
        n = net()
        torch.manual_seed(noise)
        runs.append((numbers(training.fit(n, blobs(), **RECIPE | {"seed": seed}, augment=jitter)), n.state_dict()))
    (first, a), (second, b), (other, _) = runs
    assert first == second != other
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_interrupted_training_resumes_where_it_was(tmp_path, optimizer):
    recipe = RECIPE | {"optimizer": optimizer, "augment": jitter}
    whole = net()
    expected = numbers(training.fit(whole, blobs(), **recipe))

    def interrupt(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(net(), blobs(), **recipe, checkpoint=tmp_path / "c.pt", callback=interrupt)
    rest, seen = net(), []
    resumed = training.fit(rest, blobs(), **recipe, checkpoint=tmp_path / "c.pt", callback=seen.append)
    assert [row["epoch"] for row in seen] == [3, 4]
    assert numbers(resumed) == expected
    assert all(torch.equal(whole.state_dict()[k], rest.state_dict()[k]) for k in rest.state_dict())
    with pytest.raises(ValueError, match="other lr"):
        training.fit(net(), blobs(), **recipe | {"lr": 0.1}, checkpoint=tmp_path / "c.pt")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"lr": 0.0}, "lr"),
        ({"optimizer": "adamm"}, "'adam'"),
        ({"schedule": "step"}, "schedule"),
    ],
)
def test_bad_settings(wrong, said):
    with pytest.raises(ValueError, match=said):
        training.fit(net(), blobs(), **RECIPE | wrong)


def test_images_without_labels_cannot_train():
    with pytest.raises(ValueError, match="has no labels"):
        training.fit(net(), data.Images(blobs().x), **RECIPE)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def test_a_trained_network_is_kept_with_its_card(cache):
    model = models.load("linear_digits")
    row = model.card.accuracy[0]
    test = data.load("digits", split="test")
    assert row["top1"] == round(100 * float((model.predict(test) == test.y).double().mean()), 2)
    assert row["top1"] > 85
    assert row["n"] == len(test)
    assert model.card.recipe["epochs"] > 0
    path = trained.cached_path(catalogue.find("linear_digits", "default"))
    stamp = path.stat().st_mtime_ns
    again = models.load("linear_digits")
    assert again.card == model.card
    assert path.stat().st_mtime_ns == stamp
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert models.status().set_index("name").loc["linear_digits", "state"] == "here"


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_a_caller_may_have_switched_gradients_off(cache, off):
    trainee = net()
    with off():
        model = models.load("linear_digits")
        own = training.fit(trainee, blobs(), **RECIPE)
        assert torch.is_grad_enabled() is False
    assert numbers(own) == numbers(training.fit(net(), blobs(), **RECIPE))
    assert model.card.accuracy[0]["top1"] > 85


def test_a_damaged_cache_is_trained_again(cache):
    model = models.load("linear_digits")
    path = trained.cached_path(catalogue.find("linear_digits", "default"))
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="damaged .*; it is trained again"):
            assert models.load("linear_digits").card.sha256 == model.card.sha256
        assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=r"linear_digits is not kept: .*permission is needed"):
        model = models.load("linear_digits")
    assert model.card.accuracy[0]["top1"] > 85


def test_two_first_uses_at_once_train_once(cache, monkeypatch):
    """The lock belongs to an open file, so that threads wait for each other as processes do."""
    train, started, shas = trained._train, [], []
    monkeypatch.setattr(trained, "_train", lambda entry: (started.append(entry.name), train(entry))[1])
    threads = [threading.Thread(target=lambda: shas.append(models.load("linear_digits").card.sha256)) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(shas) == 3
    assert len(set(shas)) == 1
    assert len(started) == 1
    assert [p.suffix for p in sorted(cache.iterdir())] == [".lock", ".safetensors"]


def test_the_cached_name_changes_with_the_code_of_training_data_and_network(monkeypatch):
    entry, seen = catalogue.find("linear_digits", "default"), []
    whole = sources._file_digest
    before = trained.cached_path(entry)
    for changed in ("uapkit.models.training", "uapkit.models.model", "uapkit.data.embedded", "uapkit.seeds"):
        with monkeypatch.context() as patched:
            patched.setattr(sources, "_file_digest", lambda m, c=changed: whole(m) + "edited" * (m == c))
            sources._digest.cache_clear()
            seen.append(trained.cached_path(entry))
    sources._digest.cache_clear()
    assert len({before, *seen}) == 5


def test_weights_are_not_kept_while_their_code_is_being_edited(cache, monkeypatch):
    def edited(thing):
        raise sources.Unidentified("training.py was edited after this process had started")

    monkeypatch.setattr(sources, "code", edited)
    assert models.load("linear_digits").card.accuracy[0]["top1"] > 85
    assert not cache.exists()
    assert models.status().set_index("name").loc["linear_digits", "state"] == "trainable"


def test_the_cached_name_changes_with_the_recipe():
    entry = catalogue.find("linear_digits", "default")
    other = catalogue.Entry(**entry.__dict__ | {"recipe": entry.recipe | {"seed": 1}})
    assert trained.cached_path(entry) != trained.cached_path(other)
    assert trained.cached_path(entry).parent == cache_folder("models")


def test_layers_of_the_digits_networks():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vgg = models.load("vgg_digits", weights="random")
    blocks = [f"block{b}_{part}" for b in (1, 2, 3) for part in ("conv1", "conv2", "pool")]
    assert [name for name in vgg.layers() if name in blocks] == blocks
    x = torch.rand(2, 1, 28, 28)
    assert torch.equal(vgg.until("block1_conv1")(x), vgg.until("block1_conv1.conv")(x).clamp(min=0))
    assert vgg.until("block3_pool")(x).shape == (2, 32, 3, 3)
    lenet = models.load("lenet_digits", weights="random")
    assert [lenet.until(layer)(x).shape[1:] for layer in ("conv1", "pool1", "conv2", "pool2", "conv3")] == [
        (20, 24, 24),
        (20, 12, 12),
        (50, 8, 8),
        (50, 4, 4),
        (500, 1, 1),
    ]
    assert len(lenet.layers(kind="activation")) == 1
