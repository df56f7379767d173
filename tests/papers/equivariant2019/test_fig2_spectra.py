"""Figures 2a to 4a: singular values of unit rows, and what is drawn of them."""

import numpy as np
import pytest

from uapkit.lab import Run
from uapkit.papers.equivariant2019 import fig2_spectra


def test_fig2_spectra(small, setting, net, evidence):
    table = fig2_spectra.run(**small, attacks=("gradient", "fgsm"), samples=(40, 80))
    assert len(table) == 2 * 2 * 5
    for row in table.to_dict("records"):
        s = table.attrs["arrays"][f"s/{net}/{row['attack']}/{row['sample']}/{row['kind']}"]
        assert (s**2).sum() == pytest.approx(row["n_rows"], rel=1e-6), "unit rows"
        assert (s[:5] ** 2).sum() / (s**2).sum() == pytest.approx(row["top5_share"], rel=1e-6)
        assert row["ratio_low"] <= row["tenth_to_first"] <= row["ratio_high"]
    gradient = table[(table["attack"] == "gradient") & (table["kind"] == "trained")]
    assert (gradient["tenth_to_first"] < 1e-3).all(), "rank nine"
    random = table[table["kind"] == "random"]
    assert (random["effective_dimension"] > 30).all()
    exact = np.linalg.svd(setting().directions(net, "gradient", 80).double().numpy(), compute_uv=False)
    assert table.attrs["arrays"][f"s/{net}/gradient/80/trained"][:9] == pytest.approx(exact[:9], rel=1e-5)
    found = evidence(fig2_spectra, table)
    assert found["network"].tolist() == [f"{net}, {a}, {n}" for a in ("gradient", "fgsm") for n in (40, 80)]
    assert (found["null"] < 0.9).all(), "the steepest of the nulls is the one to beat"
    assert set(found["training"]) == {"adamw"}
    other = table.assign(model="stdcnn_mnist_rot_sgd")
    assert set(evidence(fig2_spectra, other)["training"]) == {"sgd"}, "the verdict can depend on it"
    axes = fig2_spectra.figure(Run.of(table)).axes
    line = next(one for one in axes[0].lines if one.get_label() == "trained, n = 80")
    assert line.get_ydata()[:9] == pytest.approx(exact[:9] ** 2 / 80, rel=1e-5)
    assert line.get_linestyle() == "-", "full for the largest sample"
