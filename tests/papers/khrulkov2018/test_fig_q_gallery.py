"""Vectors for several q: values fall with q, and neighbouring pixels are counted right."""

import math

import pytest
import torch

from uapkit import lab
from uapkit.papers.khrulkov2018 import fig_q_gallery
from uapkit.papers.khrulkov2018.fig_q_gallery import above_noise, edge_clearness, neighbours


def test_fig_q_gallery():
    given = {"models": ("lenet_digits",), "n_fit": 8, "max_iter": 8, "seed": 3, "n_select": 16}
    table = fig_q_gallery.run(**given, layer="relu", qs=(1.0, 4.0, 8.0, math.inf))
    own = table[table["kind"] == "vector"].set_index("q")
    assert own["singular_value"].is_monotonic_decreasing
    for q in own.index:
        v = torch.from_numpy(table.attrs["arrays"][f"v/lenet_digits/q = {q:g}"])
        assert torch.equal(v.abs().unique(), torch.tensor([0.2]))
        assert neighbours(v) == pytest.approx(own.loc[q, "neighbours"])
    noise = table.loc[table["kind"] == "random signs", "neighbours"].item()
    assert abs(noise) < 0.1 < own["neighbours"].min()
    run = lab.Run.of(table)
    (claim,) = fig_q_gallery.claims(run)
    assert claim.found.n == 9, "three by three squares of 8 pixels"
    other = lab.Run(
        run.table, run.arrays | {f"v/lenet_digits/q = {q:g}": run.arrays["v/lenet_digits/q = 1"] for q in own.index}
    )
    (same,) = fig_q_gallery.claims(other)
    assert same.found.value == pytest.approx(0) != claim.found.value, "one vector for every q has no trend"
    titles = [ax.get_title(loc="left") for ax in fig_q_gallery.figure(run).axes]
    assert titles == ["LeNet (digits)\nq = 1", "\nq = 4", "\nq = 8", "\nq = inf"]


def test_edges_are_lines_of_one_direction_and_not_smoothness():
    """Stripes at any angle are as clear as can be; noise is not, and smoothing it helps little."""
    draws = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 66, 66, generator=draws)
    smooth = torch.nn.functional.avg_pool2d(noise[None], 5, 1, 2)[0]
    y, x = torch.meshgrid(torch.arange(66.0), torch.arange(66.0), indexing="ij")
    for angle in (0.0, 0.5, 1.2):
        stripes = torch.sin(0.9 * (x * math.cos(angle) + y * math.sin(angle)))[None]
        assert float(edge_clearness(stripes, 16).min()) > 0.9
    assert len(edge_clearness(noise, 16)) == 16
    assert float(edge_clearness(noise, 16).mean()) < 0.3 > float(edge_clearness(smooth, 16).mean())
    assert float(edge_clearness(torch.ones(1, 66, 66), 16).max()) == 0


def test_noise_of_the_same_spectrum_has_no_clear_edges_of_its_own():
    """One patch of stripes in each direction: noise with that spectrum has both directions everywhere."""
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(56, 14)
    both = torch.where(torch.arange(56) < 28, stripes, stripes.T)[None]
    assert above_noise(both).mean() > 0.3
    assert abs(above_noise(torch.randn(1, 56, 56, generator=torch.Generator().manual_seed(1)).sign()).mean()) < 0.1


def test_neighbours_of_stripes():
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(8, 2)[None]
    assert neighbours(stripes) == pytest.approx((1 + 1 / 7) / 2), "the same downwards, 4 of 7 pairs equal across"
