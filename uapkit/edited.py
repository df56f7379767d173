"""Was a file of code edited after this process had started? Then it may not be the code that runs."""

from __future__ import annotations

import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
STARTED = time.time()


def _stand(path: Path) -> tuple[int, int]:
    """By what a change of a file is seen, whatever a clock says."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


SEEN = {path: _stand(path) for path in PACKAGE.rglob("*.py")}  # as this process found its own package


def since_start(path: Path) -> bool:
    """Has the file changed since? Of a user's module the clock decides, of ours the file itself."""
    if path in SEEN:
        return _stand(path) != SEEN[path]
    return path.stat().st_mtime > STARTED
