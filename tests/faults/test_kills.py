"""kill -9 at random moments, the fast part of the rig; and that the rig sees a loss when there is one."""

import os
import time

import pytest

from tests.faults import jobs, rig
from uapkit.runner import catalogue, results

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(autouse=True)
def own_project(monkeypatch):
    monkeypatch.setenv("UAPKIT_ROOT", "")
    monkeypatch.setenv("UAPKIT_CACHE", "")
    monkeypatch.setattr(catalogue.Item, "module", catalogue.Item.module)  # put back what the rig replaces
    jobs.instead()


@pytest.mark.parametrize("job", rig.FAST)
def test_nothing_is_lost(job, tmp_path):
    log = rig.kills(tmp_path, job, 4, seed=1)
    assert [row["lost"] for row in log] == [""] * 4


def test_the_rig_sees_a_save_that_is_not_whole(tmp_path, monkeypatch):
    """Three files written one after another, without a journal: some of the kills leave a table with the other record."""
    monkeypatch.setattr(results, "_journal", lambda about: tmp_path / "nowhere" / str(os.getpid()))
    write = results.write_whole

    def slowly(path, data):
        write(path, data)
        time.sleep(0.008)  # most of the time is between two files, however fast the disk is

    monkeypatch.setattr(results, "write_whole", slowly)
    log = rig.kills(tmp_path, "save", 12, seed=0)
    assert any(row["lost"] for row in log)
