"""What the rig kills: a save, a run, a kept answer, a resumable function, a page, a check, a grading.

Each says through ``told`` what is safe now.
"""

import json
import os
import time
from types import ModuleType

import numpy as np
import pandas as pd

from uapkit import lab, provenance, runner
from uapkit.files import write_whole
from uapkit.runner import catalogue, results, verified, verify

NAME = "khrulkov2018/tab1_layers"
PARTS = 6  # kept answers of a run


def told(pipe, number):
    """Report a number: whatever it stands for must not be lost any more."""
    os.write(pipe, number.to_bytes(4, "little"))


def rows(number):
    """A table and an array by which a saved run is recognised."""
    table = pd.DataFrame({"model": [f"net{k}" for k in range(40)], "status": "run", "fooling_rate": number / 8})
    table.attrs["arrays"] = {"v": np.full((3, 40, 40), float(number), dtype=np.float32)}
    return table


def save(pipe, start):
    """One save after another, each reported when it is done."""
    for number in range(start, start + 10_000):
        results.store(rows(number), runner.item(NAME), {"id": NAME, "params": {"number": number}})
        told(pipe, number)


def part(k):
    """An answer that takes a while and is worth keeping."""
    provenance.note_input(f"weights of {k}", "0" * 64)
    time.sleep(0.01)
    return {"rate": k / 8, "v": np.full((64, 64), float(k), dtype=np.float32)}


def large(k):
    """Two megabytes in an instant, so that most of the time goes into writing."""
    return np.full((512, 512), float(k))


def an_item(*, seed=0):
    """An item of several kept answers."""

    def point(k):
        made = lab.keep(part, k)
        if PIPE is not None:
            told(PIPE, k + 1)
        return [{"model": f"net{k}", "fooling_rate": made["rate"], "n": 8}], {f"v/{k}": made["v"]}

    return lab.sweep([{"k": k} for k in range(PARTS)], point)


PIPE = None


def instead():
    """The item above in the place of every item, in this process only."""
    module = ModuleType("an_item")
    module.run = an_item
    catalogue.Item.module = property(lambda self: module)


def run(pipe, start):
    """One run that is saved; every kept answer is reported, and 100 when all of it is stored."""
    global PIPE
    PIPE = pipe
    instead()
    runner.run(NAME, save=True)
    told(pipe, 100)
    time.sleep(60)


def keep(pipe, start):
    """Kept answers one after another, each reported."""
    from uapkit.files import cache_folder

    with lab.keeping(cache_folder("kept")):
        for k in range(start, start + 10_000):
            lab.keep(large, k)
            told(pipe, k)


def counting(n, checkpoint=None):
    """Counts to n and keeps its place in a file."""
    done = int(checkpoint.read_text()) if checkpoint is not None and checkpoint.is_file() else 0
    first = done
    while done < n:
        time.sleep(0.002)
        done += 1
        if checkpoint is not None:
            write_whole(checkpoint, str(done).encode(), lasting=False)
        if PIPE is not None:
            told(PIPE, done)
    return [first, done]


def resume(pipe, start):
    """A resumable function; each step is reported."""
    global PIPE
    from uapkit.files import cache_folder

    PIPE = pipe
    with lab.keeping(cache_folder("kept")):
        lab.keep(counting, 60 + start)
    time.sleep(60)


def page(pipe, start):
    """Pages written from what was executed, one after another, each reported."""
    from uapkit.book import stage

    for k in range(start, start + 10_000):
        cells = [{"cell_type": "markdown", "metadata": {}, "source": f"{k} " * 4000}]
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        write_whole(stage.partial_of(NAME), json.dumps(notebook).encode(), lasting=False)
        stage.finish(NAME, whole=True, started=time.time())
        told(pipe, k)


def note(pipe, start):
    """A stored run is checked again and again: its record, and the list of stale runs, of which each is another."""
    for number in range(start, start + 10_000):
        outcome = verify.Outcome(NAME, verify.WHOLE, True, rows=number, of_rows=number)
        verified.note(outcome)
        verified.mark_stale(f"checked/number_{number}", "A rerun did not give the stored rows.")
        told(pipe, number)


ASSIGNMENT, STUDENTS = "a1_linear", ("right_0", "right_1")


def course(folder):
    """A course folder in which two students have handed in right answers."""
    import shutil

    from uapkit.classroom import build, fake

    build.course(folder, only=[ASSIGNMENT])
    fake.submit(folder, ASSIGNMENT, n=6)
    for place in (folder / "submitted").iterdir():
        if place.name != "right_0":
            shutil.rmtree(place)
    shutil.copytree(folder / "submitted" / "right_0", folder / "submitted" / "right_1")


def grade(pipe, start):
    """One student's work is graded after the other's, again and again."""
    from uapkit.classroom import grade as grading

    for number in range(start, start + 10_000):
        grading.grade(COURSE, ASSIGNMENT, students=[STUDENTS[number % 2]])
        told(pipe, number)


COURSE = None
