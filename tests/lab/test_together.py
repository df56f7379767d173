"""Processes that divide one run: every answer is made once, whoever is killed, and the table is that of one process alone."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from uapkit import evaluate
from uapkit.data import Images
from uapkit.lab import Bench, bench, keep, keeping, sweep
from uapkit.lab.together import Busy, each, together

FORK = multiprocessing.get_context("fork")


def made(k: int, folder: str, seconds: float) -> dict:
    """Leaves a line for each time it was begun and ended."""
    with Path(folder, f"begun{k}").open("a") as file:
        file.write("x")
    time.sleep(seconds)
    with Path(folder, f"ended{k}").open("a") as file:
        file.write("x")
    return {"square": k * k, "pid": 0}


def table(folder: Path, seconds: float = 0.05, points: int = 12) -> pd.DataFrame:
    return sweep([{"k": k} for k in range(points)], lambda k: [keep(made, k, str(folder), seconds)])


def worker(folder: Path, queue, seconds: float) -> None:
    with keeping(folder / "kept"), together():
        found = table(folder, seconds)
    queue.put(found.to_csv())


def start(folder: Path, many: int, seconds: float = 0.05):
    queue = FORK.Queue()
    processes = [FORK.Process(target=worker, args=(folder, queue, seconds)) for _ in range(many)]
    for process in processes:
        process.start()
    return processes, queue


def count(folder: Path, what: str) -> list[int]:
    return [len(p.read_text()) for p in sorted(folder.glob(f"{what}*"))]


def test_three_processes_make_every_answer_once_and_end_with_the_same_table(tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    with keeping(alone / "kept"):
        wanted = table(alone, 0.0).to_csv()
    processes, queue = start(tmp_path, 3)
    found = [queue.get(timeout=60) for _ in processes]
    assert found == [wanted] * 3
    assert count(tmp_path, "begun") == [1] * 12, "nobody did again what another did"


def test_two_of_four_are_killed_and_a_rerun_has_the_same_table(tmp_path):
    processes, queue = start(tmp_path, 4, seconds=0.5)
    while sum(count(tmp_path, "begun")) < 5:
        time.sleep(0.02)
    for process in processes[:2]:
        os.kill(process.pid, signal.SIGKILL)
    found = [queue.get(timeout=60) for _ in range(2)]
    assert found[0] == found[1]
    begun, ended = count(tmp_path, "begun"), count(tmp_path, "ended")
    assert ended == [1] * 12, "what the killed ones were at was made by the others, and nothing twice"
    assert sum(begun) <= 12 + 2
    with keeping(tmp_path / "kept") as memo:
        assert table(tmp_path, 0.5).to_csv() == found[0]
    assert (memo.computed, memo.reused) == (0, 12)


def test_all_killed_and_a_rerun_goes_on_where_they_were(tmp_path):
    processes, _ = start(tmp_path, 2, seconds=0.3)
    while sum(count(tmp_path, "ended")) < 3:
        time.sleep(0.02)
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    before = sum(count(tmp_path, "ended"))
    with keeping(tmp_path / "kept") as memo:
        found = table(tmp_path, 0.3)
    assert found["square"].tolist() == [k * k for k in range(12)]
    assert before - 2 <= memo.reused <= before  # what was just ended may not have been written


def test_what_others_are_at_comes_last():
    busy, order = {0, 2}, []

    def job(k):
        if k in busy:
            busy.discard(k)
            raise Busy
        order.append(k)
        return k

    with together():
        assert each([lambda k=k: job(k) for k in range(4)]) == [0, 1, 2, 3]
    assert order == [1, 3, 0, 2]


def test_jobs_of_a_job_are_left_when_others_are_at_all_of_them():
    """The outer list goes on with other work, and waits only where there is none."""
    calls = []

    def inner(name, k, free_after):
        calls.append(name)
        if calls.count(name) <= free_after:
            raise Busy
        return k

    with together():
        found = each(
            [
                lambda: each([lambda: inner("a", 1, 1), lambda: inner("b", 2, 1)]),
                lambda: inner("c", 3, 0),
            ]
        )
    assert found == [[1, 2], 3]
    assert calls.index("c") < len(calls) - 1 - calls[::-1].index("a"), "c was done before a was tried again"


def test_alone_a_busy_answer_is_an_error_of_ours_and_nothing_is_left_for_later():
    order = []
    each([lambda k=k: order.append(k) for k in range(4)])
    assert order == [0, 1, 2, 3]
    with pytest.raises(Busy):
        each([lambda: (_ for _ in ()).throw(Busy())])


def test_images_are_scored_in_parts_with_the_same_answer(monkeypatch, tmp_path):
    whole = Bench("digits", 20, 0, 95)
    v = evaluate.random_perturbation((1, 28, 28), eps=0.2, seed=0)
    wanted, clean = whole.fooled("linear_digits", v), whole.clean("linear_digits")
    monkeypatch.setattr(bench, "SHARD", 30)
    asked = []
    plain = evaluate.fooled
    monkeypatch.setattr(evaluate, "fooled", lambda *a, **k: asked.append(len(a[1])) or plain(*a, **k))
    parts = Bench("digits", 20, 0, 95)
    assert torch.equal(parts.fooled("linear_digits", v), wanted)
    assert torch.equal(parts.clean("linear_digits"), clean)
    assert asked == [30, 30, 30, 5]
    assert [len(s) for s in bench.shards(Images(torch.zeros(30, 1, 2, 2), None))] == [30]
