"""Table 1: a network seen through a down-sampling, and the null of random directions."""

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import evaluate, lab, models
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import tab1_downsampling as item
from uapkit.papers.jetley2018.resampling import Resampled, attacked
from uapkit.runner.verdicts import verdict

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


def test_the_reference_is_the_label_of_the_image_seen_whole_and_the_other_definition_stands_beside_it(run):
    """By hand: labels of the resampled perturbed images against both."""
    net, found = models.load("mlp_digits"), attacked(lab.Bench("digits", 1, 0, 40, seed=2), "mlp_digits", 50)
    seen, whole = Resampled(net, 7), evaluate.labels(net, found.images)
    clean, now = (evaluate.labels(seen, found.images, v) for v in (torch.zeros_like(found.r), 3 * found.r))
    assert (clean != whole).any(), "else both definitions agree and nothing is tested"
    row = run.where(kind="deepfool", d_low=60, f=3).iloc[0]
    assert row["fooling_rate"] == pytest.approx(float((now != whole).float().mean()))
    assert row["resampled_rate"] == pytest.approx(float((now != clean).float().mean()))
    alone = run.where(kind="clean").set_index("d_low")
    assert alone["is_null"].all()
    assert set(alone["f"]) == {0}
    assert alone.loc[60, "fooling_rate"] == pytest.approx(float((clean != whole).float().mean()))
    assert (alone["resampled_rate"] == 0).all()
    assert alone.loc[227, "fooling_rate"] == 0


def test_the_paper_own_rows_come_out_with_its_reference():
    """SqueezeNet 1.1, 80 photographs, f = 1: 15, 30, 34, 41 %; the resampling alone 5, 19, 30, 40 %."""
    table = item.run(models=("squeezenet1_1[gluon]",), data="imagenet-sample", n_eval=80, factors=(1,))
    if set(table["status"]) != {"run"}:
        pytest.skip("the photographs or the weights are not here")
    rates = table.set_index(["kind", "d_low"])["fooling_rate"]
    for kind, true in (("deepfool", (0.15, 0.30, 0.34, 0.41)), ("clean", (0.05, 0.19, 0.30, 0.40))):
        assert rates[kind].loc[[200, 150, 120, 100]].tolist() == pytest.approx(true, abs=0.03)


def tiny(rates):
    """A run of one network whose flags, by (kind, d_low, f), have these rates over 100 images."""
    rows, arrays = [], {}
    for (kind, d_low, f), rate in rates.items():
        flags = np.arange(100) < 100 * rate
        arrays[f"fooled/net/{kind}/{d_low}/{f}"] = flags
        rows.append({"model": "net", "kind": kind, "d_low": d_low, "f": f, "fooling_rate": rate, "n": 100})
    table = pd.DataFrame(rows)
    table.attrs["arrays"] = arrays
    return Run.of(table)


PAPERS = {  # its AlexNet, f = 1, 2 and 10 at two resolutions; the other rows are what chance could look like
    **{("deepfool", 227, f): 1.0 for f in (1, 2, 10)},
    **{("deepfool", 200, f): rate for f, rate in ((1, 0.33), (2, 0.77), (10, 0.98))},
    **{("deepfool", 100, f): rate for f, rate in ((1, 0.42), (2, 0.49), (10, 0.90))},
    **{("random direction", d, f): 0.05 if d == 200 else 0.40 for d in (200, 100) for f in (1, 10)},
    **{("clean", 227, 0): 0.0, ("clean", 200, 0): 0.05, ("clean", 100, 0): 0.40},
}


def test_the_rise_at_f_1_is_judged_beside_the_resampling_alone():
    assert judged(tiny(PAPERS))["f1_rises"] == "not above chance", "labels that resampling alone changes rise, too"
    still = {**PAPERS, ("clean", 100, 0): 0.05}
    assert judged(tiny(still))["f1_rises"] == "confirmed"
    assert judged(tiny({**PAPERS, ("deepfool", 100, 1): 0.20}))["f1_rises"] == "differs"
    assert judged(tiny({**still, ("clean", 200, 0): 0.40}))["f1_beyond_resampling"] == "holds on 1 of 2", (
        "not at both resolutions"
    )


def test_the_message_is_judged_at_every_resolution_and_over_the_whole_of_f():
    verdicts = judged(tiny(PAPERS))
    assert verdicts["grows_with_f"] == "confirmed"
    assert verdicts["robust_for_larger_f"] == "confirmed"
    assert verdicts["rescaling_restores"] == "confirmed"
    dip = judged(tiny({**PAPERS, ("deepfool", 100, 2): 0.20}))
    assert dip["grows_with_f"] == "holds on 1 of 2", "one step down is seen although the ends rise"
    flat = judged(tiny({**PAPERS, ("deepfool", 100, 2): PAPERS["deepfool", 100, 1]}))
    assert flat["grows_with_f"] == "holds on 1 of 2", "what stays as it is does not grow"
    half = judged(tiny({**PAPERS, ("deepfool", 100, 10): 0.55, ("deepfool", 200, 10): 0.6}))
    assert half["rescaling_restores"] == "differs"
    chance = {**PAPERS, **{("random direction", d, 10): 0.95 for d in (200, 100)}}
    assert judged(tiny(chance))["rescaling_restores"] == "not above chance"


def judged(run):
    evidence = evidence_table(list(item.claims(run)))
    return {name: verdict(part) for name, part in evidence.groupby("claim")}


def test_claims_are_the_paired_differences(run):
    evidence = evidence_table(list(item.claims(run))).drop_duplicates("claim").set_index("claim")
    rates = run.where(kind="deepfool").set_index(["d_low", "f"])["fooling_rate"]
    assert evidence.loc["f1_rises", "estimate"] == pytest.approx(rates[60, 1] - rates[150, 1])
    assert evidence.loc["robust_for_larger_f", "estimate"] == pytest.approx(rates[60, 3] - rates[150, 3])
    null = run.where(kind="clean").set_index("d_low")["fooling_rate"]
    assert evidence.loc["f1_rises", "null"] == pytest.approx(null[60] - null[150])


def test_a_network_that_is_not_here_keeps_its_row():
    table = item.run(models=("alexnet", "mlp_digits"), n_eval=10, d_lows=(227,), factors=(1,))
    assert table.loc[table["model"] == "alexnet", "status"].tolist() == ["not run here"]
    assert (table.loc[table["model"] == "mlp_digits", "status"] == "run").all()
    absent = Run.of(table[table["model"] == "alexnet"])
    assert item.figure(absent).axes[0].texts[0].get_text() == "not run here"


def test_the_figure_has_a_line_for_each_factor_and_the_null(run):
    labels = {text.get_text() for text in item.figure(run).legends[0].get_texts()}
    assert {"f = 1", "f = 3", "random direction, largest f", "resampling alone (f = 0)"} <= labels


def test_the_table_as_published_has_a_column_a_factor(run):
    shown = item.as_published(run)
    assert {"f = 0", "f = 1", "f = 3"} <= set(shown.columns)
    assert len(shown) == 3 * 3, "DeepFool and its two nulls at three sizes"
    other = item.as_published(run, "resampled")
    assert (other.loc[other["kind"] == "clean", "f = 0"].str.startswith("0.000")).all()
    assert not (shown.loc[shown["kind"] == "clean", "f = 0"].str.startswith("0.000")).all()
    with pytest.raises(ValueError, match="reference"):
        item.as_published(run, "true")
