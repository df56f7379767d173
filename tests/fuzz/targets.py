"""What the fuzzer feeds: readers of files that strangers have written, and the parser of parameters.

A target takes any bytes. It returns, or refuses them by the error that the reader promises, in one line; anything else that
is raised, and a run that takes long or much memory, is a find.
"""

import copy
import gzip
import io
import json
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save as save_safetensors
from scipy.io import savemat

from uapkit.attacks import Perturbation
from uapkit.classroom import mend, notebooks
from uapkit.data import decode, idx
from uapkit.files import gunzip
from uapkit.lab import stored
from uapkit.models import store
from uapkit.runner import execute, given, items

V = np.linspace(-0.02, 0.03, 3 * 4 * 4, dtype=np.float32).reshape(3, 4, 4)
FOLDER = tempfile.TemporaryDirectory(prefix="fuzz", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


def saved(writer, *arguments, **more):
    buffer = io.BytesIO()
    writer(buffer, *arguments, **more)
    return buffer.getvalue()


def refused(act, *errors):
    """Do it; the errors that are promised must say what is wrong in one line."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return act()
        except errors as error:
            said = str(error)
    assert said, "an error without words"
    assert "\n" not in said, f"an error of several lines: {said!r}"
    return None


def file(suffix, data):
    path = Path(FOLDER.name) / f"input{suffix}"
    path.write_bytes(data)
    return path


def _array(suffix):
    def target(data):
        path = file(suffix, data)
        found = refused(lambda: Perturbation.from_array(path, scale=1), ValueError, TypeError)
        assert found is None or (found.v.ndim in (3, 4) and found.v.dtype == torch.float32)

    return target


def _weights(suffix):
    def target(data):
        path = file(suffix, data)
        refused(lambda: store.read_state(path), ValueError)

    return target


def perturbation(data):
    """Our own files."""
    path = file(".own.safetensors", data)
    refused(lambda: Perturbation.load(path), ValueError, TypeError)


def picture(data):
    path = file(".png", data)
    refused(lambda: decode.read(path, lambda image: image), ValueError)


def mnist(data):
    refused(lambda: idx._parse(Path("x-idx3-ubyte"), data), ValueError)


def unpacked(data):
    refused(lambda: gunzip(data, largest=2**20), ValueError, OSError, EOFError, __import__("zlib").error)


def kept(data):
    """An entry of the cache: damaged ones are passed over."""
    path = file(".kept.npz", data)
    refused(lambda: stored.read(path), stored.Unreadable)


@cache
def _item():
    return next(iter(items().values()))


def parameters(data):
    """What is typed after -p, and a notebook's parameters."""
    pairs = data.decode("utf-8", "replace").split("\0")
    found = refused(lambda: given.parameters(pairs), ValueError)
    if found is not None:
        refused(lambda: execute.check_parameters(_item(), found), ValueError)


@cache
def _released():
    return notebooks.student_version(notebooks.read("a1_linear"))


def submission(data):
    """A notebook that a student has handed in."""
    path = file(".ipynb", data)
    found, reason = mend.unreadable(path, "a1_linear", _released())
    assert (found is None) == bool(reason)
    assert "\n" not in reason
    if found is not None:
        mend.mended(found, _released())


ODD = (None, True, 0, -1, 1e308, "", "x", "\0", "é" * 99, [], ["a"], [[]], {}, {"grade_id": []}, {"nbgrader": "x"})


@cache
def _small():
    """A released notebook of a few cells of each kind: what is read in a moment can be changed in thousands of ways."""
    whole = _released()
    kept = [cell for k, cell in enumerate(whole.cells) if mend.key(cell) or k < 2][:9]
    return json.dumps({**whole, "cells": kept})


def cells(data):
    """A hand-in that is whole as JSON, with parts of its cells gone, twice there, or of another kind: three bytes a change."""
    changed = json.loads(_small())
    for which, where, what in zip(data[::3], data[1::3], data[2::3], strict=False):
        if not changed["cells"]:
            break
        place = which % len(changed["cells"])
        cell, action = changed["cells"][place], what % (len(ODD) + 4)
        if not isinstance(cell, dict) or action == len(ODD):
            del changed["cells"][place]
        elif action == len(ODD) + 1:
            changed["cells"].insert(where % len(changed["cells"]), json.loads(json.dumps(cell)))
        else:
            about = cell.get("metadata")
            inner = about.get("nbgrader") if isinstance(about, dict) else None
            spots = [(part, key) for part in (cell, about, inner) if isinstance(part, dict) for key in part]
            part, key = spots[where % len(spots)] if spots else (changed["cells"], place)
            if action == len(ODD) + 2 and isinstance(part, dict):
                del part[key]
            else:
                part[key] = copy.deepcopy(ODD[action % len(ODD)])
    submission(json.dumps(changed).encode())


TARGETS = {
    "npy": _array(".npy"),
    "npz": _array(".npz"),
    "mat": _array(".mat"),
    "pt": _array(".pt"),
    "safetensors": _array(".safetensors"),
    "weights pth": _weights(".pth"),
    "weights safetensors": _weights(".safetensors"),
    "perturbation": perturbation,
    "picture": picture,
    "idx": mnist,
    "gzip": unpacked,
    "cache entry": kept,
    "parameters": parameters,
    "notebook": submission,
    "cells of a notebook": cells,
}


def seeds(name):
    """Innocent inputs, from which the fuzzer begins."""
    state = {"v": torch.from_numpy(V)}
    arrays = {
        "npy": [
            saved(np.save, V),
            saved(np.save, np.asfortranarray(V[0])),
            saved(np.save, np.arange(12).reshape(3, 4)),
        ],
        "npz": [saved(np.savez_compressed, v=V), saved(np.savez, a=V, b=V)],
        "mat": [saved(savemat, {"v": V}), saved(savemat, {"v": V, "w": [[1]]}, do_compression=True)],
        "pt": [saved(lambda b: torch.save(state["v"], b))],
        "safetensors": [save_safetensors({"v": V})],
        "weights pth": [
            saved(lambda b: torch.save(state, b)),
            saved(lambda b: torch.save({"state_dict": state}, b, _use_new_zipfile_serialization=False)),
        ],
        "weights safetensors": [save_safetensors({"module.v": V})],
        "idx": [b"\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02" + bytes(4), b"\0\0\x08\x01\0\0\0\x03abc"],
        "gzip": [gzip.compress(bytes(99)), gzip.compress(b"")],
    }
    if name in arrays:
        return arrays[name]
    if name == "picture":
        image = Image.fromarray((np.arange(8 * 8 * 3) % 251).astype(np.uint8).reshape(8, 8, 3))
        return [saved(image.save, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")]
    if name == "perturbation":
        path = Path(FOLDER.name) / "seed.safetensors"
        Perturbation(torch.from_numpy(V), 0.1).save(path)
        return [path.read_bytes()]
    if name == "cache entry":
        path = Path(FOLDER.name) / "seed.npz"
        stored.write(path, {"rate": 0.5, "v": V, "made": (1, [None, "x"])}, {"inputs": {}, "seconds": 1.0})
        return [path.read_bytes()]
    if name == "parameters":
        return [
            b"n_fit=16",
            b"models=[vgg16, net[tag]]\0p=inf\0eps=1e-3",
            b"layers={vgg16: [a, b]}",
            b"x='a",
            b"seed=0x1f",
        ]
    if name == "cells of a notebook":
        return [bytes(9), bytes(range(1, 100))]
    return [_small().encode()[:8000], b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}']
