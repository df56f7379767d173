"""Other people's folders, pictures and loaders: right, or refused in one sentence."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

from uapkit import attacks, data, evaluate, models
from uapkit.data import decode
from uapkit.data.folder import categories, resizer, wordnet_places
from uapkit.data.images import resize_steps


def put(path, array=None, mode=None, **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full((8, 8, 3), 128, np.uint8) if array is None else array
    (Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)).save(path, **save)
    return path


def test_the_ids_are_imagenets():
    place = wordnet_places()
    assert len(place) == 1000
    assert list(place) == sorted(place)
    names = categories()
    known = {
        "n01440764": "tench",
        "n02102040": "English springer",
        "n03394916": "French horn",
        "n15075141": "toilet tissue",
    }
    assert all(names[place[wnid]] == name for wnid, name in known.items())


@pytest.mark.parametrize("flat", [False, True])
def test_some_classes_by_their_wordnet_ids_have_imagenets_labels(tmp_path, flat):
    for wnid in ("n02102040", "n03394916", "n01440764"):
        put(tmp_path / (f"{wnid}_a.png" if flat else f"{wnid}/a.png"))
    images = data.load(tmp_path)
    assert images.y.tolist() == [0, 217, 566]
    assert [images.classes[k] for k in images.y] == ["tench", "English springer", "French horn"]


def test_ids_that_imagenet_does_not_have_are_said(tmp_path):
    for wnid in ("n01440764", "n99999999"):
        put(tmp_path / wnid / "a.png")
    with pytest.warns(UserWarning, match="n99999999.* is none of ImageNet's"):
        assert data.load(tmp_path).y.tolist() == [0, 1]


def test_nested_classes_are_walked_and_empty_ones_refused(tmp_path):
    put(tmp_path / "cat" / "2020" / "june" / "a.png")
    put(tmp_path / "cat" / "b.png")
    put(tmp_path / "dog" / "c.png")
    images = data.load(tmp_path)
    assert (images.y.tolist(), images.classes) == ([0, 0, 1], ("cat", "dog"))
    (tmp_path / "bird").mkdir()
    with pytest.raises(ValueError, match=r"no pictures of the class 'bird'.* would shift"):
        data.load(tmp_path)


def test_numbered_classes_whose_order_is_not_that_of_the_numbers_are_said(tmp_path):
    for label in ("0", "1", "2", "10"):
        put(tmp_path / "a" / label / "a.png")
        put(tmp_path / "b" / label.zfill(2) / "a.png")
    with pytest.warns(UserWarning, match="label 2 means '10'"):
        assert data.load(tmp_path / "a").classes == ("0", "1", "10", "2")
    assert data.load(tmp_path / "b").classes == ("00", "01", "02", "10")


def test_links_are_followed_but_not_in_circles(tmp_path):
    put(tmp_path / "here" / "cat" / "a.png")
    put(tmp_path / "elsewhere" / "more" / "b.png")
    (tmp_path / "here" / "cat" / "loop").symlink_to(tmp_path / "here")
    (tmp_path / "here" / "dog").symlink_to(tmp_path / "elsewhere")
    images = data.load(tmp_path / "here")
    assert (images.classes, images.y.tolist()) == (("cat", "dog"), [0, 1])


def test_labels_that_mean_something_else_to_the_network_are_said():
    x = torch.zeros(4, 1, 2, 2)
    images = data.Images(x, torch.tensor([0, 0, 1, 1]), ("cat", "dog"))
    sure = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(sure[1].weight)
    sure[1].bias.data = torch.tensor([1.0, 0.0])  # always class 0
    twisted = models.wrap(sure, classes=("dog", "cat"))
    with pytest.raises(
        ValueError, match=r"label 0 means 'cat' to the images and 'dog' to the network; images\.matched"
    ):
        evaluate.error_rate(twisted, images)
    matched = images.matched(twisted.classes)
    assert matched.y.tolist() == [1, 1, 0, 0]
    assert float(evaluate.error_rate(twisted, matched)) == 0.5
    assert float(evaluate.error_rate(twisted, images, y=images.y)) == 0.5  # labels as they are
    with pytest.warns(UserWarning, match="label 0 means 'cat' to the images and 'chat'"):
        evaluate.error_rate(models.wrap(sure, classes=("chat", "chien")), images)
    with pytest.raises(ValueError, match="unknown class 'cat'"):
        images.matched(("chat", "chien"))
    part = data.Images(x, torch.tensor([0, 0, 1, 1]), ("cat", "dog", "emu"))
    with pytest.warns(UserWarning, match="3 classes and the network 2"):
        evaluate.error_rate(models.wrap(sure), part)


GREY16 = (np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040).astype(np.uint16)


@pytest.mark.parametrize(("name", "array", "mean"), [
    ("a.png", GREY16, GREY16.mean() / 65535),
    ("a.tif", GREY16, GREY16.mean() / 65535),
    ("a.tiff", (GREY16 / 65535).astype(np.float32), GREY16.mean() / 65535),
    ("a.gif", np.full((8, 8), 51, np.uint8), 0.2),
    ("a.png", np.full((8, 8), 51, np.uint8), 0.2),
    ("a.png", np.full((8, 8, 4), 255, np.uint8), 1.0),
    ("a.bmp", np.full((8, 8, 3), 51, np.uint8), 0.2),
])  # fmt: skip
@pytest.mark.parametrize("size", [None, 4])
def test_pictures_of_every_depth_have_their_brightness(tmp_path, name, array, mean, size):
    put(tmp_path / name, array)
    images = data.load(tmp_path, size=size, resize=None if size is None else "squash")
    assert images.x.shape == (1, 3, size or 8, size or 8)
    assert float(images.x.mean()) == pytest.approx(mean, abs=2e-3)


def png16(path, values, colour, clear=None):
    """A PNG of 16 bits a channel by hand, since Pillow writes none in colour. clear: the value that is transparent."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    h, w = values.shape[:2]
    rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in values))
    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 16, colour, 0, 0, 0)),
        chunk(b"IDAT", rows),
        chunk(b"IEND", b""),
    ]
    if clear is not None:
        parts.insert(1, chunk(b"tRNS", np.array(clear, ">u2").tobytes()))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def tiff(path, values, photometric, bits=16, planes=1, packed=False, order="<", kind=1):
    """A TIFF of one strip by hand."""
    h, w, c = values.shape
    content = values.astype(values.dtype.newbyteorder(order)).tobytes()
    content = zlib.compress(content) if packed else content
    fields = [
        (256, w),
        (257, h),
        (258, bits),
        (259, 8 if packed else 1),
        (262, photometric),
        (273, 0),
        (277, c),
        (278, h),
    ]
    fields += [(279, len(content)), (284, planes), (339, kind)]
    start = 8 + 2 + 12 * len(fields) + 4
    more = {k: struct.pack(f"{order}{c}H", *[v] * c) for k, v in fields if k in (258, 339) and c > 2}
    place = {k: start + sum(map(len, list(more.values())[:i])) for i, k in enumerate(more)}
    data_at = start + sum(map(len, more.values()))
    out = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(fields))
    for k, v in fields:
        if k in more:
            out += struct.pack(f"{order}HHII", k, 3, c, place[k])
        elif k in (258, 259, 262, 277, 284, 339):
            out += struct.pack(f"{order}HHIHH", k, 3, 1, v, 0)
        else:
            out += struct.pack(f"{order}HHII", k, 4, 1, data_at if k == 273 else v)
    path.write_bytes(out + bytes(4) + b"".join(more.values()) + content)
    return path


