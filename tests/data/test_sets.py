"""load and stream: digits, folders of pictures, ImageNet's layouts, samples, names that are wrong."""

import os
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from uapkit import data, provenance
from uapkit.data import folder, imagenet
from uapkit.data.sets import open_source

needs = pytest.mark.skipif(not os.environ.get("UAPKIT_DATA"), reason="needs the real data, $UAPKIT_DATA")


def picture(path, colour=(200, 40, 10), size=(12, 9)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """No data of the user's, an empty cache."""
    monkeypatch.delenv("UAPKIT_DATA", raising=False)
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_digits_are_embedded_stratified_and_disjoint(alone):
    train, test = data.load("digits", split="train", rotation=0), data.load("digits", rotation=0)
    assert (len(train), len(test)) == (1297, 500)
    assert test.shape == (1, 28, 28)
    counts = torch.bincount(test.y, minlength=10)
    whole = counts + torch.bincount(train.y, minlength=10)
    assert (counts - whole * 500 / 1797).abs().max() < 1
    assert whole.sum() == 1797
    rows = {x.numpy().tobytes() for x in train.x} & {x.numpy().tobytes() for x in test.x}
    assert not rows


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    upright = data.load("digits", split="train", rotation=0, n=3)
    means = load_digits().images.mean((1, 2)) / 16
    for x in upright.x:  # upsampling keeps the mean grey, up to the clipped overshoot
        assert np.abs(means - float(x.mean())).min() < 0.02


def test_digits_turn_by_30_degrees_unless_told():
    upright, turned = data.load("digits", rotation=0), data.load("digits")
    angles = data.rotation_angles(500, 30, seed=0)
    assert torch.allclose(turned.x, upright.rotated(angles).x, atol=1e-6)
    assert not torch.equal(turned.x, upright.x)
    assert torch.equal(turned.y, upright.y)
    assert torch.allclose(data.load("digits", rotation=180).x, upright.rotated(180, seed=0).x, atol=1e-6)


def test_the_rotation_belongs_to_the_image_not_to_the_draw():
    whole, few = data.load("digits"), data.load("digits", n=5, seed=7)
    for x in few.x:
        assert (whole.x - x).abs().amax((1, 2, 3)).min() < 1e-6


def test_samples_are_nested_repeatable_and_without_repetition():
    small, large = data.load("digits", n=64, seed=1), data.load("digits", n=128, seed=1)
    assert torch.equal(small.x, large.x[:64])
    assert small.sha256 == data.load("digits", n=64, seed=1).sha256
    assert small.sha256 != data.load("digits", n=64, seed=2).sha256
    everything = data.load("digits", n=500)
    assert sorted(everything.y.tolist()) == sorted(data.load("digits").y.tolist())
    assert len({x.numpy().tobytes() for x in everything.x}) == 500


@pytest.mark.parametrize("n", [0, -1, 501, 2.5, True])
def test_a_bad_n_is_refused(n):
    with pytest.raises(ValueError, match="n must"):
        data.load("digits", n=n)


@pytest.mark.parametrize("kind", [float, np.float32, np.int64, torch.tensor])
def test_whole_numbers_of_any_kind_are_counts(alone, kind):
    with provenance.recording() as inputs:
        loaded = data.load("digits", n=kind(5), size=kind(14))
        flow = list(data.stream("digits", batch_size=kind(2), n=kind(5), size=kind(14)))
    assert inputs == {"digits/test (n=5, seed=0, size=14)": data.load("digits", n=5, size=14).sha256}
    assert loaded.sha256 in inputs.values()
    assert [len(images) for images in flow] == [2, 2, 1]


def test_what_was_loaded_is_noted():
    with provenance.recording() as inputs:
        whole, part = data.load("digits"), data.load("digits", n=8, seed=3)
        data.load("digits", rotation=0)
        flow = data.stream("digits", batch_size=7, n=8, seed=3)
        parts = [b.x for b in flow]
    assert inputs["digits/test"] == whole.sha256
    assert inputs["digits/test (n=8, seed=3)"] == part.sha256  # the stream noted the same under the same name
    assert len(inputs) == 3
    assert torch.equal(torch.cat(parts), part.x)


@pytest.mark.parametrize("batch_size", [1, 3, 20, 64])
def test_streams_give_the_loaded_set_in_batches(batch_size):
    loaded = data.load("digits", n=20)
    with provenance.recording() as inputs:
        flow = data.stream("digits", batch_size=batch_size, n=20)
        assert inputs == {}
        batches = list(flow)
    assert len(flow) == len(batches) == -(-20 // batch_size)
    assert flow.n == 20
    assert torch.allclose(torch.cat([b.x for b in batches]), loaded.x, atol=1e-6)
    assert torch.cat([b.y for b in batches]).tolist() == loaded.y.tolist()
    assert inputs == {"digits/test (n=20, seed=0)": loaded.sha256}
    assert len(list(flow)) == len(batches)  # again


def test_a_wrong_name_or_split_offers_the_right_ones():
    with pytest.raises(ValueError, match="unknown data set 'minst'; the nearest names are 'mnist'"):
        data.load("minst")
    with pytest.raises(ValueError, match=r"no folder of images at '\./nowhere'"):
        data.load("./nowhere")
    with pytest.raises(ValueError, match="'digits' has the splits train, test only, got split='dev'"):
        data.load("digits", split="dev")
    with pytest.raises(ValueError, match="'imagenet-sample' has the splits test only"):
        data.load("imagenet-sample", split="train")
    assert {"digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "imagenet-sample", "imagenet"} <= set(
        data.list()
    )
    assert list(data.status().name) == data.list()


def test_val_is_test():
    assert data.load("digits", split="val", n=4).sha256 == data.load("digits", n=4).sha256


def test_a_folder_of_class_folders(alone):
    for label, colours in {"b": ["black", "white"], "a": ["red"]}.items():
        for i, colour in enumerate(colours):
            picture(alone / "set" / label / f"{i}.png", colour)
    picture(alone / "set" / ".hidden" / "0.png")
    loaded = data.load(alone / "set")
    assert loaded.classes == ("a", "b")
    assert loaded.y.tolist() == [0, 1, 1]
    assert loaded.name == "set/test"  # no path of this machine
    expected = torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 1, 1]])
    assert torch.equal(loaded.x, expected.view(3, 3, 1, 1).expand(3, 3, 9, 12))


