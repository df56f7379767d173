"""The official file formats on tiny files: read, verified, refused; and the real ones where $UAPKIT_DATA has them."""

import codecs
import gzip
import inspect
import os
import pickle  # noqa: TID251  the tests write CIFAR's own format
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from uapkit import data, provenance
from uapkit.data import caltech, cifar, idx, source

IDX_SETS = ("mnist", "fashion-mnist")
REAL = os.environ.get("UAPKIT_DATA")
needs = pytest.mark.skipif(not REAL, reason="needs the real data, $UAPKIT_DATA")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A root without anything in it, an empty cache, no network."""
    monkeypatch.delenv("UAPKIT_DATA", raising=False)
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(idx, "MIRRORS", dict.fromkeys(IDX_SETS, ("http://127.0.0.1:9/",)))
    closed = {name: ("http://127.0.0.1:9/" + url.rpartition("/")[2], md5) for name, (url, md5) in cifar.ARCHIVE.items()}
    monkeypatch.setattr(cifar, "ARCHIVE", closed)
    root = tmp_path / "root"
    root.mkdir()
    return root


def packed_idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(root, monkeypatch, name, *, packed, count=12, split="test"):
    """A tiny set in the official layout, with its checksums declared official."""
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count).astype(np.uint8)
    folder = root / idx.FOLDERS[name][0]
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        stem = f"{idx.PREFIX[split]}-{kind}-ubyte"
        raw = packed_idx(array)
        gz = gzip.compress(raw)
        (folder / (stem + ".gz" if packed else stem)).write_bytes(gz if packed else raw)
        monkeypatch.setitem(idx.GZ_MD5[name], stem + ".gz", source.md5(gz))
        if name == "mnist":
            monkeypatch.setitem(idx.RAW_MD5[name], stem, source.md5(raw))
    return folder, images, labels


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(("name", "packed"), [("mnist", False), ("mnist", True), ("fashion-mnist", True)])
def test_idx_files_plain_and_gz(home, monkeypatch, name, packed, split):
    _, images, labels = write_idx(home, monkeypatch, name, packed=packed, split=split)
    with provenance.recording() as inputs:
        loaded = data.load(name, split=split, root=home)
    assert torch.equal(loaded.x, torch.from_numpy(images)[:, None].float() / 255)
    assert loaded.y.tolist() == labels.tolist()
    assert len(loaded.classes) == 10
    assert inputs == {f"{name}/{split}": loaded.sha256}


def test_idx_recompressed_is_the_same_content(home, monkeypatch):
    folder, *_ = write_idx(home, monkeypatch, "mnist", packed=True)
    first = data.load("mnist", root=home).sha256
    for file in folder.glob("*.gz"):
        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()), compresslevel=1))
    assert data.load("mnist", root=home).sha256 == first


def test_fashion_prefers_the_file_that_can_be_verified(home, monkeypatch):
    folder, images, _ = write_idx(home, monkeypatch, "fashion-mnist", packed=True)
    (folder / "t10k-images-idx3-ubyte").write_bytes(packed_idx(255 - images))
    assert torch.equal(data.load("fashion-mnist", root=home).x[:, 0], torch.from_numpy(images).float() / 255)


def test_fashion_plain_is_read_with_a_warning(home, monkeypatch):
    write_idx(home, monkeypatch, "fashion-mnist", packed=False)
    with pytest.warns(UserWarning, match="not verified"):
        assert len(data.load("fashion-mnist", root=home)) == 12


@pytest.mark.parametrize("name", IDX_SETS)
def test_idx_tampered_names_both_checksums(home, monkeypatch, name):
    folder, images, _ = write_idx(home, monkeypatch, name, packed=True)
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(packed_idx(255 - images)))
    content, gz = packed_idx(255 - images), path.read_bytes()
    expected, found = (
        (idx.RAW_MD5[name]["t10k-images-idx3-ubyte"], source.md5(content))
        if name == "mnist"
        else (idx.GZ_MD5[name][path.name], source.md5(gz))
    )
    with pytest.raises(ValueError, match=rf"{path.name} is damaged.*expected {expected}, found {found}"):
        data.load(name, root=home)


@pytest.mark.parametrize("name", IDX_SETS)
@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_idx_truncated_gz_is_named(home, monkeypatch, name, keep):
    folder, *_ = write_idx(home, monkeypatch, name, packed=True)
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged or changed: checksum expected \w+, found \w+"):
        data.load(name, root=home)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03", b"\0\0\x0d\x01\0\0\0\x01\0", None])
def test_idx_nonsense_is_named_without_a_checksum(home, monkeypatch, content):
    folder, images, _ = write_idx(home, monkeypatch, "fashion-mnist", packed=False)
    content = packed_idx(images)[:-1] if content is None else content
    (folder / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.warns(UserWarning, match="verified"), pytest.raises(ValueError, match="not a whole idx file"):
        data.load("fashion-mnist", root=home)


def test_idx_labels_of_another_set_are_refused(home, monkeypatch):
    folder, *_ = write_idx(home, monkeypatch, "fashion-mnist", packed=False)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(packed_idx(np.zeros(5, np.uint8)))
    with pytest.warns(UserWarning, match="verified"), pytest.raises(ValueError, match="do not belong together"):
        data.load("fashion-mnist", root=home)


def test_idx_half_of_a_set_is_said(home, monkeypatch):
    folder, *_ = write_idx(home, monkeypatch, "mnist", packed=True)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"t10k-labels-idx1-ubyte .* is missing"):
        data.load("mnist", root=home)


def python2_pickle(batch):
    """Protocol 2 with byte strings as Python 2 wrote them, NumPy's old module name included."""
    return pickle.dumps(batch, protocol=2).replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")


