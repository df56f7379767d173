"""Figures in notebooks: lines are vector graphics, pictures a compact PNG, never both."""

import io

import numpy as np
import pytest
from PIL import Image

from uapkit.figures import output as plots_output
from uapkit.figures import style as plots


@pytest.fixture
def lines():
    import matplotlib.pyplot as plt

    with plots.style():
        figure, ax = plt.subplots(figsize=(4, 3))
        ax.plot([0, 1], [0, 1])
    return figure


@pytest.fixture
def pictures():
    import matplotlib.pyplot as plt

    with plots.style(grid=False):
        figure, ax = plt.subplots(figsize=(4, 3))
        ax.imshow(np.random.default_rng(0).random((64, 64, 3)))
    return figure


def test_lines_are_svg(lines):
    assert plots_output.vector(lines).startswith("<?xml")
    assert plots_output.raster(lines) is None
    assert plots_output.vector(lines) == plots_output.vector(lines)


def test_pictures_are_small_png(pictures):
    assert plots_output.vector(pictures) is None
    data = plots_output.raster(pictures)
    plain = io.BytesIO()
    pictures.savefig(plain, format="png", bbox_inches="tight", dpi=plots_output.PICTURE_DPI)
    assert len(data) < 0.7 * len(plain.getvalue())
    with Image.open(io.BytesIO(data)) as shown, Image.open(plain) as full:
        assert shown.size == full.size
        difference = np.abs(np.asarray(shown.convert("RGB"), float) - np.asarray(full.convert("RGB"), float))
    assert difference.mean() < 12, "in grey levels"


def test_too_many_points_are_a_png(monkeypatch, lines):
    monkeypatch.setattr(plots_output, "SVG_LIMIT", 10)
    assert plots_output.vector(lines) is None
    assert plots_output.raster(lines).startswith(b"\x89PNG")