def test_a_flat_folder_has_no_labels(alone):
    picture(alone / "set" / "two.jpg")
    Image.new("L", (12, 9), 128).save(alone / "set" / "one.png")
    (alone / "set" / "notes.txt").write_text("not a picture")
    loaded = data.load(str(alone / "set"))
    assert loaded.y is None
    assert loaded.x[0].unique().tolist() == [torch.tensor(128 / 255).item()]  # grey in all three channels
    assert len(loaded) == 2


def test_a_folder_with_splits(alone):
    picture(alone / "set" / "train" / "a" / "0.png", "red")
    picture(alone / "set" / "val" / "a" / "0.png", "white")
    assert data.load(alone / "set").x.min() == 1
    assert data.load(alone / "set", split="train").x.min() == 0
    picture(alone / "plain" / "0.png")
    with pytest.raises(ValueError, match="has no subfolder 'train'"):
        data.load(alone / "plain", split="train")


def test_sizes_of_a_folder(alone):
    picture(alone / "set" / "a.png", size=(12, 9))
    picture(alone / "set" / "b.png", size=(20, 9))
    with pytest.raises(ValueError, match=r"differ in size \(\(9, 12\), \(9, 20\), ...\); give size=224"):
        data.load(alone / "set")
    assert data.load(alone / "set", size=16).x.shape == (2, 3, 16, 16)
    with pytest.raises(ValueError, match="unknown resize mode"):
        data.load(alone / "set", size=16, resize="stretch")
    with pytest.raises(ValueError, match="size must be"):
        data.load(alone / "set", size=0)
    with pytest.raises(ValueError, match="size must be an integer of at least 1 and at most 4096, got 1000000"):
        data.load(alone / "set", size=10**6)