def write_cifar(root, monkeypatch, name, count=8, change=None):
    rng = np.random.default_rng(2)
    folder = root / cifar.BASE[name]
    folder.mkdir(parents=True)
    classes = [f"class {k}" for k in range(10 if name == "cifar10" else 100)]
    files, held = {}, {}
    for split in ("train", "test"):
        files[split] = {}
        for file in cifar.FILES[name][split]:
            pixels = rng.integers(0, 256, (count, 3072), np.uint8)
            labels = rng.integers(0, len(classes), count).tolist()
            batch = {
                "data": pixels,
                cifar.LABELS[name]: labels,
                "filenames": ["x.png"] * count,
                "coarse_labels": labels,
            }
            content = python2_pickle(batch) if change is None else change(batch)
            (folder / file).write_bytes(content)
            files[split][file] = source.md5(content)
            held.setdefault(split, []).append((pixels, labels))
    meta_file, key, _ = cifar.META[name]
    meta = python2_pickle({key: classes, "num_vis": 3072})
    (folder / meta_file).write_bytes(meta)
    monkeypatch.setitem(cifar.FILES, name, files)
    monkeypatch.setitem(cifar.META, name, (meta_file, key, source.md5(meta)))
    return folder, held, tuple(classes)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_batches(home, monkeypatch, name, split):
    _, held, classes = write_cifar(home, monkeypatch, name)
    loaded = data.load(name, split=split, root=home)
    pixels = np.concatenate([p for p, _ in held[split]])
    assert torch.equal(loaded.x, torch.from_numpy(pixels.reshape(-1, 3, 32, 32)).float() / 255)
    assert loaded.y.tolist() == [label for _, labels in held[split] for label in labels]
    assert loaded.classes == classes


