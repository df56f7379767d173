"""Every table of numbers on an item's page: at most five columns, a number and its interval in one cell, the rest folded.

Which five, by one rule. A table opens with its *settings* (network, kind, layer, ...), the columns before its first measured
one; up to three of them are shown: network and kind, then those that tell most rows apart. Measured columns follow: a fooling
rate first, then what has an interval, then the others as they stand, the number of images last. A caller who knows better
names the columns. What is the same in all rows goes to the caption. The whole table is folded away below as "all columns".

A matrix of networks against networks is one thing and is shown whole (:func:`matrix`), its cells shaded by their numbers.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib import colormaps
from matplotlib.colors import to_hex

from uapkit.book import evidence
from uapkit.book.markup import breakable, scrolling
from uapkit.names import label, network

MOST = 5  # columns before the fold
SETTINGS = 3  # of them, at most
LEADING = ("model", "network", "kind", "direction", "layer")  # settings that a reader looks for first
KNOBS = ("eps", "delta", "relative_norm", "strength", "step", "norm", "p", "q")  # settings though they are fractions
LABELS = ("label", "perturbed_label")  # what a network says is measured, though it is a word
SIZES = ("n", "n_eval", "n_seeds")  # measured last
RATES = ("_rate", "accuracy", "_share")  # what columns `low` and `high` without a name of their own belong to
KEPT = ("low", "high", "carried", "verdict")  # never told in the caption


def number(value: Any) -> str:
    """A cell's text, escaped: three digits of a number, whole numbers whole, a dash for what is missing."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "–" if value is None or value is pd.NA else breakable(str(value)) if str(value) else ""
    if value != value:
        return "–"
    if math.isinf(value):
        return evidence.brief(value)
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value)}"
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"


def table(frame: pd.DataFrame, caption: str = "", *, shown: Sequence[str] = ()) -> HTML:
    """The frame as HTML in its own scrolling box: at most five columns, then all of them in a fold.

    shown: the columns before the fold, where the rule of this module chooses badly. Raises ValueError for more than five.
    """
    if len(shown) > MOST:
        raise ValueError(f"a table shows at most {MOST} columns before its fold, got {len(shown)}: {', '.join(shown)}")
    frame, same = without_constants(with_class_names(frame), keep=(*KEPT, *shown))
    caption = f"{caption} ({same})" if same and caption else caption
    cells, measured = with_intervals(frame)
    first = list(shown) or chosen(frame, list(cells), measured)
    rest = [c for c in cells.columns if c not in first]
    if len(cells.columns) <= MOST:
        return HTML(_html(cells, caption, "uapkit-table uapkit-few"))
    few = _html(cells[first], caption, "uapkit-table uapkit-few")
    whole = _html(cells[[*first, *rest]], f"{caption}: all columns" if caption else "all columns", "uapkit-table")
    words = f"all {len(cells.columns)} columns"
    return HTML(f'{few}<details class="uapkit-columns"><summary>{words}</summary>{whole}</details>')


def matrix(frame: pd.DataFrame, caption: str, *, digits: int = 2) -> HTML:
    """Shares, row against column, all of them in one table; each cell has the colour of its number, from 0 to 1.

    frame: the first column names the rows, every other is a column of the matrix, its numbers in [0, 1] or missing.
    """
    names, numbers = frame.iloc[:, 0], frame.iloc[:, 1:].astype(float)
    if ((numbers < 0) | (numbers > 1)).to_numpy().any():
        raise ValueError(f"a matrix shows shares in [0, 1], got {numbers.min().min():g} to {numbers.max().max():g}")
    head = "".join(f'<th scope="col">{html.escape(network(str(c)))}</th>' for c in numbers.columns)
    corner = f'<th scope="col">{html.escape(str(frame.columns[0]).replace("_", " "))}</th>'
    body = "\n".join(
        f'<tr><th scope="row">{html.escape(network(str(name)))}</th>{"".join(_shaded(v, digits) for v in row)}</tr>'
        for name, row in zip(names, numbers.to_numpy(), strict=True)
    )
    return HTML(
        scrolling(
            f'<table class="uapkit-table uapkit-matrix"><caption>{html.escape(caption)}</caption>'
            f"<thead><tr>{corner}{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>",
            caption,
        )
    )


def _shaded(value: float, digits: int) -> str:
    """A cell of :func:`matrix`: the colour of the figures' matrices, in it white or black letters, whichever stand out more."""
    if value != value:
        return "<td>–</td>"
    ground = np.array(colormaps["cividis"](value)[:3])
    linear = np.where(
        ground <= 0.04045, ground / 12.92, ((ground + 0.055) / 1.055) ** 2.4
    )  # sRGB, as WCAG reckons contrast
    ink = "#fff" if linear @ (0.2126, 0.7152, 0.0722) < 0.179 else "#000"
    return f'<td style="background: {to_hex(tuple(ground))}; color: {ink}">{value:.{digits}f}</td>'