@pytest.mark.parametrize("name", [None, 5, b"digits"])
def test_what_is_no_name_is_refused(alone, name):
    with pytest.raises(TypeError, match=r"name of a set must be one of .*, got"):
        data.load(name)


def test_no_name_is_not_the_current_folder(alone, monkeypatch):
    picture(alone / "a.png")
    monkeypatch.chdir(alone)
    assert len(data.load(".")) == 1
    with pytest.raises(ValueError, match="unknown data set ''"):
        data.load("")


def test_crop_loses_the_margins_and_squash_keeps_them(alone):
    wide = np.zeros((256, 512, 3), np.uint8)
    wide[:, :16] = 255  # a white stripe at the left
    (alone / "set").mkdir()
    Image.fromarray(wide).save(alone / "set" / "a.png")
    assert data.load(alone / "set", size=224, resize="crop").x.max() == 0
    for mode, edge in (("squash", 7), ("squash256", 0)):
        x = data.load(alone / "set", size=224, resize=mode).x[0, 0]
        assert (x[:, 0] > 0.9).all() == (edge > 0)
        assert x[:, 20:].max() < 0.1
    crop = data.load(alone / "set", size=224, resize="crop").x
    middle = torch.from_numpy(wide).permute(2, 0, 1)[None, :, 16:240, 144:368].float() / 255
    assert torch.equal(crop, middle)  # a short side of 256 is cropped, not resampled


def test_damaged_and_missing_pictures_are_named(alone):
    picture(alone / "set" / "a.png", size=(64, 64))
    path = alone / "set" / "b.jpg"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"b\.jpg is damaged or not a picture"):
        data.load(alone / "set")
    (alone / "empty").mkdir()
    with pytest.raises(ValueError, match="'empty' holds no pictures"):
        data.load(alone / "empty")
    picture(alone / "set" / "sub" / "c.png")
    with pytest.raises(ValueError, match="mixes pictures with folders"):
        data.load(alone / "set")


def test_only_the_asked_files_are_decoded(alone, monkeypatch):
    for i in range(12):
        picture(alone / "set" / f"{i:02d}.png", (i, i, i))
    opened, lock, read = [], threading.Lock(), folder.read

    def counted(path, resize, upright):
        with lock:
            opened.append(path.name)
        return read(path, resize, upright)

    monkeypatch.setattr(folder, "read", counted)
    loaded = data.load(alone / "set", n=3, seed=5)
    assert len(opened) == 3
    assert [f"{round(float(x[0, 0, 0]) * 255):02d}.png" for x in loaded.x] == data_order(12, 3, 5)
    flow = iter(data.stream(alone / "set", batch_size=4))
    next(flow)
    assert len(opened) == 7


def data_order(count, n, seed):
    from uapkit.seeds import generator

    return [f"{int(i):02d}.png" for i in torch.randperm(count, generator=generator(seed, "data.load"))[:n]]


def wnids():
    return [f"n{k:08d}" for k in range(1000, 2000)]


@pytest.mark.parametrize("flat", [False, True])
def test_imagenet_sample_in_both_layouts(alone, flat):
    first = alone / "imagenet-sample" / (f"{wnids()[0]}_x.png" if flat else f"{wnids()[0]}/x.png")
    picture(first, "white", size=(8, 8))
    for k, wnid in enumerate(wnids()[1:], 1):
        path = alone / "imagenet-sample" / (f"{wnid}_x.png" if flat else f"{wnid}/x.png")
        path.parent.mkdir(exist_ok=True)
        os.link(first, path) if k != 7 else picture(path, "black", size=(8, 8))
    loaded = data.load("imagenet-sample", root=alone, size=8)
    assert loaded.y.tolist() == list(range(1000))
    assert (loaded.classes[0], loaded.classes[281], loaded.classes[999]) == ("tench", "tabby", "toilet tissue")
    assert (loaded.x.amax((1, 2, 3)) == 0).nonzero().flatten().tolist() == [7]
    assert data.load("imagenet-sample", root=alone, n=2).shape == (3, 224, 224)