class Dangerous:
    """Unpickled carelessly it would create a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


class Codec:
    def __reduce__(self):
        return codecs.encode, ("text", "rot13")


@pytest.mark.parametrize(("evil", "asked"), [("open", r"io\.open"), ("codec", "rot13"), ("eval", r"builtins\.eval")])
def test_a_malicious_batch_is_refused_and_not_run(home, monkeypatch, tmp_path, evil, asked):
    trap = tmp_path / "trap"
    payload = {"open": Dangerous(trap), "codec": Codec(), "eval": None}[evil]
    by_hand = f"cbuiltins\neval\n(S'open({str(trap)!r}, \"w\")'\ntR.".encode()

    def change(batch):
        return by_hand if evil == "eval" else pickle.dumps({**batch, "note": payload}, protocol=2)

    write_cifar(home, monkeypatch, "cifar10", change=change)
    with pytest.raises(ValueError, match=rf"refused: it is not a batch of arrays.*it asks for .*{asked}"):
        data.load("cifar10", root=home)
    assert not trap.exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"labels": [1]}), pickle.dumps({"data": 1})]
)
def test_a_batch_of_something_else_is_refused(home, monkeypatch, content):
    write_cifar(home, monkeypatch, "cifar10", change=lambda _: content)
    with pytest.raises(ValueError, match=r"was refused|not an official batch"):
        data.load("cifar10", root=home)


def test_a_batch_of_a_wrong_shape_is_refused(home, monkeypatch):
    write_cifar(home, monkeypatch, "cifar10", change=lambda b: python2_pickle({**b, "data": b["data"][:, :100]}))
    with pytest.raises(ValueError, match=r"pixels \(8, 100\) uint8 and 8 labels, not \(n, 3072\) bytes"):
        data.load("cifar10", root=home)


@pytest.mark.parametrize("damage", [lambda b: b[:-10], lambda b: b[:50] + b"?" + b[51:]])
def test_cifar_damaged_names_both_checksums(home, monkeypatch, damage):
    folder, *_ = write_cifar(home, monkeypatch, "cifar100")
    content = damage((folder / "test").read_bytes())
    (folder / "test").write_bytes(content)
    expected = cifar.FILES["cifar100"]["test"]["test"]
    with pytest.raises(ValueError, match=rf"test is damaged.*expected {expected}, found {source.md5(content)}"):
        data.load("cifar100", root=home)


@pytest.mark.parametrize("name", [*IDX_SETS, "cifar10", "cifar100"])
@pytest.mark.parametrize("download", [True, False])
def test_nothing_here_and_no_network_says_what_to_put_where(home, name, download):
    with pytest.raises(
        FileNotFoundError, match=r"is not here: .*UAPKIT_DATA is not set.* below \$UAPKIT_DATA"
    ) as error:
        data.load(name, root=home, download=download)
    assert ("could not be downloaded" in str(error.value)) == download
    assert not (home.parent / "cache").exists()  # nothing half-written


def test_download_arrives_whole_in_the_cache(home, monkeypatch, tmp_path):
    folder, images, _ = write_idx(tmp_path / "server", monkeypatch, "mnist", packed=True)
    monkeypatch.setattr(idx, "MIRRORS", {"mnist": ("http://127.0.0.1:9/", folder.as_uri() + "/")})
    loaded = data.load("mnist", root=home)  # the first mirror is dead, the second serves
    assert torch.equal(loaded.x[:, 0], torch.from_numpy(images).float() / 255)
    monkeypatch.setattr(idx, "MIRRORS", {"mnist": ()})
    assert data.load("mnist", root=home).sha256 == loaded.sha256  # now from the cache


def test_download_of_something_else_is_refused(home, monkeypatch, tmp_path):
    folder, *_ = write_idx(tmp_path / "server", monkeypatch, "mnist", packed=True)
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"an error page")
    monkeypatch.setattr(idx, "MIRRORS", {"mnist": (folder.as_uri() + "/",)})
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte.gz is damaged.*found"):
        data.load("mnist", root=home)
    assert not list((tmp_path / "cache").rglob("*"))


def test_cifar_archive_is_unpacked(home, monkeypatch, tmp_path):

    folder, *_ = write_cifar(tmp_path / "server", monkeypatch, "cifar100")
    archive = tmp_path / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    monkeypatch.setitem(cifar.ARCHIVE, "cifar100", (archive.as_uri(), source.md5(archive.read_bytes())))
    assert len(data.load("cifar100", root=home)) == 8
    assert [p.name for p in (tmp_path / "cache" / "data").iterdir()] == ["cifar-100-python"]


def test_caltechs_archive_is_verified_and_unpacked(home, monkeypatch, tmp_path):
    pictures = tmp_path / "server" / caltech.BASE
    for k, category in enumerate(("ant", "barrel")):
        (pictures / category).mkdir(parents=True)
        Image.new("RGB", (9, 9), (k * 255, 0, 0)).save(pictures / category / "image_0001.jpg")
    inner, archive = tmp_path / "inner.tar.gz", tmp_path / "caltech-101.zip"
    with tarfile.open(inner, "w:gz") as tar:
        tar.add(pictures, caltech.BASE)
    with zipfile.ZipFile(archive, "w") as outer:
        outer.write(inner, caltech.INSIDE)
    monkeypatch.setattr(caltech, "ARCHIVE", (archive.as_uri(), "0" * 32))
    with pytest.raises(ValueError, match="checksum"):
        data.load("caltech101", size=8)
    monkeypatch.setattr(caltech, "ARCHIVE", (archive.as_uri(), source.md5(archive.read_bytes())))
    with pytest.raises(FileNotFoundError, match="101_ObjectCategories"):
        data.load("caltech101", size=8, download=False)
    images = data.load("caltech101", size=8)
    assert images.classes == ("ant", "barrel")
    assert images.y.tolist() == [0, 1]
    assert images.x[:, 0].flatten(1).mean(1).tolist() == pytest.approx([0, 1], abs=0.02)
    assert data.status().set_index("name").loc["caltech101", "here"]
    archive.unlink()
    assert len(data.load("caltech101", size=8, download=False)) == 2, "the second time it is here"


def test_caltechs_checksum_is_torchvisions():
    published = inspect.getsource(torchvision.datasets.Caltech101)
    assert all(text in published for text in caltech.ARCHIVE)


def test_order_of_the_roots(home, monkeypatch, tmp_path):
    folder, *_ = write_idx(home, monkeypatch, "mnist", packed=False)
    monkeypatch.setenv("UAPKIT_DATA", str(home))
    other = tmp_path / "other"
    other.mkdir()
    here = data.load("mnist", root=other)  # not in root, so from $UAPKIT_DATA
    assert len(here) == 12
    shown = data.status().set_index("name")
    assert shown.loc["mnist", "where"] == str(folder)
    assert not shown.loc["cifar10", "here"]
    assert shown.loc["digits", "where"] == "embedded"
    assert "UAPKIT_DATA" in shown.loc["cifar10", "what_to_do"]
    assert shown.loc["mnist", "what_to_do"] == ""


@pytest.mark.parametrize("variable", [True, False])
def test_a_root_that_is_not_there_is_said(home, monkeypatch, variable):
    if variable:
        monkeypatch.setenv("UAPKIT_DATA", str(home / "nowhere"))
    with pytest.raises(ValueError, match=r"must be an existing folder, got '.*nowhere'"):
        data.load("mnist", root=None if variable else home / "nowhere")


def test_checksums_are_torchvisions():
    for name, cls in (("mnist", torchvision.datasets.MNIST), ("fashion-mnist", torchvision.datasets.FashionMNIST)):
        assert dict(cls.resources) == idx.GZ_MD5[name]
    for name, cls in (("cifar10", torchvision.datasets.CIFAR10), ("cifar100", torchvision.datasets.CIFAR100)):
        assert cifar.FILES[name] == {"train": dict(cls.train_list), "test": dict(cls.test_list)}
        assert cifar.META[name] == (cls.meta["filename"], cls.meta["key"], cls.meta["md5"])
        assert cifar.ARCHIVE[name] == (cls.url, cls.tgz_md5)
    assert idx.RAW_MD5["mnist"]["train-images-idx3-ubyte"] == "6bbc9ace898e44ae57da46a324031adb"


@needs
def test_real_mnist_and_cifar10_are_torchvisions():
    for name, cls in (("mnist", torchvision.datasets.MNIST), ("cifar10", torchvision.datasets.CIFAR10)):
        ours, theirs = data.load(name), cls(REAL, train=False)
        pixels = torch.as_tensor(theirs.data)
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        assert torch.equal(ours.x, pixels.float() / 255)
        assert ours.y.tolist() == torch.as_tensor(theirs.targets).tolist()
