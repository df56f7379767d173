"""Figures of paper M's labels, norms and normals show what their tables hold."""

import numpy as np
import pandas as pd
import pytest

from uapkit.figures import labels as plots_labels


def lines(ax):
    """Lines of a panel by their label."""
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_norms_draws_means_over_the_draws():
    rows = [
        {"model": "net", "status": "run", "kind": kind, "draw": k, "l2_norm": 100.0 * size, "fooling_rate": size / 10 + k / 10}
        for kind in ("universal", "random direction")
        for k in range(3)
        for size in (1, 2)
    ]  # fmt: skip
    ax = plots_labels.norms(pd.DataFrame(rows)).axes[0]
    found = lines(ax)
    assert set(found) == {"universal", "random direction"}
    assert found["universal"].get_xdata().tolist() == [100, 200]
    assert found["universal"].get_ydata().tolist() == pytest.approx([0.2, 0.3])


def test_spectrum_has_a_panel_a_network():
    arrays = {f"values/{net}/{kind}": np.arange(5, 0, -1.0) for net in ("a", "b") for kind in ("normals", "random")}
    axes = plots_labels.spectrum(arrays | {"other": np.ones(3)}).axes
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    assert lines(axes[0])["normals"].get_ydata().tolist() == [5, 4, 3, 2, 1]
    assert plots_labels.spectrum({}).axes, "nothing was run: an empty figure"


def test_subspace_has_a_dot_a_draw_and_a_bar_a_kind():
    rows = [
        {"model": "net", "status": "run", "kind": kind, "k": k, "draw": d, "fooling_rate": 0.1 * d}
        for kind, k in (("random direction", 0), ("subspace of normals", 10), ("subspace of normals", 100))
        for d in range(4)
    ]
    ax = plots_labels.subspace(pd.DataFrame(rows)).axes[0]
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.15] * 3)
    assert [len(line.get_xdata()) for line in ax.lines] == [4, 4, 4]
    assert "k = 100" in ax.get_xticklabels()[2].get_text()


def test_rounds_sets_the_control_apart():
    rows = [
        {"model": "net", "status": "run", "kind": kind, "round": r, "seed": s, "fooling_rate": rate - 0.1 * r, "old_rate": 0.2,
         "random_rate": 0.01, "accuracy": 0.9}
        for kind, rate in (("perturbed", 0.6), ("control", 0.8)) for r in (0, 1, 2) for s in (0, 1)
    ]  # fmt: skip
    found = lines(plots_labels.rounds(pd.DataFrame(rows)).axes[0])
    assert found["new universal perturbation"].get_ydata().tolist() == pytest.approx([0.6, 0.5, 0.4])
    assert found["new one, tuned on clean images"].get_ydata().tolist() == pytest.approx([0.8, 0.7, 0.6])


@pytest.mark.parametrize("draw", [plots_labels.norms, plots_labels.subspace, plots_labels.shares, plots_labels.rounds])
def test_what_was_not_run_is_said(draw):
    figure = draw(pd.DataFrame([{"model": "vgg16", "status": "not run here"}]))
    assert figure.axes[0].texts[0].get_text() == "not run here"
