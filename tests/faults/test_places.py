"""A full disk, a clone and a cache that cannot be written, no network, no home, strange names, a clock that jumps."""

import os
import socket
import time
import warnings

import pandas as pd
import pytest

from tests.faults import jobs, places
from uapkit import files, lab, models, runner
from uapkit.book import stage
from uapkit.runner import catalogue, results, verified

NAME = jobs.NAME


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An empty project with the rig's item in the place of every item."""
    monkeypatch.setattr(catalogue.Item, "module", catalogue.Item.module)
    jobs.instead()
    return use(tmp_path / "project", monkeypatch)


def use(folder, monkeypatch):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    monkeypatch.setenv("UAPKIT_ROOT", str(folder))
    monkeypatch.setenv("UAPKIT_CACHE", str(folder / "cache"))
    return folder


def store(number):
    results.store(jobs.rows(number), runner.item(NAME), {"id": NAME, "params": {"number": number}})


def is_whole():
    """Which run is stored; it must be all of one run."""
    table = runner.load(NAME)
    number = table.attrs["provenance"]["params"]["number"]
    assert (table["fooling_rate"] == pd.Series(number / 8, table.index)).all()
    assert (table.attrs["arrays"]["v"] == float(number)).all()
    return number


def test_however_full_the_disk_is_a_save_is_whole_or_one_sentence(own):
    """Eighty runs are saved with from none to forty kilobytes left; what was saved before stays, what is reported is there."""

    def act():
        (own / "results").mkdir()
        places.small_disk(own / "results", 400)
        store(0)
        last, refused, saved = 0, 0, 0
        for number in range(1, 81):
            filler = places.fill(own / "results", leave=(number % 21) * 2048)
            said = ""
            try:
                store(number)
            except OSError as error:
                said = str(error)
            if said:
                refused += 1
                assert "could not be written (No space left on device)" in said
                assert is_whole() in (last, number)
            else:
                saved += 1
                assert is_whole() == number
            filler.unlink()
            last = is_whole()
            assert {p.suffix for p in (own / "results").rglob("*") if p.is_file()} == {".csv", ".json", ".npz"}
        return refused, saved

    refused, saved = places.apart(act)
    assert refused > 10
    assert saved > 10


def test_a_run_on_a_full_cache_goes_on_and_completes_later(own):
    def act():
        places.small_disk(own / "cache", 64)
        filler = places.fill(own / "cache", leave=4096)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            first = runner.run(NAME, save=True)
        assert [w for w in said if "could not be kept" in str(w.message) or "can be kept" in str(w.message)]
        filler.unlink()
        assert first.equals(runner.run(NAME, save=True))
        return len(runner.load(NAME))

    assert places.apart(act) == jobs.PARTS


def test_a_clone_and_a_cache_that_cannot_be_written_are_read_and_run(own):
    runner.run(NAME, save=True)
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}

    def act():
        places.read_only(own)
        stored = runner.load(NAME)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fresh = runner.run(NAME)
            parameters = runner.run(NAME, seed=1)
        with pytest.raises(OSError, match=r"no permission to write|could not be written"):
            runner.run(NAME, save=True)
        assert stored["fooling_rate"].equals(fresh["fooling_rate"])
        return len(stored), len(parameters)

    assert places.apart(act) == (jobs.PARTS, jobs.PARTS)
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file() and path in before} == before


def test_a_save_that_was_cut_off_is_read_in_a_clone_that_cannot_be_written(own, monkeypatch):
    store(1)
    monkeypatch.setattr(results, "_unfold", lambda *a: None)  # as if the process had ended after the journal
    store(2)
    monkeypatch.undo()
    use(own, monkeypatch)

    def act():
        places.read_only(own)
        return is_whole()

    assert places.apart(act) == 2
    assert is_whole() == 2
    assert not list(own.rglob("*.saving"))


def test_without_a_network_what_is_here_works_and_what_is_not_says_what_to_do(monkeypatch, tmp_path):
    """In a process without any network, and with sockets that raise."""
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("UAPKIT_DATA", raising=False)
    assert places.apart(_without_network, network=False) == "said"

    def blocked(*a, **k):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    assert _without_network() == "said"


def _without_network():
    assert len(jobs.runner.items()) > 50
    with pytest.raises(models.WeightsMissing, match=r"put .* into \$UAPKIT_DATA/weights"):
        models.load("vgg16")
    return "said"


def test_without_a_home_folder_one_sentence_says_what_to_set(monkeypatch, tmp_path):
    """As in a container under a number that no account has: HOME unset, nothing in the list of users."""
    for name in ("HOME", "UAPKIT_CACHE", "XDG_CACHE_HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH"):
        monkeypatch.delenv(name, raising=False)
    pwd = pytest.importorskip("pwd")

    def nobody(number):
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(FileNotFoundError, match="no home folder to keep anything in: set UAPKIT_CACHE"):
        files.cache_folder("kept")
    with files.alone(tmp_path / "x", "writes"):
        pass
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))
    assert files.cache_folder("kept") == tmp_path / "kept"


def test_names_with_spaces_quotes_and_letters_that_are_not_ascii(own, monkeypatch, tmp_path):
    folder = use(tmp_path / "Ünï 'côdé' 試し $HOME; rm" / "a clone", monkeypatch)
    first = runner.run(NAME, save=True)
    assert runner.run(NAME).attrs["provenance"]["kept"]["reused"] == jobs.PARTS
    assert runner.load(NAME)["fooling_rate"].tolist() == first["fooling_rate"].tolist()
    assert sorted(p.suffix for p in folder.glob("results/*/*")) == [".csv", ".json", ".npz"]
    verified.mark_stale(NAME, "Größe")
    assert runner.load(NAME).attrs["stale"] == "Größe"


@pytest.mark.parametrize("jump", [-86400.0 * 400, 86400.0 * 400])
def test_a_clock_that_jumps_while_a_run_is_made_and_saved(own, monkeypatch, jump):
    real, begun = time.time, []

    def jumping():
        begun.append(1)
        return real() + (jump if len(begun) % 2 else 0.0)

    monkeypatch.setattr(time, "time", jumping)
    table = runner.run(NAME, save=True)
    assert 0 <= table.attrs["provenance"]["seconds"] < 60
    for path in own.rglob("*"):  # and files of another century
        os.utime(path, (real() + jump, real() + jump))
    again = runner.run(NAME, save=True)
    assert again.attrs["provenance"]["kept"]["reused"] == jobs.PARTS
    assert is_table(runner.load(NAME), table)
    with lab.keeping(files.cache_folder("kept")) as memo:
        assert lab.keep(jobs.large, 1).sum() == 512 * 512
        assert lab.keep(jobs.large, 1).sum() == 512 * 512
        assert (memo.computed, memo.reused) == (1, 1)


def is_table(one, other):
    return one["fooling_rate"].tolist() == other["fooling_rate"].tolist()


def test_a_page_is_up_to_date_by_what_it_says_and_not_by_its_date(own, monkeypatch):
    made = {"item": NAME, "ok": True, "made_from": "x"}
    files.write_whole(stage.build_folder("status", f"{NAME}.json"), b"{}")
    stage.note(NAME, **made)
    os.utime(stage.build_folder("status", f"{NAME}.json"), (0, 0))
    assert stage.statuses() == [made]