def colours16(c=3):
    return np.random.default_rng(0).integers(0, 2**16, (5, 7, c), dtype=np.uint16)


def read(path, upright=True):
    return decode.read(path, lambda image: image, upright).permute(1, 2, 0).numpy()


def scaled(values, top=65535):
    return values.astype(np.float32) / np.float32(top)


def test_colour_of_16_bits_keeps_its_depth(tmp_path):
    x, layouts = colours16(), [(order, packed) for order in "<>" for packed in (False, True)]
    assert np.array_equal(read(png16(tmp_path / "a.png", x, 2)), scaled(x))
    for order, packed in layouts:
        found = read(tiff(tmp_path / "a.tif", x, 2, packed=packed, order=order))
        assert np.array_equal(found, scaled(x)), (order, packed)
    for top in (65535, 1023):
        (tmp_path / "a.ppm").write_bytes(b"P6 7 5 %d\n" % top + np.minimum(x, top).astype(">u2").tobytes())
        assert np.array_equal(read(tmp_path / "a.ppm"), scaled(np.minimum(x, top), top))
    (tmp_path / "set").mkdir()
    png16(tmp_path / "set" / "a.png", np.full((9, 8, 3), 300, np.uint16), 2)
    small = data.load(tmp_path / "set", size=4).x
    assert small.shape == (1, 3, 4, 4)
    assert torch.allclose(small, torch.tensor(300 / 65535), atol=1e-7)


