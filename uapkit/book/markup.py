"""Small pieces of HTML that tables, boxes and the scoreboard share."""

from __future__ import annotations

import html
import re
from typing import Any


def text(value: Any) -> str:
    """Escaped for HTML; a dash where there is nothing."""
    return "–" if value is None or value == "" or value != value else html.escape(str(value))


def breakable(name: str) -> str:
    """A long name that may break at its underscores, slashes and brackets, and nowhere else."""
    return re.sub(r"([_/])|(?=\[)", r"\1<wbr>", text(name))


def badge(verdict: str) -> str:
    """A verdict as a coloured word; the word alone says it, too."""
    return f'<span class="uapkit-verdict" data-verdict="{text(verdict)}">{text(verdict)}</span>'
