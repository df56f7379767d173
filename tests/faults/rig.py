"""kill -9 at random moments: ``python -m tests.faults.rig [--kills 250] [--seed 0] [--save]``.

A parent that has imported everything forks a process for each job, waits a random time, kills it with SIGKILL and looks at
what is left: nothing that was reported as saved may be lost, nobody may read half a file, and doing it again must complete.
``--save`` stores the log as ``results/trust/kills.csv``, which the page "How this is tested" shows.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
import psutil

from tests.faults import jobs
from uapkit import lab, runner
from uapkit.book import stage
from uapkit.files import alone, cache_folder, write_whole
from uapkit.runner import results, verified
from uapkit.runner.words import stale

SHARES = {"save": 0.25, "run": 0.25, "keep": 0.12, "resume": 0.1, "page": 0.13, "note": 0.12, "grade": 0.03}
FAST = [job for job in SHARES if job != "grade"]  # a grading takes ten seconds and more
ROOT = Path(__file__).resolve().parents[2]


def fork(job, start):
    """(process id, the end of a pipe from which its reports come)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    status = 1
    try:
        os.close(read)
        sink = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        jobs.told(write, 0)
        getattr(jobs, job)(write, start)
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


LOG = os.path.join(tempfile.gettempdir(), f"rig{os.getpid()}.log")  # what the job that runs now prints


