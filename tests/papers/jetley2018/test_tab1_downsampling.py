"""Table 1: a network seen through a down-sampling, and the null of random directions."""

import numpy as np
import pytest

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import tab1_downsampling as item

SMALL = {"models": ("mlp_digits",), "n_eval": 40, "seed": 2}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**SMALL, d_lows=(227, 150, 60), factors=(1, 3)))


def test_tab1_downsampling(run):
    attack = run.where(kind="deepfool").set_index(["d_low", "f"])
    assert attack.loc[(227, 1), "fooling_rate"] == 1, "DeepFool fools the network that it was made on"
    assert attack.loc[(60, 1), "fooling_rate"] < 1
    assert attack.loc[(60, 1), "side"] == 7
    norms = attack.xs(1, level="f")[["mean_image_l2_norm", "mean_deepfool_l2_norm"]]
    assert (norms.diff().dropna() < 0).all(axis=None), "what is sampled down has less norm"
    assert np.allclose(attack["mean_deepfool_l2_norm"], 255 * attack["deepfool_norm"])
    null = run.where(kind="random direction")
    assert null["is_null"].all()
    assert null["fooling_rate"].max() < 0.3
    assert set(null["f"]) == {1, 3}


def test_claims_are_the_paired_differences(run):
    evidence = evidence_table(list(item.claims(run))).set_index("claim")
    rates = run.where(kind="deepfool").set_index(["d_low", "f"])["fooling_rate"]
    assert evidence.loc["f1_rises", "estimate"] == pytest.approx(rates[60, 1] - rates[150, 1])
    assert evidence.loc["robust_for_larger_f", "estimate"] == pytest.approx(rates[60, 3] - rates[150, 3])
    null = run.where(kind="random direction").set_index(["d_low", "f"])["fooling_rate"]
    assert evidence.loc["f1_rises", "null"] == pytest.approx(null[60, 1] - null[150, 1])


def test_a_network_that_is_not_here_keeps_its_row():
    table = item.run(models=("alexnet", "mlp_digits"), n_eval=10, d_lows=(227,), factors=(1,))
    assert table.loc[table["model"] == "alexnet", "status"].tolist() == ["not run here"]
    assert (table.loc[table["model"] == "mlp_digits", "status"] == "run").all()
    absent = Run.of(table[table["model"] == "alexnet"])
    assert item.figure(absent).axes[0].texts[0].get_text() == "not run here"


def test_the_figure_has_a_line_for_each_factor_and_the_null(run):
    labels = {text.get_text() for text in item.figure(run).legends[0].get_texts()}
    assert {"f = 1", "f = 3", "random direction, largest f"} <= labels


def test_the_table_as_published_has_a_column_a_factor(run):
    shown = item.as_published(run)
    assert {"f = 1", "f = 3"} <= set(shown.columns)
    assert len(shown) == 2 * 3, "DeepFool and its null at three sizes"