def with_class_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The table whose target classes have their names where their network's are known: "frog", "digit 6"."""
    if not {"model", "target"} <= set(frame.columns):
        return frame
    called = [
        label(str(model), int(target)) if isinstance(target, (int, float)) and target == target else target
        for model, target in zip(frame["model"], frame["target"], strict=True)
    ]
    return frame.assign(target=called)


def without_constants(frame: pd.DataFrame, keep: Sequence[str] = ()) -> tuple[pd.DataFrame, str]:
    """The columns that tell rows apart, and in words what is the same in all of them."""
    same = [c for c in frame.columns if c not in keep and len(frame) > 1 and frame[c].nunique(dropna=False) == 1]
    words = ", ".join(f"{c.replace('_', ' ')} {_plain(frame[c].iloc[0])}" for c in same if str(frame[c].iloc[0]))
    return frame.drop(columns=same), words


def with_intervals(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """(cells as HTML, the columns that have an interval): each ``low`` and ``high`` joins the column that it belongs to."""
    ends = {}
    for low in (c for c in frame.columns if c == "low" or str(c).endswith("_low")):
        high = f"{low[:-3]}high"
        value = _owner(frame, low, high) if high in frame else None
        if value and value not in ends:
            ends[value] = (low, high)
    cells = pd.DataFrame({c: [number(v) for v in frame[c]] for c in frame.columns}, index=frame.index)
    for value, (low, high) in ends.items():
        told = zip(*(pd.to_numeric(frame[c]).astype(float) for c in (value, low, high)), strict=True)
        cells[value] = [evidence.interval(*one) for one in told]
    return cells.drop(columns=[c for pair in ends.values() for c in pair]), list(ends)


def _owner(frame: pd.DataFrame, low: str, high: str) -> str | None:
    """The column whose interval [low, high] is: nearest before it, of its name or a rate first, inside it in every row."""
    before = [c for c in frame.columns[: list(frame.columns).index(low)][::-1] if _numeric(frame[c])]
    name = low[:-4].removesuffix("_")
    likely = [c for c in before if (c.startswith(name) or c.endswith(name)) if name]
    likely += [c for c in before if str(c).endswith(RATES)] if not name else []
    if not (_numeric(frame[low]) and _numeric(frame[high])):
        return None
    ends = frame[[low, high]].astype(float)
    for c in dict.fromkeys(likely + before):
        value = frame[c].astype(float)
        outside = (value < ends[low] - 1e-9) | (value > ends[high] + 1e-9)
        if not outside.any() and not str(c).endswith(("low", "high")):
            return c
    return None


def chosen(frame: pd.DataFrame, columns: list[str], measured: list[str]) -> list[str]:
    """The columns before the fold, by the rule of this module."""
    if len(columns) <= MOST:
        return columns
    lead = []
    for c in columns:
        if c in measured or c in SIZES or c in LABELS or (c not in KNOBS and _fraction(frame[c])):
            break
        lead.append(c)
    lead = lead or columns[:1]
    few = telling(frame, lead)
    rates = [c for c in measured if c.endswith("fooling_rate") and frame[c].notna().mean() >= 0.5]
    rates += [c for c in LABELS if c in columns]
    last = [c for c in columns if c in SIZES]
    rest = [c for c in columns if c not in lead and c not in last]
    after = dict.fromkeys([*rates, *(c for c in rest if c in measured), *rest, *last, *lead])
    return [*few, *(c for c in after if c not in few)][:MOST]


def telling(frame: pd.DataFrame, settings: list[str], most: int = SETTINGS) -> list[str]:
    """At most ``most`` settings, in the table's order: network and kind, then each time the one that tells most rows apart."""
    few = [c for c in LEADING if c in settings][: min(2, most)]
    told = len(frame[few].astype(str).drop_duplicates()) if few else 1
    while len(few) < min(most, len(settings)):
        counts = {c: len(frame[[*few, c]].astype(str).drop_duplicates()) for c in settings if c not in few}
        best = max(counts, key=lambda c: counts[c])
        if counts[best] <= told:
            break
        few, told = [*few, best], counts[best]
    return [c for c in settings if c in few]


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _fraction(column: pd.Series) -> bool:
    """Whether a column holds numbers that are not all whole."""
    values = column.dropna().astype(float) if _numeric(column) else pd.Series(dtype=float)
    return bool((values[values.abs() < math.inf] % 1 != 0).any())


def _plain(value: Any) -> str:
    return html.unescape(number(value).replace("<wbr>", ""))


def _html(cells: pd.DataFrame, caption: str, kind: str) -> str:
    head = "".join(f'<th scope="col">{html.escape(str(c).replace("_", " "))}</th>' for c in cells.columns)
    rows = cells.itertuples(index=False)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return scrolling(
        f'<table class="{kind}">{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>',
        caption or "table",
    )
