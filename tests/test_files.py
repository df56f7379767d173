"""Files are written whole or not at all."""

import pytest

from uapkit.files import write_whole


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_whole(path, b"old")

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("uapkit.files.os.fsync", full)
    with pytest.raises(OSError, match=r"table\.csv could not be written \(No space left on device\)"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"], "no half-written file stays"


def test_read_only_place_is_one_sentence(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(OSError, match=r"a\.csv could not be written"):
        write_whole(blocker / "a.csv", b"x")
