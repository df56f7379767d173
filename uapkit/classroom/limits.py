"""One submission in processes of its own, with limits of time, memory, processes and disk.

On Linux, where the system allows it, its kernel has no network, sees neither the course (solutions, gradebook, other
students) nor the clone nor the teacher's home folder, and can write only into memory (:mod:`uapkit.classroom.kernel`).
"""

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
from collections.abc import Sequence
from pathlib import Path

from uapkit.files import write_whole
from uapkit.runner.catalogue import project_root

NO_NETWORK = "unshare --user --map-root-user --net"  # Linux: a process of its own without any network
ISOLATED = shlex.split(f"{NO_NETWORK} --mount --pid --fork --kill-child=KILL")  # and where it can hide folders
KERNEL = Path(__file__).with_name("kernel.py")
TIED = ["setpriv", "--pdeathsig", "KILL"]  # ends with the process that has started it
LOOK_EVERY = 0.5  # seconds
PROCESSES = 64  # of one submission, nbgrader's own among them
LOG = 200_000  # characters of a log that are kept
DISK = 2**30  # bytes that it may leave in its folders before the grader clears them


def sandbox_command(wish: str) -> list[str]:
    """Words to put before a kernel's command. wish: "auto" (:data:`ISOLATED`, else no network, else nothing), "none", or words."""
    if wish == "none":
        return []
    if wish == "auto":
        return next((words for words in (ISOLATED, shlex.split(NO_NETWORK)) if _works(words)), [])
    if _works(words := shlex.split(wish)):
        return words
    raise ValueError(
        f"the sandbox {wish!r} cannot run on this machine; give 'none', or words that work before a command"
    )


def _works(words: list[str]) -> bool:
    if not words or not shutil.which(words[0]):
        return False
    with tempfile.TemporaryDirectory(prefix="uap") as place:
        trial = ["true"]
        if words == ISOLATED:
            about = {"hide": hidden(Path(place)), "sockets": place, "trial": True}
            trial = [sys.executable, str(KERNEL), json.dumps(about)]
        return subprocess.run([*words, *trial], cwd=place, capture_output=True, check=False).returncode == 0


def hidden(out: Path) -> list[str]:
    """Folders that no submission shall see: others' temporary files, the teacher's home, the clone or package, the course."""
    package = Path(__file__).resolve().parents[1]
    try:
        clone = project_root().resolve()
    except FileNotFoundError:
        clone = package
    homes = []
    with contextlib.suppress(RuntimeError):  # a user without a home folder has none to hide
        homes = [Path.home().resolve()]
    found = [*map(Path, ("/tmp", "/var/tmp", "/dev/shm")), *homes, clone, package, out.resolve()]
    return list(dict.fromkeys(str(path) for path in found if path.is_dir() and path != path.parent))


def run(out: Path, name: str, student: str, seconds: float, memory: float, words: list[str]) -> tuple[str, float]:
    """(status, seconds) of nbgrader's autograding of ``mended/<student>/<name>``; nothing of it runs on afterwards.

    seconds: of wall clock and of processor time. memory: gigabytes. words: what stands before a kernel's command.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="uap") as place:
        tied = TIED * _works(TIED)
        env = environment(Path(place), seconds, memory, words, hidden(out) if words == ISOLATED else [])
        command = [*tied, sys.executable, "-m", "nbgrader", "autograde", name, "--force"]
        command += [f"--CourseDirectory.student_id={student}", "--CourseDirectory.submitted_directory=mended"]
        if os.name == "posix":  # sockets in a folder of its own: they work without a network
            command += ["--KernelManager.transport=ipc", f"--KernelManager.ip={place}/kernel"]
        with open(Path(place) / "log", "wb") as log:
            process = subprocess.Popen(command, cwd=out, env=env, stdout=log, stderr=subprocess.STDOUT)
            reason = watch(process, start + seconds, memory, [Path(place), out / "autograded" / student / name])
        text = (Path(place) / "log").read_text(encoding="utf-8", errors="replace")
    write_whole(out / "logs" / name / f"{student}.log", ends(text).encode())
    if not reason and process.returncode:
        died = "DeadKernelError" in text or "Kernel died" in text
        reason = "the code ended its own Python process" if died else f"nbgrader failed, see logs/{name}/{student}.log"
    return reason or "graded", time.perf_counter() - start


def ends(text: str, most: int = LOG) -> str:
    """The text, without its middle where it is longer: a submission can write into the log, which begins and ends with nbgrader."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n... {len(text) - 2 * (most // 2)} characters are left out ...\n{text[-(most // 2) :]}"


def environment(
    place: Path, seconds: float, memory: float, words: list[str], hide: list[str] | None = None
) -> dict[str, str]:
    """Environment in which the kernel ``python3`` is our limited one; ``hide`` where it stands in :data:`ISOLATED`."""
    spec = place / "kernels" / "python3"
    spec.mkdir(parents=True)
    limits = {"memory": memory, "seconds": seconds, "hide": hide or [], "sockets": str(place)}
    kernel = [sys.executable, str(KERNEL), json.dumps(limits)]
    if words == ISOLATED and _works(TIED):  # the kernel's parent is then unshare, which has to end with the grader, too
        words = [*TIED, *words]
    about = {"argv": [*words, *kernel, "-f", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(about))
    # nbgrader's settings import the package; the limited kernel cannot
    paths = filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "SYSTEMROOT", "TEMP", "TMP")}
    own = {"JUPYTER_PATH": place, "JUPYTER_RUNTIME_DIR": place / "run", "IPYTHONDIR": place / "ipython"}
    own |= {"HOME": place, "TMPDIR": place}  # the connection file lies in the latter
    quiet = {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return kept | {key: str(value) for key, value in own.items()} | quiet


def watch(process: subprocess.Popen, deadline: float, memory: float, folders: Sequence[Path] = ()) -> str:
    """Wait for the process; kill it and all its children past a limit; why, or "".

    deadline: of time.perf_counter(). memory: gigabytes. folders: what it may write, up to :data:`DISK`.
    """
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
        elif len(family) > PROCESSES:
            reason = f"stopped: more than {PROCESSES} processes"
        elif size(folders) > DISK:
            reason = f"stopped: more than {DISK / 2**30:g} GB of files"
    alive = family
    while alive:  # also what a finished submission left behind, and what that starts meanwhile
        more = set()
        for one in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                more.update(one.children(recursive=True))
                one.kill()
        alive = more - family
        family |= more
    process.wait()
    return reason


def size(folders: Sequence[Path]) -> int:
    """Bytes of all files in these folders; what vanishes meanwhile does not count."""
    total = 0
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(where, name)).st_size
    return total
