"""One bar for all long work: its rate and the time left, on a terminal, and nowhere else."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from tqdm import tqdm


class Bar(tqdm):
    """tqdm's bar, of which one at a time is seen: what is long inside of long work moves the outer bar only.

    It is silent where no terminal reads it (under papermill, which has a bar of its own, and in logs), and anywhere with
    ``UAPKIT_QUIET=1`` in the environment. Arguments as tqdm's, ``disable`` and ``leave`` excepted.
    """

    _seen: ClassVar[int] = 0
    _counted = False

    def __init__(self, *args: Any, **settings: Any) -> None:
        silent = Bar._seen > 0 or os.environ.get("UAPKIT_QUIET", "") not in ("", "0")
        super().__init__(*args, **settings, disable=True if silent else None, leave=False)  # type: ignore[call-overload]
        self._counted = not self.disable
        Bar._seen += self._counted

    def close(self) -> None:
        """Take it away; the next one is seen again."""
        Bar._seen -= self._counted
        self._counted = False
        super().close()
