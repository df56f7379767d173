"""One submission in processes of its own, with limits of time and memory, cut off from the network where that can be done."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from uapkit.files import write_whole

NO_NETWORK = "unshare --user --map-root-user --net"  # Linux: a process of its own without any network
LOOK_EVERY = 0.5  # seconds


def sandbox_command(wish: str) -> list[str]:
    """Words to put before a kernel's command. wish: "auto" (no network where the system allows it), "none", or words."""
    if wish == "none":
        return []
    words = shlex.split(NO_NETWORK if wish == "auto" else wish)
    if shutil.which(words[0]) and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
        return words
    if wish == "auto":
        return []
    raise ValueError(
        f"the sandbox {wish!r} cannot run on this machine; give 'none', or words that work before a command"
    )


def run(out: Path, name: str, student: str, seconds: float, memory: float, words: list[str]) -> tuple[str, float]:
    """(status, seconds) of nbgrader's autograding of ``mended/<student>/<name>``; nothing of it runs on afterwards.

    seconds: of wall clock and of processor time. memory: gigabytes. words: what stands before a kernel's command.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="uap") as place:
        env = environment(Path(place), seconds, memory, words)
        command = [sys.executable, "-m", "nbgrader", "autograde", name, "--force"]
        command += [f"--CourseDirectory.student_id={student}", "--CourseDirectory.submitted_directory=mended"]
        if os.name == "posix":  # sockets in a folder of its own: they work without a network
            command += ["--KernelManager.transport=ipc", f"--KernelManager.ip={place}/kernel"]
        with open(Path(place) / "log", "wb") as log:
            process = subprocess.Popen(command, cwd=out, env=env, stdout=log, stderr=subprocess.STDOUT)
            reason = watch(process, start + seconds, memory)
        text = (Path(place) / "log").read_text(encoding="utf-8", errors="replace")
    write_whole(out / "logs" / name / f"{student}.log", text.encode())
    if not reason and process.returncode:
        died = "DeadKernelError" in text or "Kernel died" in text
        reason = "the code ended its own Python process" if died else f"nbgrader failed, see logs/{name}/{student}.log"
    return reason or "graded", time.perf_counter() - start


def environment(place: Path, seconds: float, memory: float, words: list[str]) -> dict[str, str]:
    """Environment in which the kernel ``python3`` is our limited one."""
    spec = place / "kernels" / "python3"
    spec.mkdir(parents=True)
    kernel = [sys.executable, str(Path(__file__).with_name("kernel.py")), f"{memory:g}", f"{seconds:g}"]
    about = {"argv": [*words, *kernel, "-f", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(about))
    # nbgrader's settings import the package; the limited kernel cannot
    paths = filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "SYSTEMROOT", "TEMP", "TMP")}
    own = {"JUPYTER_PATH": place, "JUPYTER_RUNTIME_DIR": place / "run", "IPYTHONDIR": place / "ipython", "HOME": place}
    quiet = {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return kept | {key: str(value) for key, value in own.items()} | quiet


def watch(process: subprocess.Popen, deadline: float, memory: float) -> str:
    """Wait for the process; kill it and all its children past the deadline or the memory; why, or ""."""
    import psutil

    tree = psutil.Process(process.pid)
    family: set[psutil.Process] = {tree}
    reason = ""
    while process.poll() is None and not reason:
        time.sleep(LOOK_EVERY)
        used = 0
        for one in list(family):
            try:
                family.update(one.children(recursive=True))
                used += one.memory_info().rss
            except psutil.NoSuchProcess:
                family.discard(one)
        if time.perf_counter() > deadline:
            reason = "stopped at the time limit"
        elif used > (memory + 1) * 2**30:
            reason = "stopped at the memory limit"
    for one in family:  # also what a finished submission left behind
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
    return reason
