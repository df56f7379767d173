"""From points to one tidy table: a loop that shows progress and keeps the row of what is not on this machine.

Nothing is stored here. What takes time inside a point goes through :func:`uapkit.lab.keep`, so that an interrupted run
resumes and items share what they have in common.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import pandas as pd

from uapkit.checks import NotHere
from uapkit.lab.run import Arrays
from uapkit.lab.together import each, in_company
from uapkit.progress import Bar

Rows: TypeAlias = list[dict[str, Any]]
PerNetwork: TypeAlias = (
    Any  # a value for all networks, or a mapping by network with "default" (or "other") for the rest
)


def for_network(value: PerNetwork, network: str, name: str = "a setting") -> Any:
    """``value`` itself, or its entry for the network (with or without the tag of its weights), else for all others.

    "default" and "other" both stand for all others. Raises ValueError, with the setting's ``name``, where a mapping says
    nothing of the network.
    """
    if not isinstance(value, Mapping):
        return value
    for key in (network, network.partition("[")[0], "default", "other"):
        if key in value:
            return value[key]
    raise ValueError(f'{name} by network needs a value for {network!r}, or for "default", got one for {sorted(value)}')


def sweep(
    points: Iterable[Mapping[str, Any]],
    compute: Callable[..., Rows | tuple[Rows, Mapping[str, Any]]],
    *,
    desc: str = "",
) -> pd.DataFrame:
    """``compute(**point)`` for every point, as one tidy table; each row also carries its point's plain values.

    ``compute`` returns rows (a list of dicts) or (rows, arrays); arrays end in ``table.attrs["arrays"]``. A point that
    raises :class:`NotHere` becomes a row with status "not run here"; all others have "run". Where other processes are at
    the same run (:mod:`uapkit.lab.together`), the points are first gone through in the order in which they are free; the
    rows are then made from what is kept, in the order of ``points``, as ever.
    """
    points = [dict(p) for p in points]
    if in_company():
        each([partial(_attempt, compute, point) for point in points])
    rows: Rows = []
    arrays = Arrays()
    for point in Bar(points, desc=desc):
        try:
            result = compute(**point)
        except NotHere:
            rows.append({**point, "status": "not run here"})
            continue
        new_rows, new_arrays = result if isinstance(result, tuple) else (result, {})
        rows += [{**point, "status": "run", **row} for row in new_rows]
        arrays |= new_arrays
    table = pd.DataFrame(rows)
    table.attrs["arrays"] = arrays
    return table


def _attempt(compute: Callable[..., Any], point: Mapping[str, Any]) -> None:
    with contextlib.suppress(NotHere):
        compute(**point)
