"""Drawing of paper J: means over draws, axes that can be read, and a word where nothing was run."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from uapkit.figures.style import look
from uapkit.lab import Run
from uapkit.papers.jetley2018 import ext_step, fig4_deepfool_svd
from uapkit.papers.jetley2018.drawing import accuracy_on_spans, draws
from uapkit.papers.jetley2018.spans import ATTACKS, SPANS
from uapkit.papers.jetley2018.subspaces import KINDS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_draws_are_averaged_and_their_hull_is_kept():
    rows = pd.DataFrame(
        {"d": [8, 8, 80, 80], "accuracy": [0.2, 0.4, 0.2, 0.4], "low": [0.1, 0.3] * 2, "high": [0.5, 0.6] * 2}
    )
    _, ax = plt.subplots()
    draws(ax, rows, "d", ("accuracy", "low", "high"), look("random"), "random")
    assert list(ax.lines[0].get_ydata()) == pytest.approx([0.3, 0.3])
    band = ax.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (0.1, 0.6)


def test_accuracy_on_spans_draws_the_kinds_that_are_there():
    rows = {"kind": ["S_hi", "S_hi", "random"], "d": [8, 80, 8], "accuracy": 0.5, "low": 0.4, "high": 0.6}
    figure = accuracy_on_spans(Run.of(pd.DataFrame(rows).assign(model="net", status="run")), SPANS)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"S_hi", "random"}
    assert figure.axes[0].get_xscale() == "log"


def test_nothing_run_says_so():
    run = Run.of(pd.DataFrame({"model": ["alexnet"], "status": ["not run here"]}))
    for draw in (fig4_deepfool_svd.figure, ext_step.figure):
        assert draw(run).axes[0].texts[0].get_text() == "not run here"


def test_lines_of_one_figure_can_be_told_apart():
    for kinds in ((*ATTACKS, "random", "principal components"), SPANS, (*KINDS, "random", "data")):
        assert len({look(kind) for kind in kinds}) == len(kinds)
