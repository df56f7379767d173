"""One warm process that has imported everything, and forks a worker and a kernel for each notebook.

Most of what a page costs is starting: Python, torch, this package, and all of it once more in the kernel. Here the
notebook is executed as ever, by papermill and nbclient in a kernel of ipykernel; only the kernel's launch is replaced, by
Jupyter's own way to do so, a provisioner: instead of starting Python it wakes a process that was forked beforehand.

The warm process imports and forks, nothing else: it computes nothing and starts no thread, so that each fork is as good as
new. A worker forks its kernel first and only then loads papermill's event loop. What a fork cannot survive ends that
worker or kernel alone.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

from uapkit.book.stage import ENVIRONMENT
from uapkit.runner.catalogue import project_root

KERNEL_LIBRARIES = ("IPython", "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipywidgets")
WORKER_LIBRARIES = ("papermill", "papermill.execute", "nbclient", "nbconvert", "jupyter_client.asynchronous")
NOTEBOOK_LIBRARIES = (
    "torch",
    "torchvision",
    "scipy.stats",
    "sklearn.datasets",
    "matplotlib.pyplot",
    "PIL.Image",
    "tqdm.auto",
)
OURS = ("uapkit.runner", "uapkit.papers", "uapkit.book.scoreboard", "uapkit.book.chapters", "uapkit.book.laboratory")
KERNELS_OWN = ("uapkit.book.page",)  # modules that must find their kernel when they are imported


def possible() -> bool:
    """Can pages be made by forks here? On Linux, unless ``UAPKIT_WARM=0``; elsewhere numerical libraries do not allow it."""
    return sys.platform.startswith("linux") and hasattr(os, "fork") and os.environ.get("UAPKIT_WARM", "1") != "0"


def warm_up() -> float:
    """Import what papermill, kernels and notebooks import; the seconds it took. Afterwards this process only forks."""
    started = time.perf_counter()
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as ipykernel sets it
    for name in (*WORKER_LIBRARIES, *KERNEL_LIBRARIES, *NOTEBOOK_LIBRARIES, *OURS):
        importlib.import_module(name)
    papers = importlib.import_module("uapkit.papers")
    for found in pkgutil.walk_packages(papers.__path__, "uapkit.papers."):
        importlib.import_module(found.name)
    gc.collect()
    gc.freeze()  # forks share what is there now
    return time.perf_counter() - started


def fork(job: Callable[[], int | None], log: Path) -> int:
    """Run ``job`` in a fork whose output goes to ``log``; the process id. Its exit status is the job's, 1 if it raised."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)  # an interrupt at the terminal reaches the warm process alone, which ends its forks
        _plain_signals()
        _redirect(log)
        status = job() or 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def execute(source: Path, target: Path) -> None:
    """Execute a notebook by papermill in a kernel forked from this process, which must have no threads yet.

    What was executed is written to ``target`` also when a cell fails; raises what papermill raises.
    """
    kernel = _ForkedKernel()
    WarmProvisioner.waiting = kernel
    KernelProvisionerFactory.provisioners[NAME] = EntryPoint(NAME, f"{__name__}:{WarmProvisioner.__name__}", GROUP)
    os.environ[KernelProvisionerFactory.default_provisioner_name_env] = NAME
    import papermill

    try:
        root = str(project_root())
        papermill.execute_notebook(str(source), str(target), progress_bar=False, cwd=root)
    finally:
        kernel.end()


class _ForkedKernel:
    """A forked process that waits to become a kernel; afterwards what jupyter_client wants of a ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        self.returncode: int | None = None
        read, self._write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._write)
            _be_kernel(read)
        os.close(read)
        with contextlib.suppress(OSError):  # the child does it, too: whoever comes first
            os.setpgid(self.pid, self.pid)

    def start(self, command: list[str], env: dict[str, str], cwd: str) -> None:
        """Tell the waiting process to be the kernel that ``command`` would have started."""
        if self._write < 0:
            raise RuntimeError("a kernel of a warm process starts once")
        told = {"arguments": command[command.index("ipykernel_launcher") + 1 :], "env": env, "cwd": cwd}
        with os.fdopen(self._write, "wb") as stream:
            self._write = -1
            stream.write(json.dumps(told).encode())

    def poll(self) -> int | None:
        """The exit status, minus the signal's number if one ended it, or None."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended."""
        while self.poll() is None:
            time.sleep(0.02)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """Nothing of it is left, whatever happened."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
        if self.poll() is None:
            self.kill()
            self.wait()


class WarmProvisioner(LocalProvisioner):
    """Jupyter's provisioner of local kernels, whose process was forked before instead of started now."""

    waiting: _ForkedKernel

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """See the base class."""
        kernel = type(self).waiting
        self.process = kernel  # type: ignore[assignment]  # it has all that is asked of a Popen
        self.pid = self.pgid = kernel.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        kernel.start(cmd, dict(kwargs.get("env") or os.environ), str(self.cwd))
        return self.connection_info


NAME, GROUP = "uapkit-warm", KernelProvisionerFactory.GROUP_NAME


def _be_kernel(read: int) -> None:
    """Wait for a command, then do what ``python -m ipykernel_launcher`` does. Never returns."""
    status = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        with os.fdopen(read, "rb") as stream:
            text = stream.read()
        if text:  # else the worker ended before it wanted a kernel
            told = json.loads(text)
            os.environ.clear()
            os.environ.update(told["env"])
            os.chdir(told["cwd"])
            for name in KERNELS_OWN:
                sys.modules.pop(name, None)
                parent, _, last = name.rpartition(".")
                vars(sys.modules[parent]).pop(last, None)
            sys.path = _path_of_kernel()
            sys.argv = ["ipykernel_launcher", *told["arguments"]]
            import numpy as np
            from ipykernel.kernelapp import IPKernelApp

            np.random.seed()  # noqa: NPY002  # as in a new process; Python's own generator does it by itself
            IPKernelApp.launch_instance(argv=told["arguments"], parent_handle=os.getppid())
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _path_of_kernel() -> list[str]:
    """``sys.path`` without the folder of the command that started the warm process, as the launcher does it."""
    script = str(Path(sys.argv[0]).parent) if sys.argv[0] else ""
    return [p for p in sys.path if p not in ("", script)]


def _plain_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _redirect(log: Path) -> None:
    """Standard input from nowhere, standard output and error to a file: also those of C code and of forks of this one."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number in (1, 2):
        os.dup2(stream, number)
    os.close(nowhere)
    os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
