"""A Python kernel with limits, for code that nobody has read yet: started by grade.py, by path, as a kernel's command.

    python kernel.py MEMORY_GB CPU_SECONDS -f connection_file

Memory that cannot be had raises an error in the cell that asks for it; a kernel that uses up its processor time is killed. The
packages that hold the solutions cannot be imported. This limits accidents; it does not keep malicious code in.
"""

import sys

GIGABYTE = 2**30
SOLUTIONS = ("uapkit", "art", "foolbox", "torchattacks")


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


if __name__ == "__main__":
    sys.path.pop(0)  # this file's own folder
    limit(float(sys.argv[1]), float(sys.argv[2]))
    for name in SOLUTIONS:
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it now fails
    import torch  # noqa: F401  # before the first cell's clock runs: on a busy machine the import takes long
    from ipykernel.kernelapp import launch_new_instance

    sys.path.insert(0, "")
    launch_new_instance(argv=sys.argv[3:])
