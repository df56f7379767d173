"""Files made to do harm: code inside, bombs, claims of a billion pixels, cut off anywhere, bytes changed anywhere.

Each reader answers with an array or with one sentence, runs nothing, and takes neither memory nor time for it.
"""

import contextlib
import gzip
import io
import json
import os
import pickle  # noqa: TID251 - to make files that must be refused
import random
import resource
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save as save_safetensors
from scipy.io import savemat

from uapkit import attacks, data, models
from uapkit.attacks import Perturbation
from uapkit.attacks.foreign import SUFFIXES
from uapkit.data import decode, idx, source
from uapkit.files import gunzip, refuse_bomb
from uapkit.models import store
from uapkit.runner import results

V = np.linspace(-0.02, 0.03, 3 * 6 * 6, dtype=np.float32).reshape(3, 6, 6)


def saved(writer, *arguments, **more):
    buffer = io.BytesIO()
    writer(buffer, *arguments, **more)
    return buffer.getvalue()


def contents():
    """An innocent file of every kind."""
    return {
        ".npy": saved(np.save, V),
        ".npz": saved(np.savez_compressed, v=V),
        ".mat": saved(savemat, {"v": V}, do_compression=True),
        ".pt": saved(lambda b, v: torch.save(v, b), torch.from_numpy(V)),
        ".pth": saved(lambda b, v: torch.save(v, b), {"v": torch.from_numpy(V)}),
        ".safetensors": save_safetensors({"v": V}),
    }


def reads(path):
    """The perturbation in a file, or the sentence that refuses it."""
    try:
        return Perturbation.from_array(path, scale=1)
    except (ValueError, TypeError) as error:
        said = str(error)
    assert said
    assert "\n" not in said
    return None


class Bomb:
    """Unpickled it would make a file."""

    def __reduce__(self):
        return os.system, (f"touch {os.environ['UAPKIT_WITNESS']}",)


@pytest.fixture
def witness(tmp_path, monkeypatch):
    path = tmp_path / "code was run"
    monkeypatch.setenv("UAPKIT_WITNESS", f"'{path}'")
    yield path
    assert not path.exists(), "code in a file was run"


def test_the_witness_sees_code_that_runs(tmp_path, monkeypatch):
    path = tmp_path / "seen"
    monkeypatch.setenv("UAPKIT_WITNESS", str(path))
    pickle.loads(pickle.dumps(Bomb()))
    assert path.exists()


def test_every_kind_of_file_is_among_the_innocent_ones(tmp_path):
    assert set(contents()) == set(SUFFIXES)
    for suffix, content in contents().items():
        (path := tmp_path / f"v{suffix}").write_bytes(content)
        assert torch.allclose(reads(path).v, torch.from_numpy(V)), suffix


def test_code_inside_is_refused_without_running_it(tmp_path, witness):
    objects = np.empty(1, dtype=object)
    objects[0] = Bomb()
    hostile = {
        "a.npy": saved(np.save, objects, allow_pickle=True),
        "a.npz": saved(np.savez, v=objects),
        "a.pt": saved(lambda b, v: torch.save(v, b), {"v": Bomb()}),
        "a.pth": pickle.dumps(Bomb()),
        "old.pt": saved(lambda b, v: torch.save(v, b, _use_new_zipfile_serialization=False), Bomb()),
        "a.mat": pickle.dumps(Bomb()),
        "a.safetensors": pickle.dumps(Bomb()),
    }
    for name, content in hostile.items():
        (path := tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="does not hold plain arrays, or is damaged"):
            Perturbation.from_array(path)
        if path.suffix in (".pt", ".pth", ".safetensors"):
            with pytest.raises(ValueError, match=r"Python objects|no file of weights|holds no state dict"):
                models.load("mlp_digits", weights=path)


