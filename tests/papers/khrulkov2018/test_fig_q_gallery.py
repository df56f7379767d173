"""Vectors for several q: values fall with q, and neighbouring pixels are counted right."""

import math

import pytest
import torch

from uapkit import lab
from uapkit.papers.khrulkov2018 import fig_q_gallery
from uapkit.papers.khrulkov2018.fig_q_gallery import neighbours


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
    assert claim.found == lab.rank_correlation(-1 / own.index, own["neighbours"])
    fresh = table[table["kind"] == "untrained network"]
    assert claim.null == lab.rank_correlation(-1 / fresh["q"], fresh["neighbours"])
    titles = [ax.get_title(loc="left") for ax in fig_q_gallery.figure(run).axes]
    assert titles == ["LeNet (digits)\nq = 1", "\nq = 4", "\nq = 8", "\nq = inf"]


def test_neighbours_of_stripes():
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(8, 2)[None]
    assert neighbours(stripes) == pytest.approx((1 + 1 / 7) / 2), "the same downwards, 4 of 7 pairs equal across"
