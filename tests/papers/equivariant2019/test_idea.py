"""The idea's picture: arrows about one axis, and the axis is what the top singular vector finds."""

import numpy as np

from uapkit.papers.equivariant2019 import idea


def test_arrows_have_one_axis_and_two_signs():
    rows = idea.arrows()
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    top = np.linalg.svd(rows, full_matrices=False)[2][0]
    assert abs(top @ [np.cos(np.pi / 5), np.sin(np.pi / 5)]) > 0.99
    assert 0 < np.mean(rows @ top > 0) < 1


def test_the_figure_shows_the_shares_of_the_squares():
    axes = idea.figure().axes
    s = np.linalg.svd(idea.arrows(), compute_uv=False)
    assert np.allclose([bar.get_height() for bar in axes[1].patches], s**2 / idea.N_ARROWS)
    assert len([ax for ax in axes if ax.images]) == 2, "an image and its invariant direction"
