"""Bring the book up to date on this machine: what is stale by checksums, as many items at a time as cores, what it took.

Each item is made by forks of one warm process (:mod:`uapkit.book.warm`), or by new processes where that is not possible.
An item counts as made from what stood on disk before the first of them started, so an edit meanwhile makes it stale again.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from uapkit.book import stage
from uapkit.book.stage import build_folder
from uapkit.files import write_whole
from uapkit.runner.catalogue import project_root

MEMORY = 1.5e9  # bytes that one item may take at most, kernel and worker together


class Bar(tqdm):
    """A bar without tqdm's watching thread: a process that forks has no threads."""

    monitor_interval = 0


@dataclass
class Step:
    """One thing to be made: by ``job`` in a fork, or by Python with the arguments ``command`` in a new process."""

    name: str
    job: Callable[[], int | None]
    command: tuple[str, ...]
    log: Path
    made_from: str = ""
    pid: int = 0
    process: subprocess.Popen | None = None
    started: float = 0.0
    seconds: float = 0.0
    cpu: float = float("nan")
    code: int | None = None

    def start(self, warm: bool) -> None:
        """Start it in a process group of its own."""
        self.started = time.time()
        if warm:
            fork = importlib.import_module("uapkit.book.warm").fork
            self.pid = fork(self.job, self.log)
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, *self.command],
                cwd=project_root(),
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | stage.ENVIRONMENT,
                start_new_session=True,
            )
            self.pid = self.process.pid

    def ended(self) -> bool:
        """Has it ended? Then ``code``, ``seconds`` and, of a fork, ``cpu`` are known."""
        if self.process is not None:
            self.code = self.process.poll()
        else:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.code, self.cpu = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        self.seconds = time.time() - self.started
        return self.code is not None

    def stop(self) -> None:
        """End it and what it started; a kernel that has lost its worker ends itself."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGTERM) if hasattr(os, "killpg") else os.kill(self.pid, signal.SIGTERM)


@dataclass
class Profile:
    """Seconds of each stage of a build, and what each step took."""

    warm: bool
    jobs: int
    stages: dict[str, float] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = round(time.perf_counter() - started, 2)

    def store(self) -> None:
        """Write ``build/profile.json``."""
        own = os.times()
        about = {"warm": self.warm, "jobs": self.jobs, "stages": self.stages, "steps": self.steps}
        about["cpu_seconds"] = round(sum(own[:4]), 1)
        write_whole(build_folder("profile.json"), (json.dumps(about, indent=1) + "\n").encode())

    def words(self) -> str:
        """The profile as lines for a terminal."""
        lines = [f"{name:<28}{seconds:8.1f} s" for name, seconds in self.stages.items()]
        made = [s for s in self.steps if "stages" in s]
        for part in ("start", "quick run", "cells", "end", "writing"):
            took = sorted(s["stages"][part] for s in made if part in s["stages"])
            if took:
                median = took[len(took) // 2]
                lines.append(
                    f"  {part + ', all items':<26}{sum(took):8.1f} s, median {median:.2f}, most {took[-1]:.2f}"
                )
        for step in sorted(self.steps, key=lambda s: -s["seconds"])[:5]:
            lines.append(f"  longest: {step['name']:<42}{step['seconds']:6.1f} s, {step['cpu_seconds']} CPU s")
        own = os.times()
        return "\n".join([*lines, f"{'CPU, all processes':<28}{sum(own[:4]):8.1f} s, {self.jobs} at a time"])


def jobs_for(cores: int | None) -> int:
    """How many items at a time: ``cores``, or as many as this process may use and the free memory holds."""
    if cores:
        return cores
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, int(psutil.virtual_memory().available / MEMORY)))


def run(steps: list[Step], profile: Profile, *, quiet: bool = False) -> list[Step]:
    """Run steps, ``profile.jobs`` at a time, and say how far it is; those that did not end with 0.

    On a terminal one bar shows items done, running and the time left; elsewhere a line is printed for each. An
    interrupt ends all that runs.
    """
    waiting = list(steps)
    running: list[Step] = []
    done = 0
    bar = Bar(total=len(steps), desc="book", unit="item", disable=True if quiet else None, smoothing=0.1)
    try:
        while waiting or running:
            while waiting and len(running) < profile.jobs:
                running.append(waiting.pop(0))
                running[-1].start(profile.warm)
                bar.set_postfix_str(", ".join(s.name for s in running))
            time.sleep(0.05)
            for step in [s for s in running if s.ended()]:
                running.remove(step)
                settle(step)
                profile.steps.append(_told(step))
                bar.update()
                done += 1
                bar.set_postfix_str(", ".join(s.name for s in running))
                if bar.disable and not quiet:
                    print(f"{done} of {len(steps)}: {step.name} in {step.seconds:.1f} s", flush=True)
    finally:
        bar.close()
        for step in running:
            step.stop()
    return [s for s in steps if s.code]


def _told(step: Step) -> dict[str, Any]:
    path = build_folder("status", f"{step.name}.json")
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    told = {"name": step.name, "seconds": round(step.seconds, 2), "cpu_seconds": round(step.cpu, 2)}
    return told | ({"stages": found["stages"]} if found.get("stages") else {})


def item_step(name: str, made_from: str) -> Step:
    """The step that makes an item's page; made_from: checksum of what it is made from."""

    def job() -> None:
        from uapkit.book import warm

        started = time.time()
        stage.partial_of(name).unlink(missing_ok=True)
        whole = False
        try:
            warm.execute(stage.item(name).path("notebook"), stage.partial_of(name))
            whole = True
        except Exception:  # the page says so
            traceback.print_exc()
            sys.stderr.flush()
        stage.finish(name, whole=whole, started=started)

    return Step(name, job, ("-m", "uapkit", "stage", name), stage.log_of(name), made_from)


def item_steps(stale: dict[str, str]) -> list[Step]:
    """The steps of stale items, ``{name: checksum}``, those first that took longest last time, or when they were stored."""
    stored = {name: project_root() / "results" / "quick" / f"{name.replace('/', '.')}.json" for name in stale}
    took = {name: json.loads(path.read_text())["seconds"] for name, path in stored.items() if path.is_file()}
    took |= {s["item"]: s["seconds"] for s in stage.statuses()}
    return [item_step(name, stale[name]) for name in sorted(stale, key=lambda n: -took.get(n, 0.0))]


def settle(step: Step) -> None:
    """After an item was run: note what its page was made from; where its process was lost, make the page that says so."""
    if not step.made_from:
        return
    if step.code:
        how = f"signal {signal.Signals(-step.code).name}" if step.code < 0 else f"exit status {step.code}"
        stage.finish(step.name, whole=False, started=step.started, why=f"its process ended with {how}")
    else:
        stage.note(step.name, made_from=step.made_from)
