"""How a notebook shows a figure: lines as vector graphics, pictures as compact PNG, so that a page stays small and sharp."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SVG_LIMIT = 400_000  # bytes; above it a PNG is smaller, e.g. for thousands of points
PICTURE_DPI = 88  # figures that hold pictures: nearly as wide as the column; more weighs more than a page may
LINE_DPI = 110


def as_svg(figure: Figure, salt: str = "uapkit") -> bytes:
    """A figure as SVG whose bytes do not depend on the day; text as outlines, so that no font is needed."""
    buffer = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": salt, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return buffer.getvalue()


def as_png(figure: Figure, *, dpi: int) -> bytes:
    """A figure as PNG with a palette of 256 colours."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", dpi=dpi)
    buffer.seek(0)
    small, about = io.BytesIO(), PngInfo()
    about.add_text("lettering", f"{smallest_lettering(figure):g} {dpi}")
    with Image.open(buffer) as picture:
        colours = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        colours.save(small, format="PNG", optimize=True, pnginfo=about)
    return small.getvalue()


def smallest_lettering(figure: Figure) -> float:
    """Size of the smallest text of a figure, in points; 0 without any. Ticks that are not drawn do not count."""
    hidden = {
        id(text)
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        if not (ax.axison and axis.get_visible())
        for text in axis.get_ticklabels()
    }
    texts = [one for one in figure.findobj(Text) if isinstance(one, Text)]
    shown = [one for one in texts if one.get_visible() and one.get_text().strip() and id(one) not in hidden]
    return min((float(text.get_fontsize()) for text in shown), default=0.0)


def vector(figure: Figure) -> str | None:
    """SVG of a figure without pictures, or None where a PNG is better."""
    if any(ax.images for ax in figure.axes):
        return None
    data = as_svg(figure)
    return data.decode() if len(data) <= SVG_LIMIT else None


def raster(figure: Figure) -> bytes | None:
    """PNG of a figure that is not shown as SVG, else None."""
    pictures = any(ax.images for ax in figure.axes)
    return as_png(figure, dpi=PICTURE_DPI if pictures else LINE_DPI) if pictures or vector(figure) is None else None


def show_figures_so(shell: Any) -> None:
    """Tell IPython to show figures by :func:`vector` and :func:`raster` from now on."""
    plt.switch_backend(
        matplotlib.get_backend()
    )  # the notebook's backend registers its own way when it is loaded; before us
    formatters = shell.display_formatter.formatters
    formatters["image/svg+xml"].for_type(Figure, vector)
    formatters["image/png"].for_type(Figure, raster)
