"""Gradients beside DeepFool on a linear network, and the overlap of planted spans."""

import numpy as np
import pytest
import torch

from uapkit import subspace
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import ext_gradient_svd as item
from uapkit.papers.jetley2018.ext_gradient_svd import halves_overlap, left_out, overlap

LINEAR = {"models": ("linear_digits",), "n_fit": 60, "n_eval": 80, "seed": 3, "n_random": 1}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**LINEAR, shares=(10 / 784, 0.1)))


def test_ext_gradient_svd(run):
    at = run.where(d=10).set_index("kind")
    assert at.loc["random", "overlap"] < 5 * 10 / 784
    assert at.loc["gradients of all classes", "overlap"] > 0.85, "ten gradients hold their nine differences"
    assert at.loc["gradients of all classes", "accuracy"] >= at.loc["deepfool", "accuracy"] - 0.05
    assert at.loc["gradient, untrained network", "overlap"] < 0.5
    assert (run.table["overlap_low"].dropna() <= run.table["overlap"].dropna()).all()
    nulls = {"gradient, untrained network", "random", "principal components"}
    assert set(run.table.loc[run.table["is_null"], "kind"]) == nulls
    evidence = evidence_table(list(item.claims(run)))
    assert set(evidence["claim"]) == {"gradients_carry_the_accuracy", "gradients_span_the_same"}
    largest = run.where(kind=list(nulls), d=78)["overlap_high"].max()
    assert (evidence.loc[evidence["claim"] == "gradients_span_the_same", "bound"] == largest).all()


def test_overlap_of_planted_spans():
    rng = torch.Generator().manual_seed(1)
    rows = torch.randn(50, 3, generator=rng) @ torch.eye(12)[:3]
    same, other = left_out(rows, 12), left_out(rows.flip(1), 12)
    assert overlap(same, same, 3)["overlap"] == pytest.approx(1, abs=1e-5)
    assert overlap(same, other, 3)["overlap"] < 1e-6
    half = [torch.linalg.qr(torch.randn(12, 12, generator=rng))[0]]
    found = overlap(same[:1], half, 12)
    assert found["overlap"] == pytest.approx(1, abs=1e-5), "the whole space overlaps with itself"
    angles = np.radians(subspace.principal_angles(same[0][:, :3], half[0][:, :3]))
    assert overlap(same[:1], half, 3)["overlap"] == pytest.approx((np.cos(angles) ** 2).mean(), abs=1e-5)
    assert halves_overlap(rows, 3)["overlap"] == pytest.approx(1, abs=1e-5), "both halves lie in the same three"
    assert halves_overlap(rows, 26) == {}, "a half has not so many rows"


def test_figures_show_chance_and_every_kind(run):
    labels = {text.get_text() for text in item.figure(run).legends[0].get_texts()}
    assert {"chance, d / D", "gradients of all classes", "random"} <= labels
    assert len(item.accuracies(run).axes[0].lines) == 6