def test_bytes_written_as_16_bits_are_the_same_numbers(tmp_path):
    x = np.arange(256, dtype=np.uint16).reshape(16, 16)
    png16(tmp_path / "a.png", np.stack([x, x, x], -1) * 257, 2)
    Image.fromarray(np.stack([x, x, x], -1).astype(np.uint8)).save(tmp_path / "b.png")
    assert np.array_equal(read(tmp_path / "a.png"), read(tmp_path / "b.png"))


def test_transparent_pixels_of_16_bits_lie_on_white(tmp_path):
    grey, x, both = colours16(1), colours16(), colours16(4)
    for path, seen in [
        (png16(tmp_path / "grey.png", grey, 0, clear=grey[1, 2]), np.repeat(grey, 3, -1)),
        (png16(tmp_path / "colour.png", x, 2, clear=x[1, 2]), x),
    ]:
        with pytest.warns(UserWarning, match=f"{path.name} has transparent pixels; they are laid on white") as said:
            found = read(path)
        assert len(said) == 1
        expected = scaled(seen)
        expected[1, 2] = 1
        assert np.array_equal(found, expected), path.name
    for kind, seen in ((6, both), (4, both[..., [0, 0, 0, 3]])):
        values = both[..., [0, 1, 2, 3] if kind == 6 else [0, 3]]
        with pytest.warns(UserWarning, match="laid on white"):
            found = read(png16(tmp_path / "alpha.png", values, kind))
        opaque = scaled(seen[..., 3:])
        assert np.allclose(found, scaled(seen[..., :3]) * opaque + 1 - opaque, atol=1e-7)
        values[..., -1] = 65535
        assert np.array_equal(read(png16(tmp_path / "alpha.png", values, kind)), scaled(seen[..., :3]))


def test_colour_of_16_bits_is_upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    x = colours16()
    path = png16(tmp_path / "a.png", x, 2)
    exif = turned.tobytes()[6:]
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    path.write_bytes(path.read_bytes()[:33] + chunk + path.read_bytes()[33:])
    assert np.array_equal(read(path), np.rot90(scaled(x), -1))
    assert np.array_equal(read(path, upright=False), scaled(x))


@pytest.mark.parametrize("packed", [False, True])
def test_white_is_zero_in_every_depth(tmp_path, packed):
    x = colours16(1)
    for values, bits, kind, expected in [
        (x, 16, 1, 1 - x / 65535),
        ((x >> 8).astype(np.uint8), 8, 1, 1 - (x >> 8) / 255),
        (scaled(x), 32, 3, 1 - x / 65535),
    ]:
        found = read(tiff(tmp_path / "a.tif", values, 0, bits, packed=packed, kind=kind))
        assert np.allclose(found, np.repeat(expected, 3, -1), atol=1e-6), bits


def test_grey_of_12_bits_has_its_brightness(tmp_path):
    path = tiff(tmp_path / "a.tif", np.full((2, 4, 1), 0xFFFF, np.uint16), 1, bits=12)
    assert np.array_equal(read(path), np.ones((2, 4, 3)))


def test_deep_colour_in_other_layouts_is_refused(tmp_path):
    x = colours16()
    (tmp_path / "text.ppm").write_bytes(b"P3 1 1 1023\n512 512 512\n")
    for path in [
        tmp_path / "text.ppm",
        tiff(tmp_path / "planes.tif", x, 2, planes=2),
        tiff(tmp_path / "planes_packed.tif", x, 2, planes=2, packed=True),
        tiff(tmp_path / "cmyk.tif", colours16(4), 5),
    ]:
        with pytest.raises(
            ValueError, match=f"{path.name} has more than 8 bits a channel in a layout that is not read; save"
        ):
            read(path)


def test_a_tiff_with_an_empty_second_picture_is_damaged(tmp_path):
    path = tiff(tmp_path / "a.tif", colours16(), 2)
    content = path.read_bytes()
    after = 8 + 2 + 12 * 11  # where the file tells the place of the next picture
    path.write_bytes(content[:after] + struct.pack("<I", len(content)) + content[after + 4 :] + bytes(6))
    with pytest.raises(ValueError, match="damaged or not a picture"):
        read(path)


def test_pictures_in_text_are_read(tmp_path):
    for name, text, expected in (
        ("bits.ppm", "P1 2 1\n1 0\n", [0, 1]),
        ("grey.pgm", "P2 2 1 1023\n0 1023\n", [0, 1]),
        ("colour.ppm", "P3 1 1 255\n51 0 255\n", [[0.2, 0, 1]]),
    ):
        (tmp_path / name).write_text(text)
        assert np.allclose(read(tmp_path / name)[0], np.array(expected).reshape(len(expected), -1)), name


