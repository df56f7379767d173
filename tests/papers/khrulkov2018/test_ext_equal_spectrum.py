"""A vector beside noise of its spectrum: conditions are what they say, claims are paired, JPEG loses what JPEG loses."""

import numpy as np
import pytest
import torch

from uapkit import evaluate, lab
from uapkit.lab import Run
from uapkit.papers.khrulkov2018 import ext_equal_spectrum as item

SMALL = {"n_fit": 8, "n_select": 24, "n_eval": 60, "max_iter": 3}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(models=["lenet_digits", "mlp_digits"], **SMALL))


def test_ext_equal_spectrum(run):
    """Every network has each kind once in each condition, random signs none from elsewhere; noise is a null."""
    for network, rows in run.by_network():
        for kind in item.KINDS:
            wanted = [c for c in item.CONDITIONS if (kind, c) != (item.SIGNS, item.FOREIGN)]
            assert list(dict.fromkeys(item.lab.rows_of(rows, kind=kind)["condition"])) == wanted, network
        assert set(item.lab.rows_of(rows, condition=item.FOREIGN)["built_on"]) == {
            item.OTHERS, *({"lenet_digits", "mlp_digits"} - {network}),
        }  # fmt: skip
    assert set(run.measured["kind"]) == {item.OWN}


def test_a_rate_among_right_labels_counts_those_alone(run):
    for network, _ in run.by_network():
        right, fooled = run.flags(network, "right").astype(bool), run.flags(network, item.OWN, "fooled")
        row = run.where(model=network, kind=item.OWN, condition=item.RIGHT).iloc[0]
        assert row["n"] == right.sum() < SMALL["n_eval"]
        assert row["fooling_rate"] == pytest.approx(fooled[right].mean())


def test_clipping_and_jpeg_are_those_of_a_picture_file():
    """Clipped rates are evaluate's; at the best quality JPEG is rounding, at the worst it loses a fine pattern."""
    bench = lab.Bench("digits", 4, 0, 20)
    net, x = bench.network("lenet_digits"), bench.split("lenet_digits").scored
    v = torch.full((1, 28, 28), 0.2)
    at_best = item.labels_of_jpeg(net, x, v, quality=100)
    assert (at_best == evaluate.labels(net, x, v, bits=8)).float().mean() > 0.9
    fine = (torch.arange(28)[:, None] + torch.arange(28)).remainder(2).float()[None]
    kept = {q: float(item.as_jpeg(0.45 + 0.1 * fine, q).std()) for q in (100, 1)}
    assert kept[100] > 0.045 > 0.01 > kept[1]
    assert item.as_jpeg(fine.expand(3, -1, -1), 90).shape == (3, 28, 28)
    assert item.as_jpeg(fine * 3 - 1, 100).min() >= 0


def test_clipped_rates_are_those_of_clipped_images(run):
    """Digits have much black and white: cutting off there changes some labels, in one direction or the other."""
    pairs = [
        [run.flags(network, kind, what) for what in ("fooled", item.CLIPPED)]
        for network, _ in run.by_network()
        for kind in item.KINDS
    ]
    assert any((plain != clipped).any() for plain, clipped in pairs)


def test_a_quality_out_of_range_is_refused():
    with pytest.raises(ValueError, match="quality"):
        item.run(quality=0, **SMALL)


def test_claims_are_paired_over_the_same_images(run):
    found = {(one.name, one.network): one for one in reversed(list(item.claims(run)))}  # the first noise's
    rates = run.where(condition=item.FOREIGN, built_on=item.OTHERS, model="mlp_digits").set_index("kind")[
        "fooling_rate"
    ]
    told = found["transfers_beyond_spectrum", "mlp_digits"].found
    assert told.value == pytest.approx(rates[item.OWN] - rates[item.PHASE])
    other = [
        one.found.value for one in item.claims(run) if one.name.startswith("transfers") and one.network == "mlp_digits"
    ]
    assert other == [pytest.approx(rates[item.OWN] - rates[noise]) for noise in item.NOISES], "ahead of either"
    lost = found["survivors_lose_confidence", "mlp_digits"]
    row = run.where(condition=item.PLAIN, kind=item.OWN, model="mlp_digits").iloc[0]
    assert lost.found.value == pytest.approx(row["top1_before"] - row["top1_after"], abs=1e-6)
    assert lost.found.n == row["n_kept"]
    noises = run.where(condition=item.PLAIN, kind=list(item.NOISES), model="mlp_digits")
    assert lost.null.value == pytest.approx((noises["top1_before"] - noises["top1_after"]).max(), abs=1e-6)
    edges = [run.flags("mlp_digits", kind, "edges").mean() for kind in (item.OWN, item.PHASE)]
    assert found["more_edges_than_its_spectrum", "mlp_digits"].found.value == pytest.approx(
        edges[0] - edges[1], abs=1e-6
    )
    assert {name for name, _ in found} == {
        "transfers_beyond_spectrum", "more_edges_than_its_spectrum", "survivors_lose_confidence", "stands_when_stored",
        "stands_on_right_labels",
    }  # fmt: skip


def test_what_stands_has_to_beat_noise_of_its_spectrum_as_well(run):
    for name, what in (("stands_when_stored", item.JPEG), ("stands_on_right_labels", "fooled")):
        found = [one for one in item.claims(run) if one.name == name and one.network.startswith("mlp_digits")]
        found = [one for one in found if what == "fooled" or one.network.endswith(what)]
        right = run.flags("mlp_digits", "right").astype(bool) if what == "fooled" else slice(None)
        own, *others = (
            run.flags("mlp_digits", kind, what)[right].mean() for kind in (item.OWN, item.SIGNS, *item.NOISES)
        )
        assert [one.found.value for one in found] == [pytest.approx(own - other, abs=1e-6) for other in others]


def test_the_figure_shows_every_condition(run):
    ax = item.figure(run).axes[0]
    assert [t.get_text().replace("\n", " ") for t in ax.get_xticklabels()] == list(item.CONDITIONS)
    assert len(ax.containers) == len(item.KINDS)
    middle = ax.containers[0].lines[0].get_ydata()
    assert np.all((middle >= 0) & (middle <= 1))


def test_one_noise_has_the_spectrum_over_both_axes_the_other_its_mean_over_directions(monkeypatch):
    made, plain = [], item.patterns.random_phase
    monkeypatch.setattr(item.patterns, "random_phase", lambda v, **how: (made.append(how), plain(v, **how))[1])
    item.run(models=["mlp_digits"], **SMALL)
    assert [how["radial"] for how in made] == [noise == item.RADIAL for noise in item.NOISES] == [False, True]
    assert made[0]["seed"] != made[1]["seed"]