def test_a_script_that_torch_would_compile_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    assert reads(path) is None
    with pytest.raises(ValueError, match=r"a\.pt"):
        store.read_state(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cut_off_anywhere(tmp_path, suffix):
    whole, path = contents()[suffix], tmp_path / f"v{suffix}"
    for length in sorted({*range(0, min(len(whole), 60)), *range(0, len(whole), max(1, len(whole) // 40))}):
        path.write_bytes(whole[:length])
        found = reads(path)
        assert found is None or torch.allclose(found.v, torch.from_numpy(V)), length


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bytes_changed_anywhere(tmp_path, suffix):
    """Three hundred files with a few other bytes each."""
    draw, whole, path = random.Random(suffix), contents()[suffix], tmp_path / f"v{suffix}"
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        path.write_bytes(bytes(changed))
        reads(path)


ZEROS = 3 * 2**30  # bytes: three gigabytes, packed into three megabytes


def npz_bomb(path):
    """One member of zeros, as it would be written; the same packed block again and again, so that making it is quick."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (1, ZEROS)})
    block = bytes(2**26)
    pressed = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = pressed.compress(head.getvalue()) + pressed.flush(zlib.Z_FULL_FLUSH)
    zeros = pressed.compress(block) + pressed.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(head.getvalue())
    for _ in range(ZEROS // len(block)):
        raw, crc = raw + zeros, zlib.crc32(block, crc)
    raw += pressed.flush()
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("v.npy")
        member.compress_type, member.header_offset, member.CRC = zipfile.ZIP_DEFLATED, archive.fp.tell(), crc
        member.compress_size, member.file_size = len(raw), len(head.getvalue()) + ZEROS
        archive.fp.write(member.FileHeader() + raw)
        archive.start_dir = archive.fp.tell()
        archive.filelist.append(member)
        archive._didModify = True


def claims(path, shape):
    """A .npy file that claims a shape and holds nothing."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": shape})
    path.write_bytes(head.getvalue() + bytes(64))


def expanded(path):
    """One number in the shape of four tera: torch stores strides, so a small file claims any size."""
    torch.save(torch.zeros(1).expand(3, 2**20, 2**20), path)


def mat_bomb(path):
    """A compressed variable whose header claims 2^20 x 2^15 numbers."""
    small = saved(savemat, {"v": np.zeros((2, 2))})
    body = bytearray(small[128:])
    place = body.index(struct.pack("<ii", 2, 2))
    body[place : place + 8] = struct.pack("<ii", 2**20, 2**15)
    pressed = zlib.compress(bytes(body))
    path.write_bytes(small[:128] + struct.pack("<II", 15, len(pressed)) + pressed)


LIMITED = """
import resource, sys, time
from uapkit.attacks import Perturbation
resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30,) * 2)  # a fault must not take the machine with it
for path in sys.argv[1:]:
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        Perturbation.from_array(path)
        said = "read"
    except ValueError as error:
        said = f"refused: {error}"
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(more // 1024, round(time.process_time() - began, 1), said, sep="|")
"""

BOMBS = {
    "bomb.npz": npz_bomb,
    "claims.npy": lambda path: claims(path, (3, 2**20, 2**20)),
    "expanded.pt": expanded,
    "bomb.mat": mat_bomb,
}


@pytest.mark.slow
def test_bombs_are_refused_before_they_take_memory(tmp_path):
    for name, make in BOMBS.items():
        make(tmp_path / name)
        assert (tmp_path / name).stat().st_size < 20e6
    command = [sys.executable, "-c", LIMITED, *(str(tmp_path / name) for name in BOMBS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    for name, line in zip(BOMBS, done.stdout.splitlines(), strict=True):
        megabytes, seconds, said = line.split("|", 2)
        assert said.startswith("refused:"), (name, said)
        assert int(megabytes) < 300, (name, megabytes)
        assert float(seconds) < 5, (name, seconds)


def test_a_zip_that_says_how_large_it_is_is_believed_and_no_more(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v.npy", bytes(3000))
    refuse_bomb(path, largest=3000)
    with pytest.raises(ValueError, match=r"a\.npz unpacks to"):
        refuse_bomb(path, largest=2999)
    with pytest.raises(ValueError, match="more than"):
        gunzip(gzip.compress(bytes(3001)), largest=3000)
    assert gunzip(gzip.compress(bytes(3000)), largest=3000) == bytes(3000)


def test_an_idx_file_that_claims_more_than_it_holds(tmp_path):
    for head in (b"\0\0\x08\x03" + struct.pack(">III", 2**31, 2**31, 2), b"\0\0\x08\xff", b"\0\0\x0d\x01\0\0\0\1", b""):
        with pytest.raises(ValueError, match="is not a whole idx file"):
            idx._parse(tmp_path / "x", head + bytes(8))


def png(width, height, data=b""):
    """A picture that claims a size."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("billion.png", png(2**15, 2**15, bytes(2**20))),
        ("huge.png", png(2**31 - 1, 2**31 - 1)),
        ("empty.png", png(0, 0)),
        ("short.png", png(64, 64, bytes(10))),
        ("not.jpg", b"GIF89a" + bytes(3)),
        ("text.png", b"not a picture"),
        ("nothing.jpeg", b""),
        ("billion.bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 60, 0, 54, 40, 2**15, 2**15, 1, 24, 0, 0, 0, 0, 0, 0)),
        ("billion.ppm", b"P6 32768 32768 255\n" + bytes(99)),
    ],
)
def test_pictures_that_do_not_decode_or_claim_a_billion_pixels_are_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=f"{name} is damaged or not a picture"):
        decode.read(path, lambda image: image)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes"
    with pytest.raises(ValueError, match=name):
        data.load(str(tmp_path))


def test_a_picture_cut_off_anywhere(tmp_path):
    image = Image.fromarray((np.arange(32 * 32 * 3) % 251).astype(np.uint8).reshape(32, 32, 3))
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        whole, path = saved(lambda b, i, kind=kind: i.save(b, kind), image), tmp_path / f"a.{kind.lower()}"
        for length in range(0, len(whole), max(1, len(whole) // 25)):
            path.write_bytes(whole[:length])
            try:
                shape, said = decode.read(path, lambda image: image).shape, ""
            except ValueError as error:
                shape, said = None, str(error)
            assert shape == (3, 32, 32) or path.name in said


def test_archives_write_nowhere_else_and_no_devices(tmp_path, monkeypatch):
    """What unpacks the archives of data sets, after their checksum was found right: not even then."""
    outside = tmp_path / "outside"
    for name, kind in (
        ("../outside", None),
        (str(outside), None),
        ("link", tarfile.SYMTYPE),
        ("device", tarfile.CHRTYPE),
    ):
        member = tarfile.TarInfo(name)
        if kind:
            member.type, member.linkname = kind, str(outside)
        member.size = 0 if kind else 4
        archive = tmp_path / "a.tar"
        with tarfile.open(archive, "w") as tar:
            tar.addfile(member, io.BytesIO(b"evil"))
        into = tmp_path / "into"
        into.mkdir(exist_ok=True)
        with tarfile.open(archive) as tar, contextlib.suppress(tarfile.TarError):
            tar.extractall(into, filter="data")
        assert not outside.exists()
        assert not (into / "device").exists()


def test_no_archive_of_a_data_set_is_unpacked_without_the_filter():
    """All unpacking of the package, found in its text."""
    found = 0
    for path in (results.project_root() / "uapkit").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "extractall" in line or "unpack_archive" in line:
                found += 1
                assert 'filter="data"' in line, f"{path.name}: {line.strip()}"
    assert found >= 2


def test_a_wrong_archive_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))

    class Answer(io.BytesIO):
        headers = property(lambda self: {"Content-Length": "4"})

    monkeypatch.setattr(source.urllib.request, "urlopen", lambda *a, **k: Answer(b"evil"))
    with pytest.raises(ValueError, match="checksum expected"):
        source.download(["https://x/a.tar.gz"], tmp_path / "a.tar.gz", "0" * 32)
    assert not (tmp_path / "a.tar.gz").exists()


def test_perturbations_with_a_strange_head_are_refused(tmp_path):
    from safetensors.torch import save_file

    v = {"v": torch.zeros(3, 4, 4), "history": torch.zeros(2)}
    for about in (
        "",
        "[]",
        "{}",
        "null",
        '{"eps": "x", "norm": "y", "made_by": {}}',
        "{" * 2000,
        json.dumps({"eps": 1}),
    ):
        save_file(v, tmp_path / "a.safetensors", metadata={"uapkit.perturbation": about})
        with pytest.raises((ValueError, TypeError)) as caught:
            attacks.Perturbation.load(tmp_path / "a.safetensors")
        assert "\n" not in str(caught.value)
        assert str(caught.value)


def test_stored_arrays_hold_no_objects(tmp_path, witness):
    objects = np.empty(1, dtype=object)
    objects[0] = Bomb()
    (tmp_path / "a.npz").write_bytes(saved(np.savez, v=objects))
    with pytest.raises(ValueError, match="allow_pickle"):
        results.unpack(tmp_path / "a.npz")
