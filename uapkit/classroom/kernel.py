"""A Python kernel with limits, for code that nobody has read yet: started by grade.py, by path, as a kernel's command.

    python kernel.py ABOUT -f connection_file

ABOUT is JSON: ``memory`` (gigabytes), ``seconds`` (of processor time) and, where the kernel stands in namespaces of its own,
``hide`` (folders that it shall not see) and ``sockets`` (the one folder that it shares with the grader). Memory that cannot be
had raises an error in the cell that asks for it; a kernel that uses up its processor time is killed. The packages that hold the
solutions cannot be imported. With ``hide`` it sees neither solutions nor gradebook nor the teacher's home folder, and writes
into memory alone, so that it can fill no disk. What a cell prints without end is dropped before it is sent. It cannot be kept
from lying about its own answers: see judge.py.
"""

import json
import os
import re
import sys
import sysconfig

GIGABYTE = 2**30
DISK = 200  # megabytes of each folder in memory
PRINTED = 2**20  # characters that a cell may print
LEFT_OUT = "\n... what this cell printed after that is left out ...\n"
SOLUTIONS = ("uapkit", "art", "foolbox", "torchattacks")
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC = 1, 2, 4, 8, 32, 4096, 16384  # of <sys/mount.h>
KEPT = {"nosuid": NOSUID, "nodev": NODEV, "noexec": NOEXEC, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
NO_NEW_PRIVILEGES, CAPABILITIES = 38, 0x20080522  # of <linux/prctl.h>, <linux/capability.h>


def limit(memory: float, seconds: float) -> None:
    """Limits of this process and its children, where the system has them (Windows has none)."""
    try:
        import resource
    except ImportError:
        return
    for what, bound in (
        (resource.RLIMIT_DATA, int(memory * GIGABYTE)),
        (resource.RLIMIT_CPU, int(seconds)),
        (resource.RLIMIT_FSIZE, GIGABYTE // 10),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (bound if hard < 0 else min(bound, hard),) * 2)


def isolate(hide: list[str], sockets: str) -> None:
    """In mount and process namespaces of its own: empty folders in the place of ``hide``, all else read-only, no way back.

    The files of the working directory are copied: a change stays in memory. What Python needs stays where it is. Raises
    OSError where the system refuses.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def call(done: int, what: str) -> None:
        if done != 0:
            raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")

    def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
        words = [w if w is None else os.fsencode(w) for w in (source, target, kind)]
        call(libc.mount(*words, ctypes.c_ulong(flags), data and data.encode()), f"mount {target}")

    here = os.getcwd()
    files = {}
    for folder, _, names in os.walk(here):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < DISK << 20:
                with open(path, "rb") as before:
                    files[path] = before.read()
    needed = {sockets, sys.prefix, sys.base_prefix, *(sysconfig.get_path(n) for n in ("stdlib", "purelib", "platlib"))}
    for folder in hide:
        kept = {path: os.open(path, os.O_PATH) for path in sorted(needed) if os.path.isdir(path) and _in(path, folder)}
        os.makedirs(folder, exist_ok=True)
        mount("none", folder, "tmpfs", NOSUID | NODEV, f"size={DISK}m,nr_inodes=20k")
        for path, descriptor in kept.items():
            os.makedirs(path, exist_ok=True)
            mount(f"/proc/self/fd/{descriptor}", path, None, BIND | REC)
            os.close(descriptor)
    os.makedirs(here, exist_ok=True)
    for path, content in files.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    for path in (here, sockets):
        mount(path, path, None, BIND)
    os.chdir(here)
    with open("/proc/self/mountinfo", "rb") as table:
        mounts = [line.split() for line in table]
    mount("none", "/proc", "proc", NOSUID | NODEV | NOEXEC)  # only the processes of this namespace
    for fields in mounts:
        place = os.fsdecode(re.sub(rb"\\(\d{3})", lambda m: bytes([int(m[1], 8)]), fields[4]))
        if place in (here, sockets, "/tmp", "/dev/shm") or place == "/proc" or place.startswith("/proc/"):
            continue
        flags = sum(KEPT.get(word, 0) for word in fields[5].decode().split(","))
        try:
            mount("none", place, None, REMOUNT | BIND | RDONLY | flags)
        except OSError:
            if os.access(place, os.W_OK):
                raise
    call(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    call(libc.capset((ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()), "capset")


def _in(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder).rstrip("/") + "/")


def die_with_parent() -> None:
    """Linux: a grader that is killed leaves no kernel behind."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL


def hush() -> None:
    """A cell prints :data:`PRINTED` characters and no more: a loop without end is interrupted, and fills no memory until then."""
    from ipykernel.iostream import OutStream

    write = OutStream.write
    left: dict = {}  # by the request that runs a cell

    def limited(stream, text):  # type: ignore[no-untyped-def]
        if not isinstance(text, str):
            return write(stream, text)  # which refuses it
        cell = stream.parent_header.get("msg_id")
        room = left.setdefault(cell, PRINTED)
        if len(text) <= room:
            left[cell] = room - len(text)
            return write(stream, text)
        left[cell] = 0
        if room:
            write(stream, text[:room] + LEFT_OUT)
        return len(text)

    OutStream.write = limited  # type: ignore[method-assign]


def remember() -> None:
    """Keep the functions that tests trust as they are before the first cell; judge.py puts them back."""
    import ast
    import builtins
    import contextlib
    import math
    from types import ModuleType

    import numpy
    import torch

    things: list = [builtins, ast, contextlib, json, math, numpy, numpy.linalg, numpy.testing]
    things += [torch, torch.linalg, torch.autograd, torch.nn.functional, torch.Tensor]
    own = {"exit", "quit", "input", "help", "copyright", "credits", "license"}  # which IPython replaces
    kept: dict = {thing: {} for thing in things}
    for thing in things:
        for name, value in vars(thing).items():
            if callable(value) and not isinstance(value, type) and name not in own and not name.startswith("_"):
                kept[thing][name] = value
    sys.modules["as_it_was"] = before = ModuleType("as_it_was")
    before.names = kept  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.path.pop(0)  # this file's own folder
    about = json.loads(sys.argv[1])
    die_with_parent()
    if about.get("hide"):
        isolate(about["hide"], about["sockets"])
        if about.get("trial"):
            sys.exit(0)
        os.environ.pop("JPY_PARENT_PID", None)  # the parent has no number in here; the namespace ends with it
    limit(about["memory"], about["seconds"])
    for name in SOLUTIONS:
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it now fails
    remember()  # imports torch before the first cell's clock runs: on a busy machine that takes long
    hush()
    from ipykernel.kernelapp import launch_new_instance

    sys.path.insert(0, "")
    launch_new_instance(argv=sys.argv[2:])