def test_crop_is_torchvisions_up_to_a_pixel(tmp_path):
    then = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    for width, height, ours, theirs in ((640, 427, 384, 383), (500, 331, 387, 386), (500, 375, 341, 341)):
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
        assert resize_steps(width, height, 224, "crop") == ((ours, 256), False)
        assert transforms.Resize(256)(image).size == (theirs, 256)
        image.save(tmp_path / "a.png")
        assert torch.equal(decode.read(tmp_path / "a.png", resizer(224, "crop")), then(image)) == (ours == theirs)
    for long in range(300, 1200):
        ((ours, _), _), theirs = resize_steps(long, 300, 224, "crop"), int(256 * long / 300)
        assert ours - theirs in (0, 1)
        assert abs((ours - 224) // 2 - round((theirs - 224) / 2)) <= 1


def test_an_avif_file_is_read_where_pillow_can(tmp_path):
    try:
        put(tmp_path / "a.avif", np.full((16, 16, 3), 51, np.uint8))
    except (OSError, KeyError, ValueError):
        pytest.skip("this Pillow writes no AVIF")
    assert float(data.load(tmp_path).x.mean()) == pytest.approx(0.2, abs=0.02)


def test_pictures_are_upright_and_transparent_ones_lie_on_white(tmp_path):
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, :4] = 255
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera stood on its side
    put(tmp_path / "a" / "a.png", wide, exif=turned)
    x = data.load(tmp_path / "a").x
    assert x.shape == (1, 3, 8, 4)
    assert bool((x[0, :, :4] == 1).all())
    assert bool((x[0, :, 4:] == 0).all())
    glass = np.zeros((8, 8, 4), np.uint8)  # black, but nothing of it is seen
    put(tmp_path / "b" / "glass.png", glass)
    with pytest.warns(UserWarning, match="glass.png has transparent pixels; they are laid on white"):
        assert float(data.load(tmp_path / "b").x.min()) == 1


def test_what_cannot_be_read_rightly_is_named(tmp_path):
    put(tmp_path / "a" / "dark.tif", np.full((8, 8), 300.0, np.float32))
    with pytest.raises(ValueError, match=r"dark\.tif has pixels from 300 to 300 on a scale"):
        data.load(tmp_path / "a")
    put(tmp_path / "b" / "a.png")
    (tmp_path / "b" / "photo.HEIC").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds \.heic files, which are not read"):
        data.load(tmp_path / "b")
    first, second = (Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (51, 255))
    (tmp_path / "c").mkdir()
    first.save(tmp_path / "c" / "a.gif", save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match=r"a\.gif holds 2 pictures; the first"):
        assert float(data.load(tmp_path / "c").x.mean()) == pytest.approx(0.2, abs=1e-3)


# batches


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 10)).eval()


