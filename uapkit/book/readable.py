"""How readable the book was and is: the measurements of ``tests/browser/measure.py`` in one table, before and after."""

from __future__ import annotations

import pandas as pd

from uapkit.book.html import raw
from uapkit.book.markup import plain
from uapkit.runner.catalogue import project_root

SOON, CLAIMS = 0.5, 1.5  # screens to the first picture or verdict, and to the claims, that we aim at
WIDTHS = {"1280": "Desktop, 1280 pixels wide", "390": "Phone, 390 pixels wide"}


def summary(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """The measurements that matter, {(what, width): number as words}."""
    found: dict[tuple[str, str], str] = {}
    for width, rows in table.astype({"width": str}).groupby("width", sort=False):
        items, chapters = (
            rows[rows["page"].str.startswith("notebooks/")],
            rows[rows["page"].str.contains("book/papers/")],
        )
        shown = {
            "Item pages with a picture and a verdict in the first screen": f"{_both(items)} of {len(items)}",
            "Screens to the first picture, median of the item pages": f"{items['to_picture'].median():.1f}",
            "Screens to the first verdict, median of the item pages": f"{items['to_verdict'].median():.1f}",
            "Item pages with a picture or a verdict in the first half screen": f"{_soon(items)} of {len(items)}",
            "Screens to “Claim by claim”, median of the item pages": f"{items['to_claims'].median():.1f}",
            "Item pages with “Claim by claim” in the first one and a half screens": (
                f"{(items['to_claims'] <= CLAIMS).sum()} of {len(items)}"
            ),
            "Screens of an item page, median": f"{items['screens'].median():.1f}",
            "Screens of a chapter, shortest to longest": f"{chapters['screens'].min():.0f} to {chapters['screens'].max():.0f}",
            "Tables wider than their column": f"{rows['tables_cut'].sum()} of {rows['tables'].sum()}",
            "Tables with more than five columns": f"{rows['tables_over_5_columns'].sum()} of {rows['tables'].sum()}",
            "Smallest lettering in a figure, pixels": f"{rows['smallest_lettering_px'].min():.1f}",
            "Figures whose smallest lettering is under 8 pixels": (
                f"{rows['figures_under_8_px'].sum():.0f} of {rows['figures_with_text'].sum()}"
            ),
        }
        found |= {(what, str(width)): value for what, value in shown.items()}
    return found


def _soon(items: pd.DataFrame) -> int:
    return int((items[["to_picture", "to_verdict"]].min(axis=1) <= SOON).sum())


def _both(items: pd.DataFrame) -> int:
    return int(((items["to_picture"] < 1) & (items["to_verdict"] < 1)).sum())


def compared(before: pd.DataFrame, after: pd.DataFrame | None, width: str) -> pd.DataFrame:
    """What was measured at a width, before and after; a dash where there is no second measurement yet."""
    then, now = summary(before), {} if after is None else summary(after)
    whats = [what for what, at in then if at == width]
    return pd.DataFrame(
        {
            WIDTHS[width]: whats,
            "before": [then[what, width] for what in whats],
            "after": [now.get((what, width), "–") for what in whats],
        }
    )


def fragment() -> str:
    """:func:`tables` as a page includes it."""
    return raw(tables())


def tables() -> str:
    """The comparison of the stored measurements as HTML, a table a width."""
    found = {when: project_root() / "book" / "measured" / f"{when}.csv" for when in ("before", "after")}
    before, after = (pd.read_csv(f, dtype={"width": str}) if f.is_file() else None for f in found.values())
    if before is None:
        raise ValueError(f"{found['before']} is missing; tests/browser/measure.py writes such a file")
    return "\n".join(_shown(compared(before, after, width)) for width in WIDTHS)


def _shown(compared: pd.DataFrame) -> str:
    return plain(compared, f"How readable: {compared.columns[0]}")
