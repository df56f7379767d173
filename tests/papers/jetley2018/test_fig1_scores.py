"""Figure 1: measures of curves with known answers, the stored scores are the network's, and the page's figures."""

import numpy as np
import pytest
import torch

from uapkit import models
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig1_scores as item
from uapkit.papers.jetley2018.fig1_scores import best_centre, bootstrap, even_share, shift_share

SMALL = {
    "models": ("mlp_digits",),
    "targets": (3,),
    "n_train": 120,
    "n_fit": 20,
    "n_eval": 60,
}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**SMALL, n_positions=11))


def test_measures_of_curves_with_known_answers():
    s = np.linspace(-1, 1, 21)
    rng = np.random.default_rng(0)
    shifts = s**2 + rng.normal(size=(50, 1))
    assert shift_share(shifts) == pytest.approx(1)
    assert even_share(shifts, 10) == pytest.approx(1)
    assert even_share(np.tile(s, (3, 1)), 10) == pytest.approx(0)
    assert even_share(np.tile((s - 0.2) ** 2, (3, 1)), best_centre(np.tile((s - 0.2) ** 2, (3, 1)))) == pytest.approx(1)
    assert shift_share(rng.normal(size=(400, 21))) < 0.01, "unrelated curves have no common shape"
    low, high = bootstrap(lambda w: shift_share(shifts + 0.1 * s * rng.normal(size=(50, 1)), w), 50, 0, n_boot=50)
    assert 0.5 < low < high <= 1


def test_counts_repeat_images():
    rng = np.random.default_rng(1)
    curves = rng.normal(size=(6, 9)) + np.linspace(0, 3, 9)
    counts = np.array([2.0, 0, 1, 3, 0, 0])
    repeated = np.repeat(curves, counts.astype(int), 0)
    assert shift_share(curves, counts) == pytest.approx(shift_share(repeated))
    assert even_share(curves, 4, counts) == pytest.approx(even_share(repeated, 4))


def test_fig1_scores(run):
    scores = run.table
    assert scores["kind"].tolist() == ["positive", "negative", "random"]
    assert scores["is_null"].tolist() == [False, False, True]
    rows = scores.set_index("kind")
    assert rows.loc["positive", "curvature"] > 0 > rows.loc["negative", "curvature"]
    assert ((scores["low"] <= scores["shift_share"]) & (scores["shift_share"] <= scores["high"])).all()
    at = "mlp_digits/3/positive"
    assert np.linalg.norm(run.arrays[f"v/{at}"]) == pytest.approx(1, abs=1e-5)
    net = models.load("mlp_digits")
    x, s = torch.from_numpy(run.arrays["x/mlp_digits"]), run.arrays["s/mlp_digits"]
    moved = net(x + float(s[2]) * torch.from_numpy(run.arrays[f"v/{at}"]))
    torch.testing.assert_close(torch.from_numpy(run.arrays[f"scores/{at}"][:, 2]), moved, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.from_numpy(run.arrays[f"curves/{at}"][:6, 2]), moved[:, 3], atol=1e-4, rtol=1e-4)


def test_claims_stand_beside_the_random_direction(run, every_row_decides):
    evidence = evidence_table(list(item.claims(run)))
    assert set(evidence["claim"]) == {"curves_are_shifts", "symmetric_curves"}
    random = run.where(kind="random").iloc[0]
    shifts = evidence[evidence["claim"] == "curves_are_shifts"]
    assert (shifts["null"] == random["shift_share"]).all()
    assert (evidence.loc[evidence["claim"] == "symmetric_curves", "null_high"] == random["even_high"]).all()


def test_the_slider_holds_each_position_once(run):
    page = item.slider(run, "mlp_digits", n_images=1, every=1)
    assert page.states == 3 * 11
    assert "predicted" in page.html


def test_figures_have_a_plot_a_direction(run):
    for draw in (item.figure, item.directions):
        assert [ax.get_title().split("\n")[0].split(",")[0] for ax in draw(run, "mlp_digits").axes] == ["digit 3"] * 3
