"""Weights' files: verified, fetched whole from a release, refused when they carry code; the real ones where they are here."""

import functools
import http.server
import os
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from uapkit import data, models, provenance
from uapkit.files import sha256
from uapkit.models import catalogue, store

REAL = os.environ.get("UAPKIT_DATA")


class Trap:
    """What a hostile file would do when it is unpickled."""

    ran = False

    def __reduce__(self):
        return (setattr, (Trap, "ran", True))


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A network whose card's sha256 is that of a file in tmp_path/release; nothing else is anywhere."""
    monkeypatch.delenv("UAPKIT_DATA", raising=False)
    monkeypatch.delenv("UAPKIT_RELEASE_URL", raising=False)
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    release = tmp_path / "release"
    release.mkdir()
    save_file(
        models.load("cifar10_resnet20", weights="random").net.state_dict(), release / "cifar10_resnet20.safetensors"
    )
    entry = catalogue.find("cifar10_resnet20", "default")
    fields = entry.__dict__ | {"sha256": sha256(release / entry.file)}
    monkeypatch.setattr(catalogue, "own_entries", lambda: (catalogue.Entry(**fields),))
    return release


@pytest.fixture
def server(published, monkeypatch):
    """The release served over http; every request is noted."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(args[1])

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(published)))
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("UAPKIT_RELEASE_URL", f"http://127.0.0.1:{serving.server_port}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield asked
    serving.shutdown()
    serving.server_close()
    thread.join()


def cached(published: Path) -> list[str]:
    folder = published.parent / "cache" / "weights"
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def test_without_a_release_address_one_sentence_says_what_to_do(published):
    with pytest.raises(models.WeightsMissing) as error:
        models.load("cifar10_resnet20")
    for part in (
        "cifar10_resnet20[akamaster]",
        "cifar10_resnet20.safetensors",
        "$UAPKIT_DATA/weights",
        "UAPKIT_RELEASE_URL",
    ):
        assert part in str(error.value)
    assert isinstance(error.value, FileNotFoundError)
    assert str(published.parent) not in str(error.value)


def test_the_release_is_fetched_once_and_verified(published, server):
    with provenance.recording() as inputs:
        model = models.load("cifar10_resnet20")
        again = models.load("cifar10_resnet20")
    assert len(server) == 1
    assert cached(published) == ["cifar10_resnet20.safetensors"]
    assert inputs == {"cifar10_resnet20[akamaster]": sha256(published / "cifar10_resnet20.safetensors")}
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(model(x), again(x))


def test_a_changed_release_is_refused_and_not_kept(published, server):
    file = published / "cifar10_resnet20.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(
        ValueError, match=r"cifar10_resnet20.safetensors is truncated or another file: sha256 expected .* found"
    ):
        models.load("cifar10_resnet20")
    assert cached(published) == []


def test_a_release_that_lacks_the_file_or_does_not_answer(published, server, monkeypatch):
    (published / "cifar10_resnet20.safetensors").unlink()
    with pytest.raises(models.WeightsMissing, match=r"tried and failed \(.*404"):
        models.load("cifar10_resnet20")
    monkeypatch.setenv("UAPKIT_RELEASE_URL", "http://127.0.0.1:1")
    with pytest.raises(models.WeightsMissing, match="tried and failed"):
        models.load("cifar10_resnet20")
    monkeypatch.setenv("UAPKIT_RELEASE_URL", "ftp://127.0.0.1/")
    with pytest.raises(ValueError, match="http:// or https://"):
        models.load("cifar10_resnet20")
    assert cached(published) == []


def test_a_transfer_that_breaks_off_leaves_nothing(published, monkeypatch):
    whole = (published / "cifar10_resnet20.safetensors").read_bytes()

    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) // 2])

        def log_message(self, *args):
            pass

    serving = http.server.HTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=serving.handle_request, daemon=True)
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("UAPKIT_RELEASE_URL", f"http://127.0.0.1:{serving.server_port}")
    with pytest.raises((models.WeightsMissing, ValueError), match=r"broke off|truncated"):
        models.load("cifar10_resnet20")
    thread.join()
    serving.server_close()
    assert cached(published) == []


def test_a_cache_that_cannot_be_written_gives_a_sentence(published, server, monkeypatch):
    blocked = published.parent / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("UAPKIT_CACHE", str(blocked))
    with pytest.raises(OSError, match=r"could not be written .* permission is needed"):
        models.load("cifar10_resnet20")


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_truncated_and_tampered_files_name_both_checksums(published, damage):
    file = published / "cifar10_resnet20.safetensors"
    expected, whole = sha256(file), file.read_bytes()
    weights = published / "weights"
    weights.mkdir()
    (weights / file.name).write_bytes(damage(whole))
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is looked at below
        models.load("cifar10_resnet20", root=published)
    for part in (file.name, expected, sha256(weights / file.name), "remove it"):
        assert part in str(error.value)


def test_root_comes_before_the_users_data(published, monkeypatch):
    (published / "weights").mkdir()
    (published / "cifar10_resnet20.safetensors").rename(published / "weights" / "cifar10_resnet20.safetensors")
    entry = catalogue.find("cifar10_resnet20", "default")
    monkeypatch.setenv("UAPKIT_DATA", str(published))
    assert store.where(entry) == "$UAPKIT_DATA/weights"
    assert store.where(entry, root=published) == "root/weights"
    assert models.load("cifar10_resnet20").card.sha256 == entry.sha256


def test_weights_that_come_with_the_package(published, monkeypatch):
    monkeypatch.setattr(store, "PACKAGED", published)
    model = models.load("cifar10_resnet20")
    assert model.card.sha256 == sha256(published / "cifar10_resnet20.safetensors")
    row = models.status().set_index("name").loc["cifar10_resnet20"]
    assert (row.state, row["where"], row.what_to_do) == ("here", "the package", "")


def test_packaged_files_are_those_of_their_cards():
    for entry in catalogue.own_entries():
        if entry.file and (store.PACKAGED / entry.file).is_file():
            assert sha256(store.PACKAGED / entry.file) == entry.sha256, f"{entry}: the card is of another file"
            assert models.load(entry.name, weights=entry.weights).card.accuracy == entry.accuracy


def test_a_file_that_carries_code_is_refused_unopened(tmp_path):
    state = models.load("linear_digits", weights="random").net.state_dict()
    torch.save({"state_dict": state, "trap": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match=r"trap.pth holds Python objects .* is not opened"):
        models.load("linear_digits", weights=tmp_path / "trap.pth")
    assert not Trap.ran


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors", "empty.pth", "empty.safetensors"])
def test_files_that_are_no_weights_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"PK\x03\x04 not an archive" * 9)
    with pytest.raises(ValueError, match=name):
        models.load("linear_digits", weights=tmp_path / name)


def test_a_file_without_a_state_dict(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list.pth holds no state dict"):
        models.load("linear_digits", weights=tmp_path / "list.pth")


def here(name, weights="default"):
    if not REAL or store.where(catalogue.find(name, weights), REAL) is None:
        pytest.skip(f"the weights of {name} are not in $UAPKIT_DATA")
    return models.load(name, weights=weights, root=REAL)


@pytest.mark.parametrize("name", ["cifar10_resnet20", "cifar10_resnet20_adv"])
def test_real_cifar_networks_have_their_cards_accuracy(name):
    """The first 500 test images; three binomial standard errors around the card's number."""
    model = here(name)
    try:
        images = data.load("cifar10", split="test", n=500, root=REAL)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    share = float((model.predict(images) == images.y).double().mean())
    expected = model.card.accuracy[0]["top1"] / 100
    assert abs(share - expected) < 3 * (expected * (1 - expected) / 500) ** 0.5


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("squeezenet1_1", "gluon"),
        ("squeezenet1_0", "deepcompressed"),
        ("mobilenet_v2", "tflite_int8"),
        ("tiny_darknet", "darknet"),
    ],
)
def test_real_imagenet_networks_recognise_photographs(name, weights):
    model = here(name, weights)
    try:
        images = data.load("imagenet-sample", n=24, root=REAL)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    share = float((model.predict(images, batch_size=8) == images.y).double().mean())
    expected = model.card.accuracy[0]["top1"] / 100
    assert abs(share - expected) < 3 * (expected * (1 - expected) / 24) ** 0.5