def test_a_part_of_imagenet_is_not_taken_for_the_whole(alone):
    picture(alone / "imagenet-sample" / "n01440764" / "x.png")
    with pytest.raises(ValueError, match="holds 1 classes; a class index needs all 1000"):
        data.load("imagenet-sample", root=alone)
    part = data.load(alone / "imagenet-sample")  # by its path, with ImageNet's labels
    assert (part.y.tolist(), part.classes[0], len(part.classes)) == ([0], "tench", 1000)


@pytest.mark.parametrize("name", ["imagenet", "imagenet-sample"])
def test_photographs_that_are_not_here_are_asked_for(alone, name):
    with pytest.raises(FileNotFoundError, match=rf"'{name}' is not here.*below \$UAPKIT_DATA"):
        data.load(name, root=alone)


def test_imagenet_validation_flat_with_val_txt(alone):
    for i, colour in enumerate(["red", "black", "white"], 1):
        picture(alone / "imagenet" / "val" / f"ILSVRC2012_val_{i:08d}.JPEG", colour)
    with pytest.raises(FileNotFoundError, match=r"has no labels.*val\.txt"):
        data.load("imagenet", root=alone)
    lines = "\n".join(f"ILSVRC2012_val_{i:08d}.JPEG {label}" for i, label in ((3, 9), (1, 65), (2, 970)))
    (alone / "imagenet" / "val.txt").write_text(lines)
    loaded = data.load("imagenet", root=alone, split="val")
    assert loaded.y.tolist() == [65, 970, 9]
    assert loaded.classes[9] == "ostrich"
    (alone / "imagenet" / "val.txt").write_text(lines.splitlines()[0])
    with pytest.raises(ValueError, match=r"no label for ILSVRC2012_val_00000001.JPEG \(2 such files\)"):
        data.load("imagenet", root=alone)
    (alone / "imagenet" / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG 1000")
    with pytest.raises(ValueError, match=r"class index in \[0, 999\]"):
        data.load("imagenet", root=alone)


def test_imagenet_validation_flat_with_the_development_kit(alone):
    for i in (1, 2):
        picture(alone / "imagenet" / "val" / f"ILSVRC2012_val_{i:08d}.JPEG")
    kit = alone / "imagenet" / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n")
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("num_children", object)]
    rows = [(1, "n03", 0), (2, "n02", 0), (3, "n01", 0), (4, "n00", 2)]  # the last is no leaf
    savemat(kit / "meta.mat", {"synsets": np.array(rows, dtype=fields)})
    assert imagenet._truth(alone / "imagenet" / "val")["ILSVRC2012_val_00000001.JPEG"] == 1
    assert data.load("imagenet", root=alone).y.tolist() == [1, 0]


def test_pictures_are_free_and_named():
    pytest.importorskip("skimage")
    table = data.pictures()
    assert list(table.columns) == ["name", "licence", "author", "source"]
    assert table.notna().all(axis=None)
    assert set(table.licence) <= {"CC0 1.0", "public domain", "CC BY 2.0"}
    loaded = data.load("pictures")
    assert loaded.x.shape == (len(table), 3, 224, 224)
    assert loaded.y is None
    china = Image.fromarray(__import__("sklearn.datasets").datasets.load_sample_image("china.jpg"))
    squashed = torch.from_numpy(np.array(china.resize((64, 64), Image.Resampling.BICUBIC))).permute(2, 0, 1) / 255
    assert torch.equal(data.load("pictures", size=64, resize="squash").x[list(table.name).index("china")], squashed)


def test_pictures_without_scikit_image_say_what_to_install(monkeypatch):
    from uapkit.data import embedded

    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'uapkit\[book\]'"):
        data.load("pictures")
    assert not data.status().set_index("name").loc["pictures", "here"]


def test_other_sizes_of_small_sets():
    whole = data.load("digits", n=3, rotation=0)
    assert torch.equal(data.load("digits", n=3, rotation=0, size=32).x, whole.resized(32, "squash").x)


@needs
def test_real_photographs():
    few, more = data.load("imagenet-sample", n=4), data.load("imagenet-sample", n=6)
    assert torch.equal(few.x, more.x[:4])
    assert few.shape == (3, 224, 224)
    assert open_source("imagenet-sample").labels.tolist() == list(range(1000))
