"""Our reader of .mat files against SciPy's, on files that SciPy reads without harm; and the file that it does not survive."""

import contextlib
import io

import numpy as np
import pytest
import scipy.sparse
from scipy.io import loadmat, savemat

from uapkit.attacks import Perturbation, matlab

DRAW = np.random.default_rng(0)


def written(path, content, **more):
    savemat(path, content, **more)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "c16", "?"])
def test_the_same_arrays_as_scipy(tmp_path, kind, packed):
    shapes = [(2, 3), (3, 4, 5), (1, 1), (2, 0), (1, 2, 3, 4)]
    content = {f"a{k}": (DRAW.standard_normal(s) * 50).astype(kind) for k, s in enumerate(shapes)}
    path = written(tmp_path / "a.mat", content, do_compression=packed)
    ours, theirs = matlab.read(path), loadmat(path)
    assert set(ours) == set(content)
    for name in content:
        assert ours[name].dtype == theirs[name].dtype
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_what_is_no_array_of_numbers_is_passed_over(tmp_path):
    content = {"cell": np.array([1, "x"], dtype=object), "s": {"a": 1}, "text": "words", "r": np.eye(2)}
    path = written(tmp_path / "a.mat", content | {"sparse": scipy.sparse.eye(3).tocsc()})
    assert list(matlab.read(path)) == ["r"]


def test_files_of_the_other_byte_order():
    """By hand: the array [[1.5, -2]] named v, most significant byte first."""

    def element(kind, data):
        return kind.to_bytes(4) + len(data).to_bytes(4) + data + bytes(-len(data) % 8)

    parts = element(6, (6).to_bytes(4) + bytes(4)) + element(5, (1).to_bytes(4) + (2).to_bytes(4))
    parts += b"\0\x01\0\x01v\0\0\0" + element(9, np.array([1.5, -2.0], dtype=">f8").tobytes())
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\0MI"
    data = head + element(14, parts)
    np.testing.assert_array_equal(loadmat(io.BytesIO(data))["v"], [[1.5, -2.0]])

    class File:
        read_bytes = staticmethod(lambda: data)

    np.testing.assert_array_equal(matlab.read(File)["v"], [[1.5, -2.0]])


def test_other_versions_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="save it with -v7"):
        Perturbation.from_array(written(tmp_path / "a.mat", {"v": np.eye(3)}, format="4"))
    (tmp_path / "b.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\x02IM" + bytes(64))
    with pytest.raises(ValueError, match="which is HDF5; save it with -v7"):
        Perturbation.from_array(tmp_path / "b.mat")


def test_every_byte_of_a_file_may_be_any_other(tmp_path):
    """Found by fuzzing: of files like these SciPy's reader has ended the process, by a length that leads out of its buffer."""
    whole = written(tmp_path / "a.mat", {"v": np.arange(6.0).reshape(2, 3)}).read_bytes()
    for place in range(124, len(whole)):
        for value in (0, 1, 5, 8, 127, 128, 255):
            changed = whole[:place] + bytes([value]) + whole[place + 1 :]
            (tmp_path / "b.mat").write_bytes(changed)
            with contextlib.suppress(ValueError, NotImplementedError):
                assert all(array.size <= 48 for array in matlab.read(tmp_path / "b.mat").values())
