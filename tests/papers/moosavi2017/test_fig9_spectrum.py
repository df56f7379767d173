"""Figure 9: spectra of unit rows, beside two random matrices of the same size."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import runner
from uapkit.lab import Run
from uapkit.papers.moosavi2017 import fig9_spectrum as item

SMALL = {"models": ("mlp_digits",), "n_fit": 60, "n_groups": 3, "seed": 1}


@pytest.fixture(scope="module")
def spectrum():
    return item.run(**SMALL)


def evidence(table):
    return runner.evidence("moosavi2017/fig9_spectrum", Run.of(table))


def test_fig9_spectrum(spectrum):
    whole = item.whole(Run.of(spectrum))
    values = spectrum.attrs["arrays"]
    assert set(whole["kind"]) == {item.NORMALS, item.SPHERE, item.INSIDE}
    for kind in set(whole["kind"]):
        squares = float((torch.from_numpy(values[f"values/mlp_digits/{kind}"]).double() ** 2).sum())
        assert squares == pytest.approx(60, rel=1e-4), "unit rows"
    half = whole.drop_duplicates("kind").set_index("kind")["half"]
    assert half[item.NORMALS] < half[item.SPHERE], "the paper's claim on a small network"
    assert spectrum[spectrum["group"].notna()].groupby("kind").size().eq(3).all()
    alike = item.alike(Run.of(spectrum)).set_index("kind")["as_alike_as_in_dimensions"]
    assert alike[item.NORMALS] < alike[item.SPHERE]
    assert set(Run.of(spectrum).measured["kind"]) == {item.NORMALS}


def test_fig9_spectrum_claims(spectrum):
    found = evidence(spectrum)
    assert found["claim"].tolist() == ["fast_decay", "decays_at_all"], (
        "60 images in 784 dimensions: their subspace is not known"
    )
    energy = spectrum[spectrum["group"].notna()].groupby("kind")["energy"].mean()
    assert found["estimate"].tolist() == [pytest.approx(energy[item.NORMALS] - energy[item.SPHERE])] * 2
    assert found["bound"].tolist() == [item.FAST, 0]
    assert found["high"].tolist()[0] == 1 > found["high"].tolist()[1], "few images bound the decay from below only"
    enough = evidence(spectrum.assign(d=spectrum["n"].min()))
    assert enough["claim"].tolist() == ["fast_decay", "decays_at_all", "faster_than_in_the_images_subspace"]
    assert enough["high"].tolist()[0] == enough["high"].tolist()[1]


def test_networks_that_are_not_here_keep_their_row():
    table = item.run(**SMALL | {"models": ("vgg16",)})
    assert table["status"].tolist() == ["not run here"]
    assert evidence(table.assign(group=math.nan)).empty


def test_figure_has_a_panel_a_network():
    arrays = {f"values/{net}/{kind}": np.arange(5, 0, -1.0) for net in ("a", "b") for kind in item.MEANINGS}
    axes = item.figure(Run(pd.DataFrame(), arrays | {"other": np.ones(3)})).axes
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    lines = {line.get_label(): line for line in axes[0].lines}
    assert lines[item.NORMALS].get_ydata().tolist() == [5, 4, 3, 2, 1]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines.values()}) == 3
    assert item.figure(Run(pd.DataFrame())).axes, "nothing was run: an empty figure"
