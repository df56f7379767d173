"""Places that fail: a full disk, a file system that cannot be written, a machine without a network. Linux, in a process apart."""

import ctypes
import os
import pickle  # noqa: TID251 - from our own fork, through a pipe
import sys
import traceback

import pytest

NEWNS, NEWUSER, NEWNET = 0x20000, 0x10000000, 0x40000000  # of <linux/sched.h>
RDONLY, REMOUNT, BIND = 1, 32, 4096  # of <sys/mount.h>


def apart(act, *, network=True):
    """What ``act()`` answers in a fork that may mount what it likes; the test is skipped where the system forbids that.

    What it raises is raised here, as an AssertionError with its text.
    """
    if sys.platform != "linux":
        pytest.skip("only Linux lets a process mount file systems for itself alone")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            try:
                _namespaces(network)
            except OSError as error:
                answer = ("skip", f"this system gives its users no namespaces ({error})")
            else:
                answer = ("done", act())
        except BaseException:
            answer = ("failed", traceback.format_exc())
        with os.fdopen(write, "wb") as stream:
            pickle.dump(answer, stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        kind, answer = pickle.load(stream)
    os.waitpid(pid, 0)
    if kind == "skip":
        pytest.skip(answer)
    assert kind == "done", answer
    return answer


def _namespaces(network):
    ids = os.getuid(), os.getgid()
    _call("unshare", NEWUSER | NEWNS | (0 if network else NEWNET))
    for path, text in (("setgroups", "deny"), ("uid_map", f"0 {ids[0]} 1"), ("gid_map", f"0 {ids[1]} 1")):
        with open(f"/proc/self/{path}", "w") as file:
            file.write(text)


def _call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def small_disk(folder, kilobytes):
    """A file system of that size at ``folder``; what lay there is hidden."""
    folder.mkdir(parents=True, exist_ok=True)
    _call("mount", b"none", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), f"size={kilobytes}k".encode())


def read_only(folder):
    """Nothing below ``folder`` can be written any more, not by root either."""
    place = os.fsencode(folder)
    _call("mount", place, place, None, ctypes.c_ulong(BIND), None)
    _call("mount", b"none", place, None, ctypes.c_ulong(REMOUNT | BIND | RDONLY), None)


def fill(folder, leave):
    """Leave so many bytes free on the disk of ``folder``; the file that takes the rest."""
    path = folder / "filler"
    with open(path, "wb") as file:
        free = os.statvfs(folder)
        while (left := free.f_bavail * free.f_frsize - leave) > 0:
            try:
                file.write(bytes(min(left, 1 << 20)))
                file.flush()
            except OSError:
                break
            free = os.statvfs(folder)
    return path
