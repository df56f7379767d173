"""Arrays of numbers in MATLAB's .mat files (versions 5 to 7), read without anything that a damaged file could crash.

SciPy's reader follows the lengths that a file states, beyond its buffers: a few changed bytes end the process. Here every length
is held against what there is. Cells, structures, text and sparse matrices are passed over.

Source: MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from uapkit.files import LARGEST

TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MATRIX, COMPRESSED = 14, 15
NUMERIC = range(6, 16)  # classes of arrays: double, single, and integers of 8 to 64 bits
COMPLEX = 0x0800


def read(path: Path) -> dict[str, np.ndarray]:
    """{name: array} of the arrays of numbers in the file, as the types in which it stores them.

    ValueError for a file of another kind, a damaged one, or one that unpacks to more than :data:`uapkit.files.LARGEST`
    bytes; NotImplementedError for version 7.3, which is HDF5.
    """
    data = path.read_bytes()
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise ValueError("it is no MATLAB file of version 5 to 7; save it with -v7")
    order = "<" if data[126:128] == b"IM" else ">"
    version = int(np.frombuffer(data[124:126], f"{order}u2")[0])
    if version >> 8 == 2:
        raise NotImplementedError("version 7.3")
    found: dict[str, np.ndarray] = {}
    left = LARGEST
    for kind, content in _elements(data[128:], order, padded=False):
        if kind == COMPRESSED:
            packed = zlib.decompressobj()
            content = packed.decompress(content, left + 1)
            left -= len(content)
            if left < 0:
                raise ValueError(f"it unpacks to more than {LARGEST / 2**30:g} GiB")
            kind, content = next(_elements(content, order), (0, b""))
        if kind == MATRIX and (named := _array(content, order)) is not None:
            found |= dict([named])
    return found


def _elements(data: bytes, order: str, *, padded: bool = True) -> Iterator[tuple[int, bytes]]:
    """(type, content) of one element after the other. ValueError where one is longer than what is left."""
    place = 0
    while place + 8 <= len(data):
        first, size = (int(n) for n in np.frombuffer(data, f"{order}u4", 2, place))
        start = place + 8
        if first >> 16:  # a small one: type and length in one word, the content in the next
            first, size, start = first & 0xFFFF, first >> 16, place + 4
            if size > 4:
                raise ValueError(f"a small element claims {size} bytes")
        if size > len(data) - start:
            raise ValueError(f"an element claims {size} bytes, {len(data) - start} are there")
        yield first, data[start : start + size]
        place = place + 8 if start == place + 4 else start + size + (-size % 8 if padded else 0)


def _array(content: bytes, order: str) -> tuple[str, np.ndarray] | None:
    """(name, array) of a matrix, None where it is no array of numbers."""
    parts = list(_elements(content, order))
    if len(parts) < 4:
        raise ValueError("a matrix has flags, shape, name and values; some are missing")
    (_, flags), (_, dims), (_, name), *values = parts
    if len(flags) < 4:
        raise ValueError("a matrix without flags")
    word = int(np.frombuffer(flags, f"{order}u4", 1)[0])
    if word & 0xFF not in NUMERIC:
        return None
    shape = tuple(int(n) for n in np.frombuffer(dims, f"{order}i4"))
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"the shape {shape} is none")
    real, *imaginary = [_numbers(*part, order) for part in values[: 2 if word & COMPLEX else 1]]
    array = real + 1j * imaginary[0] if imaginary else real
    if array.size != math.prod(shape):
        raise ValueError(f"{array.size} numbers are there for the shape {shape}")
    return name.decode("latin-1"), array.reshape(shape, order="F")


def _numbers(kind: int, content: bytes, order: str) -> np.ndarray:
    if kind not in TYPES:
        raise ValueError(f"values of the unknown type {kind}")
    stored = np.frombuffer(content, f"{order}{TYPES[kind]}")
    return stored.astype(stored.dtype.newbyteorder("="))