def elsewhere(act, *given):
    """``act(*given)`` in a fork, so that this process stays as it was; AssertionError with what it raised."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act(*given)
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}"[:4000].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    _, status = os.waitpid(pid, 0)
    assert not said, said
    assert status == 0, f"ended with status {status}"


def killed(job, start, after, share):
    """(the job's reports when it was killed, seconds that it ran); AssertionError where it had ended by itself.

    It is killed ``share`` times a usual step after its report number ``after``: however fast the machine is, each moment of a
    step is as likely as any other.
    """
    pid, read = fork(job, start)
    reports = os.read(read, 4)  # it has begun
    began = step = time.monotonic()
    for _ in range(after):
        reports += os.read(read, 4)
        step = time.monotonic()
    usual = (step - began) / after if after else USUAL.get(job, 0.05)
    USUAL[job] = usual
    time.sleep(share * usual)
    os.kill(pid, signal.SIGKILL)
    took = time.monotonic() - began
    while piece := os.read(read, 1 << 16):
        reports += piece
    os.close(read)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"{job} ended by itself: {Path(LOG).read_text()[-600:]}"
    return [int.from_bytes(reports[k : k + 4], "little") for k in range(4, len(reports) - 3, 4)], took


USUAL = {}  # seconds of a step of each job, as met last


def look_save(start, reports):
    """The run that loads is the one reported last, or the one after it; table, arrays and provenance fit together."""
    last = reports[-1] if reports else start - 1
    table = runner.stored(jobs.NAME)
    if table is None:
        assert last < 0, f"run {last} was reported as saved, nothing is stored"
        return
    number = table.attrs["provenance"]["params"]["number"]
    assert number in (last, last + 1), f"run {last} was reported as saved, {number} is stored"
    assert (table["fooling_rate"] == pd.Series(number / 8, table.index)).all()
    assert (table.attrs["arrays"]["v"] == float(number)).all()


def look_run(start, reports):
    """A rerun completes, computes nothing anew that was reported as kept, and stores what it should."""
    if 100 in reports:
        assert len(runner.load(jobs.NAME)) == jobs.PARTS
    again = runner.run(jobs.NAME, save=True)
    kept = again.attrs["provenance"]["kept"]
    assert kept["reused"] >= len([r for r in reports if r < 100]), f"{reports} were kept, {kept} in the rerun"
    stored = runner.load(jobs.NAME)
    assert stored["fooling_rate"].tolist() == [k / 8 for k in range(jobs.PARTS)]
    assert all((stored.attrs["arrays"][f"v/{k}"] == k).all() for k in range(jobs.PARTS))


def look_keep(start, reports):
    """Every kept answer that was reported is read, not computed; the one that was under way comes out right."""
    with lab.keeping(cache_folder("kept")) as memo:
        assert all((lab.keep(jobs.large, k) == k).all() for k in reports)
        assert memo.reused == len(reports), f"{len(reports)} were kept, {memo.reused} were there"
        under_way = (reports[-1] if reports else start - 1) + 1
        assert (lab.keep(jobs.large, under_way) == under_way).all()


def look_resume(start, reports):
    """It goes on where its file says, which is not before the last step that was reported."""
    with lab.keeping(cache_folder("kept")) as memo:
        first, last = lab.keep(jobs.counting, 60 + start)
    assert last == 60 + start
    assert memo.reused or first >= (reports[-1] if reports else 0), (
        f"{reports[-1]} steps were done, it began at {first}"
    )


def look_page(start, reports):
    """The page and its status are whole, and not older than the last one reported."""
    path = stage.build_folder("staging", "notebooks", f"{jobs.NAME}.ipynb")
    last = reports[-1] if reports else start - 1
    if last >= 0 or path.is_file():
        text = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        assert int(text.split()[0]) in (last, last + 1)
    if reports:  # before that a page may stand without its status, which makes it due again
        assert json.loads(stage.build_folder("status", f"{jobs.NAME}.json").read_text(encoding="utf-8"))["ok"]


def look_note(start, reports):
    """The record is the one noted last, or the one after it; no stale run is forgotten."""
    last = reports[-1] if reports else start - 1
    record = verified.last(jobs.NAME)
    assert (record["rows"] if record else -1) in (last, last + 1)
    lost = {f"checked/number_{number}" for number in range(last + 1)} - stale().keys()
    assert not lost, f"forgotten: {sorted(lost)}"


def look_grade(start, reports):
    """What was graded has its points; what was being graded gets them now, and nobody's row is lost."""
    from uapkit.classroom import grade as grading

    done = {jobs.STUDENTS[number % 2] for number in range(reports[-1] + 1 if reports else start)}
    if done:
        table = pd.read_csv(jobs.COURSE / "grades.csv").set_index("student_id")
        under_way = jobs.STUDENTS[(reports[-1] + 1 if reports else start) % 2]  # has no points while it is graded anew
        assert done - {under_way} <= set(table.index[table["score"] == 20]), table.to_string()
    report = grading.grade(jobs.COURSE, jobs.ASSIGNMENT, students=[jobs.STUDENTS[start % 2]]).set_index("student")
    assert report.loc[jobs.STUDENTS[start % 2], "points"] == 20, report.to_string()
    assert not (left := at_work(str(jobs.COURSE))), f"a killed grader has left its work running: {left}"


def at_work(folder):
    """Command lines of the processes that are at the course folder: they stand in it, or were told to hide it."""
    found = []
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if process.info["pid"] != os.getpid() and (folder in words or (process.info["cwd"] or "").startswith(folder)):
            found.append(words[:200])
    return found


def one(job, start, after, share):
    """Kill once and look; the row of the log, and the reports."""
    began = time.perf_counter()
    reports, ran, lost = [], 0.0, ""
    try:
        reports, ran = killed(job, start, after, share)
        look = globals()[f"look_{job}"]
        if job == "grade":  # nbgrader leaves threads and open files, which no fork should inherit
            elsewhere(look, start, reports)
        else:
            look(start, reports)
    except Exception as error:
        lost = f"{type(error).__name__}: {error}"
    row = {"job": job, "killed_after_s": round(ran, 4), "reports": len(reports), "lost": lost}
    return row | {"seconds": round(time.perf_counter() - began, 3)}, reports


def project(folder):
    """An empty project and cache in ``folder`` for this process and its forks."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    os.environ.update(UAPKIT_ROOT=str(folder), UAPKIT_CACHE=str(folder / "cache"))


def kills(folder, job, count, seed):
    """Kill ``count`` times at random moments of the job, each in the state that the kills before have left."""
    draw = random.Random(f"{seed}/{job}")
    project(folder / job)
    steps = {"run": jobs.PARTS, "resume": 40, "grade": 1}.get(job, 3)
    if job == "note":  # there is something that can be checked
        results.store(jobs.rows(0), jobs.runner.item(jobs.NAME), {"id": jobs.NAME, "params": {"number": 0}})
    elif job == "grade":
        os.environ["UAPKIT_ROOT"] = str(ROOT)
        jobs.COURSE = folder / job / "course"
        elsewhere(jobs.course, jobs.COURSE)
        USUAL["grade"] = 10.0
    made, start = [], 0
    for k in range(count):
        if job == "run":  # a new cache and no stored run every third time
            project(folder / f"{job}{k // 3}")
        row, reports = one(job, start, draw.randint(0, steps), draw.uniform(0, 1.2))
        made.append(row)
        if row["lost"]:  # what is left may be unreadable: the next kill starts from nothing
            start, folder = 0, folder / "again"
            project(folder / job)
            continue
        if job in ("save", "page", "note"):
            start = settle(job)
        elif job == "keep":
            start = max(start, reports[-1] + 2) if reports else start + 1
        elif job == "resume":
            start += 1
        elif job == "grade":
            USUAL["grade"] = row["seconds"] - row["killed_after_s"]
            start = reports[-1] + 1 if reports else start
    return made


def settle(job):
    """The number that is stored now plus one, from where the next job goes on; one that is noted is noted again."""
    if job == "note":
        record = verified.last(jobs.NAME)
        return record["rows"] if record else 0
    if job == "save":
        table = runner.stored(jobs.NAME)
        return 0 if table is None else table.attrs["provenance"]["params"]["number"] + 1
    path = stage.build_folder("staging", "notebooks", f"{jobs.NAME}.ipynb")
    return int(json.loads(path.read_text())["cells"][0]["source"].split()[0]) + 1 if path.is_file() else 0


def keep(log, seed, seconds):
    """Store the log; of jobs that were not run this time the last one stays. Each row says of which commit and day it is."""
    path = ROOT / "results" / "trust" / "kills.csv"
    at, dirty = results.commit()
    log = log.assign(commit=at, dirty=dirty, date=datetime.now(UTC).date().isoformat(), seed=seed)
    with alone(path):
        if path.is_file():
            old = results.read_table(path.read_bytes())
            log = pd.concat(
                [old[~old["job"].isin(set(log["job"]))], log.replace({"lost": {"": None}})], ignore_index=True
            )
        about = {"commit": at, "dirty": dirty, "date": log["date"].max(), "seed": seed, "seconds": round(seconds)}
        about |= {"kills": len(log), "by_job": log.groupby("job", sort=False).size().to_dict()}
        about |= {
            "lost": int(log["lost"].fillna("").ne("").sum()),
            "versions": results.versions(),
            "system": sys.platform,
        }
        write_whole(path, results.table_bytes(log))
        write_whole(path.with_suffix(".json"), (json.dumps(about, indent=1) + "\n").encode())


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rig", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", nargs="*", choices=SHARES, default=list(SHARES))
    parser.add_argument("--save", action="store_true", help="store the log as results/trust/kills.csv")
    given = parser.parse_args()
    jobs.instead()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="rig") as folder:
        log = pd.DataFrame(
            row for job in given.jobs for row in kills(Path(folder), job, round(SHARES[job] * given.kills), given.seed)
        )
    Path(LOG).unlink(missing_ok=True)
    lost = log[log["lost"] != ""]
    print(
        log.groupby("job", sort=False).agg(kills=("job", "size"), lost=("lost", lambda s: (s != "").sum())).to_string()
    )
    print(f"{len(log)} kills in {time.perf_counter() - began:.0f} s, {len(lost)} with something lost")
    print(lost.to_string() if len(lost) else "nothing was lost")
    if given.save:
        os.environ["UAPKIT_ROOT"] = str(ROOT)
        keep(log, given.seed, time.perf_counter() - began)
    return int(len(lost) > 0)


if __name__ == "__main__":
    sys.exit(main())