@pytest.fixture(scope="module")
def x():
    return torch.rand(60, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def test_a_shuffling_loader_is_found_out(net, x):
    shuffled = DataLoader(x, 15, shuffle=True, generator=torch.Generator().manual_seed(0))
    for given in ({"x": shuffled}, {"x": x, "held_out": shuffled}):
        with pytest.raises(ValueError, match=r"holds other images than in the pass before.*shuffle=False"):
            attacks.uap(net, eps=0.05, **given)
    with pytest.raises(ValueError, match="other images"):
        evaluate.norm_sweep(net, shuffled, torch.ones(3, 4, 4), [0.1])
    with pytest.raises(ValueError, match="clean cannot be given beside batches"):
        evaluate.fooling_rate(net, shuffled, torch.ones(3, 4, 4), clean=evaluate.labels(net, x))
    one_pass = evaluate.fooling_rate(net, shuffled, 0.3 * torch.ones(3, 4, 4))  # each image beside its own label: right
    assert one_pass == evaluate.fooling_rate(net, x, 0.3 * torch.ones(3, 4, 4))


def test_batches_in_every_form_are_the_same_images(net, x):
    y = torch.arange(60) % 10
    parts = [x[:20], x[20:40], x[40:]]
    forms = {
        "loader": DataLoader(x, 20),
        "pairs": DataLoader(TensorDataset(x, y), 20),
        "singles": DataLoader(TensorDataset(x), 20),
        "mappings": [{"pixel_values": p, "labels": y[:20]} for p in parts],
        "a function": lambda: iter(parts),
        "Images": [data.Images(p) for p in parts],
    }
    expected = attacks.uap(net, parts, eps=0.05, max_passes=2, held_out=x[:30])
    for name, form in forms.items():
        found = attacks.uap(net, form, eps=0.05, max_passes=2, held_out=form)
        assert torch.equal(found.v, expected.v), name
        assert torch.equal(evaluate.labels(net, form), evaluate.labels(net, x)), name
    assert evaluate.error_rate(net, forms["pairs"]) == evaluate.error_rate(net, x, y=y)
    with pytest.raises(ValueError, match="true labels are needed"):
        evaluate.error_rate(net, forms["loader"])


def test_what_is_no_batch_is_said(net, x):
    pairs = TensorDataset(x, torch.zeros(60))
    with pytest.raises(TypeError, match="put the data set into a DataLoader"):
        attacks.uap(net, [pairs[i] for i in range(3)])
    with pytest.raises(TypeError, match="one tensor of images"):
        attacks.uap(net, [(x, x)])
    with pytest.raises(TypeError, match="only once"):
        attacks.uap(net, iter([x]))
    with pytest.raises(ValueError, match="holds no images"):
        attacks.uap(net, [])


def test_labels_beside_other_integers_are_told_by_their_place_or_name(net, x):
    y, places = torch.arange(60) % 10, torch.arange(60)
    expected = evaluate.error_rate(net, x, y=y)
    assert evaluate.error_rate(net, DataLoader(TensorDataset(x, y, places), 20)) == expected
    assert evaluate.error_rate(net, [{"id": places, "image": x, "label": y}]) == expected
    with pytest.raises(ValueError, match="true labels are needed"):
        evaluate.error_rate(net, [{"id": places, "image": x, "kind": y}])


def test_what_one_perturbation_cannot_be_for_is_said(net, x, tmp_path):
    with pytest.raises(ValueError, match=r"one shape for one v, got \(3, 4, 4\) and \(3, 5, 5\)"):
        attacks.uap(net, [x, torch.rand(2, 3, 5, 5)], eps=0.1)
    with pytest.raises(TypeError, match="TensorDataset; put the data set into a DataLoader"):
        attacks.uap(net, TensorDataset(x), eps=0.1)
    with pytest.raises(OSError, match="checkpoint must be a file"):
        attacks.uap(net, x, eps=0.1, checkpoint=tmp_path)
    with pytest.raises(TypeError, match="a layer is named by a text, such as 'logits', got int"):
        attacks.singular_uap(models.wrap(net), x, layer=1)
    with pytest.warns(UserWarning, match="on the scale of 0 to 255 divide mean and std by 255"):
        models.wrap(net, mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4])


def test_the_shape_and_the_labels_that_people_have(net, x):
    v = 0.2 * torch.ones(3, 4, 4)
    y = evaluate.labels(net, x)
    assert evaluate.fooling_rate(net, x, v[None]) == evaluate.fooling_rate(net, x, v)
    assert evaluate.fooling_rate(net, x, v[None], batch_size=7) == evaluate.fooling_rate(net, x, v)
    assert attacks.Perturbation(v[None], 0.2).v.shape == (3, 4, 4)
    for labels in (y.numpy(), y.tolist(), y.int(), y.numpy().astype(np.uint8)):
        assert evaluate.error_rate(net, x, y=labels).hits == 0
        assert evaluate.fooling_rate(net, x, v, clean=labels) == evaluate.fooling_rate(net, x, v)
    for wrong, words in [
        (y + 10, "labels from .* to .*, the network has the classes 0 to 9"),
        (y - 10, "the network has the classes 0 to 9"),
        (y.float(), "integer classes, got float32"),
        (y[:3], "one label an image"),
        (["cat"] * 60, "integer classes, got list of something else"),
        (np.eye(10)[y], "integer classes|one label an image"),
    ]:
        with pytest.raises(ValueError, match=words):
            evaluate.error_rate(net, x, y=wrong)


def test_eight_bits_can_undo_an_attack():
    x = torch.full((1, 1, 2, 2), 100 / 255)
    v = torch.full((1, 2, 2), 0.4 / 255)  # less than half a grey level

    class Above(nn.Module):
        def forward(self, x):
            s = x.mean((1, 2, 3)) - 100.2 / 255
            return torch.stack([-s, s], 1)

    net = Above()
    assert float(evaluate.fooling_rate(net, x, v)) == 1
    assert float(evaluate.fooling_rate(net, x, v, bits=8)) == 0
    assert float(evaluate.fooling_rate(net, x, v, bits=16)) == 1
    assert float(evaluate.error_rate(net, x, v, y=[0], bits=8)) == 0
    assert evaluate.labels(net, x, 2 * v, bits=8).tolist() == [1]
    with pytest.raises(ValueError, match="bits"):
        evaluate.fooling_rate(net, x, v, bits=0)
