"""Figure 1: vectors, spectra and pictures belong together; a feature's picture is what its channel answers to."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import evaluate, models
from uapkit.lab import Run
from uapkit.operators import LayerJacobians
from uapkit.papers.khrulkov2018 import fig1_gallery
from uapkit.papers.khrulkov2018.pictures import example_pictures


def test_fig1_gallery():
    given = {"models": ("lenet_digits",), "n_fit": 8, "max_iter": 8, "seed": 3}
    table = fig1_gallery.run(**given, layers=["pool1", "pool2"], n_pictures=3)
    vectors = table[table["kind"] == "vector"]
    assert len(vectors) == 2
    for layer in vectors["layer"]:
        assert table.attrs["arrays"][f"v/lenet_digits/{layer}"].shape == (1, 28, 28)
    assert set(table["kind"]) == {"vector", "untrained network", "random signs", "activation maximum", "picture"}
    frequency, power = table.attrs["arrays"]["spectrum/lenet_digits/pool1"]
    assert (len(frequency), frequency[-1]) == (14, 0.5)
    assert power.mean() == pytest.approx(1)
    run = Run(table, table.attrs["arrays"], {"params": {"pictures": "digits", "seed": 3}})
    (claim,) = fig1_gallery.claims(run)
    pairs = [
        [torch.from_numpy(run.flags(k, "lenet_digits", one)) for k in ("v", "activation")] for one in vectors["layer"]
    ]
    likeness = [fig1_gallery.oriented_correlation(v, likes) for v, likes in pairs]
    assert claim.found.value == pytest.approx(np.mean(likeness))
    assert claim.null.value == pytest.approx(
        np.mean([fig1_gallery.oriented_correlation(v.mT, likes) for v, likes in pairs])
    )
    assert (claim.found.low, claim.found.high) == (-1, 1), "two layers decide nothing"
    pictures = table[table["kind"] == "picture"]
    best = vectors.loc[vectors["rate_on_fit"].idxmax(), "layer"]
    assert pictures["layer"].unique().tolist() == [best]
    assert len(pictures) == 3
    model = models.load("lenet_digits")
    shown = example_pictures("digits", 3, 3, None)
    v = torch.from_numpy(table.attrs["arrays"][f"v/lenet_digits/{best}"])
    expected = [model.classes[k] for k in evaluate.labels(model, shown, v).tolist()]
    assert pictures["perturbed_label"].tolist() == expected
    (drawn,) = fig1_gallery.examples(run)
    assert [ax.get_title().split("\n")[0] for ax in drawn.axes[3:]] == expected


def test_activation_picture_is_what_the_channel_answers_to():
    """One convolution whose channel 0 has stripes as its kernel: the picture excites it more than noise, and is stripes."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, (1, 4), bias=False, padding="same", padding_mode="circular"), torch.nn.ReLU()
    )
    net[0].weight.data[0] = torch.tensor([1.0, 1.0, -1.0, -1.0]).view(1, 1, 4)
    model = models.wrap(net, input_size=(1, 16, 16))
    made = fig1_gallery.activation_picture(model, "1", 0, (1, 16, 16), n_steps=60, seed=0)
    noise = fig1_gallery.activation_picture(model, "1", 0, (1, 16, 16), n_steps=0, seed=0)
    answer = [float(model.until("1")(x[None])[0, 0].mean()) for x in (made, noise)]
    assert answer[0] > 5 * answer[1]
    rows = made[0].var(0).mean(), made[0].var(1).mean()
    assert rows[1] > rows[0], "it varies along the kernel, not across it"
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_the_channel_moved_most_is_the_one_with_the_largest_weights():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 1, bias=False))
    net[0].weight.data = torch.tensor([1.0, -4.0, 2.0]).view(3, 1, 1, 1)
    model, x = models.wrap(net, input_size=(1, 4, 4)), torch.rand(2, 1, 4, 4)
    recorded = LayerJacobians(model, ["0"], x)
    assert fig1_gallery.channel_moved_most(model, x, torch.ones(1, 4, 4), layer="0", recorded=recorded) == 1


def test_spectral_correlation_tells_patterns_from_noise():
    draws = torch.Generator().manual_seed(0)
    noise = [torch.randn(1, 64, 64, generator=draws) for _ in range(3)]
    smooth = [torch.nn.functional.avg_pool2d(x[None], 7, 1, 3)[0] for x in noise]
    assert fig1_gallery.spectral_correlation(smooth[0], smooth[1]) > 0.9
    assert abs(fig1_gallery.spectral_correlation(smooth[0], noise[2])) < 0.6
    assert math.isnan(fig1_gallery.spectral_correlation(noise[0], torch.zeros(1, 64, 64)))


def test_oriented_correlation_tells_directions_apart():
    """Stripes that run down are like stripes that run down, and unlike the same stripes lying on their side."""
    draws = torch.Generator().manual_seed(0)
    wide = [
        torch.nn.functional.avg_pool2d(torch.randn(1, 1, 64, 64, generator=draws), (9, 1), 1, (4, 0))[0]
        for _ in range(2)
    ]
    assert fig1_gallery.oriented_correlation(wide[0], wide[0]) == pytest.approx(1)
    assert fig1_gallery.oriented_correlation(wide[0], wide[1]) > 0.9
    assert fig1_gallery.oriented_correlation(wide[0], wide[1].mT) < 0.3
    assert math.isnan(fig1_gallery.oriented_correlation(wide[0], torch.ones(1, 64, 64)))


def test_eight_layers_decide_and_seven_do_not():
    assert fig1_gallery._over_layers([0.7] * 7).low == -1
    assert fig1_gallery._over_layers([0.7, 0.71] * 4).low > 0.69


def arrays_only(arrays):
    return Run(pd.DataFrame(), arrays)


def test_beside_pairs_each_vector_with_its_features():
    random = np.random.default_rng(0)
    arrays = {f"{kind}/net/{k}": random.random((1, 8, 8)) for kind in ("v", "activation") for k in range(5)}
    drawn = fig1_gallery.beside(arrays_only(arrays))
    assert sum(len(ax.images) for ax in drawn.axes) == 10


def test_spectra_draw_one_line_a_layer():
    arrays = {f"spectrum/net/{k}": np.array([[0.1, 0.5], [2.0, 1.0]]) for k in ("conv1", "conv2", "random signs")}
    lines = fig1_gallery.spectra(arrays_only(arrays)).axes[0].lines
    assert [line.get_label() for line in lines] == ["conv1", "conv2", "random signs"]
    assert len({line.get_color() for line in lines}) == 3
