"""Figure 7's graph as one interactive picture, inline SVG: needs no network connection and no script."""

from __future__ import annotations

import html
import math

import pandas as pd
from IPython.display import HTML

from uapkit.figures.style import look, short
from uapkit.lab import Run, rows_of

CSS = """
.lg{display:flex;flex-wrap:wrap;gap:4px;margin:0}
.lg-hub{position:relative;width:170px;text-align:center;cursor:pointer;border-radius:6px}
.lg-hub:focus{outline:2px solid currentColor}
.lg-hub line{stroke:currentColor;stroke-width:1.5}
.lg-hub:hover line,.lg-hub:focus line{stroke-width:3}
.lg-hub svg{width:100%;display:block}
.lg-note{display:none;position:absolute;left:0;top:100%;z-index:3;width:16rem;max-width:80vw;padding:6px;text-align:left;
font-size:.85rem;background:var(--pst-color-surface,#fff);color:var(--pst-color-text-base,#111);border:1px solid #888}
.lg-hub:hover .lg-note,.lg-hub:focus .lg-note{display:block}
"""


def label_graph(run: Run, model: str, *, kind: str = "universal", hubs: int = 12) -> HTML:
    """The graph of labels: every dominant label with the labels that point to it around it.

    Each of the ``hubs`` labels with most edges is one picture that the mouse and the tabulator key reach; the labels that
    lead there are then listed, and screen readers read the same list. A dot grows with the number of images on its edge.
    What is left out is said below.
    """
    edges = rows_of(run.table, model=model, kind=kind, part="edge")
    degrees = edges["target"].value_counts(sort=False).sort_values(ascending=False, kind="stable")
    chosen = list(degrees.index[:hubs])
    pictures = "".join(_hub(rows_of(edges, target=target), str(target), look(kind).colour) for target in chosen)
    caption = (
        f"{short(model)}: {len(edges)} edges lead to {len(degrees)} labels; shown are the {len(chosen)} labels with the "
        f"most edges, {int(degrees[chosen].sum())} edges in all. Point at one, or step through them with the tabulator key."
    )
    name = html.escape(f"Graph of labels of {short(model)}")
    return HTML(
        f'<style>{CSS}</style><div class="lg" role="group" aria-label="{name}">{pictures}</div><p>{html.escape(caption)}</p>'
    )


def _hub(edges: pd.DataFrame, target: str, colour: str) -> str:
    """One dominant label in the middle, and its sources on a ring around it, on two where they are many."""
    sources = list(zip(edges["source"].astype(str), edges["count"].astype(int), edges["n"].astype(int), strict=True))
    images, many = sum(count for _, count, _ in sources), len(sources) > 14
    names = ", ".join(name if n == 1 else f"{name} ({count} of {n})" for name, count, n in sources)
    said = html.escape(f"{target}: from {len(sources)} labels, {images} images. {names}")
    parts = []
    for k, (name, count, _) in enumerate(sources):
        ring, angle = 88 * (0.62 + 0.38 * (k % 2) if many else 1.0), 2 * math.pi * k / len(sources) - math.pi / 2
        x, y, size = ring * math.cos(angle), ring * math.sin(angle), min(9.0, 3 + math.sqrt(count) / 2)
        parts.append(f'<line x1="{x:.0f}" y1="{y:.0f}" x2="0" y2="0"/>')
        title = f"<title>{html.escape(name)}</title>"
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{size:.1f}" fill="{colour}">{title}</circle>')
    return (
        f'<div class="lg-hub" tabindex="0" role="img" aria-label="{said}"><svg viewBox="-100 -100 200 200" '
        f'aria-hidden="true">{"".join(parts)}<circle r="16" fill="{colour}"/></svg>{html.escape(target)}'
        f'<div class="lg-note" aria-hidden="true">{said}</div></div>'
    )
