"""Figure 4: sizes and cosines are those of the perturbations shown."""

import numpy as np
import pytest
import torch

from uapkit import runner
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import fig4_gallery as item

TWO = ("mlp_digits", "linear_digits")


@pytest.fixture(scope="module")
def table():
    return item.run(models=TWO, n_fit=24, n_eval=120, seed=3)


def evidence(table):
    return runner.evidence("moosavi2017/fig4_gallery", Run.of(table))


def test_fig4_gallery(table):
    own = rows_of(table, kind="UAP").set_index("model")
    assert own["linf_norm"].tolist() == pytest.approx([51, 51], rel=1e-4)
    assert (own["l2_norm"] < 51 * 28).all()
    assert (rows_of(table, kind="random signs")["fraction_entries_abs_ge_9"] == 1).all()
    a, b = (torch.from_numpy(table.attrs["arrays"][f"v/{name}/"]).flatten() for name in TWO)
    pair = rows_of(table, kind="pair").iloc[0]
    assert pair["cosine_similarity"] == pytest.approx(float(torch.cosine_similarity(a, b, 0)), abs=1e-5)
    assert float((a.abs() >= 0.18).float().mean()) == pytest.approx(own.loc["mlp_digits", "fraction_entries_abs_ge_9"])


def test_networks_on_other_images_are_no_pair():
    table = item.run(models=TWO, n_fit={"default": 8, "mlp_digits": 9}, n_eval=20)
    assert set(table["kind"]) == {"UAP", "random signs"}
    assert evidence(table).empty


def test_fig4_gallery_claims(table):
    pair, found = rows_of(table, kind="pair").iloc[0], evidence(table)
    assert found["estimate"].tolist() == pytest.approx([abs(pair["cosine_similarity"])] * 2)
    assert (found["low"] == found["high"]).all(), "smallest to largest is no interval"
    assert found["null_high"].isna().all(), "both fool more than random signs"
    weak = table.assign(low=0.0, high=1.0)
    assert (evidence(weak)["null_high"] == 0).all(), "what fools nobody is orthogonal by chance"


def test_figures_show_what_the_table_says(table):
    pair, run = rows_of(table, kind="pair").iloc[0], Run.of(table)
    assert f"{pair['cosine_similarity']:.3f}" in {text.get_text() for text in item.figure(run).axes[0].texts}
    stretched, plain = (item.gallery(run, stretch=stretch).axes[0].images[0].get_array() for stretch in (True, False))
    assert np.ptp(stretched) == pytest.approx(1, abs=1e-5)
    assert np.ptp(plain) == pytest.approx(0.4, abs=1e-3), "twice the radius"
