"""Parameters as they are typed at the command line: ``name=value`` with values in YAML."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import yaml

NETWORK = re.compile(r"""(?<!["'\w.])[\w.]+\[[\w.]+\]""")  # name[tag], in which YAML sees a list unless it is quoted


def parameters(pairs: list[str]) -> dict[str, Any]:
    """``name=value`` pairs; values are read as YAML, as papermill does, and ``1e-3`` and ``inf`` are numbers.

    Values may not refer to one another (YAML's ``&`` and ``*``): a few letters would stand for billions of values.
    Networks with a tag, ``name[tag]``, need no quotes. Raises ValueError for what is neither.
    """
    found = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"-p takes name=value, got {pair!r}")
        try:
            value = _numbers(yaml.load(NETWORK.sub(r'"\g<0>"', text), _Plain))
        except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            shown = name if name.isprintable() else repr(name)
            raise ValueError(
                f"the value of -p {shown} must be a number, a name, [a, b] or {{name: value}}, got {text!r}"
            ) from None
        found[name.strip()] = value
    return found


def _numbers(value: Any) -> Any:
    """Text that is a number as a number, in lists and mappings too: YAML takes 1e-3 and inf for text."""
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


class _Plain(yaml.SafeLoader):
    """YAML's plain values, without references."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a reference")
        return super().compose_node(parent, index)
