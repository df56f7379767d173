"""Figure 3, top: curved directions carry what random ones do not; the claims take the test images' accuracy."""

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig3_accuracy as item
from uapkit.papers.jetley2018.setting import accuracy
from uapkit.runner.verdicts import verdict

SMALL = {
    "models": ("mlp_digits",),
    "dims": (1, 4),
    "n_train": 120,
    "n_fit": 8,
    "n_eval": 80,
}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**SMALL))


def test_fig3_accuracy(run):
    table = run.table
    test = table[table["split"] == "test"].set_index(["kind", "m"])["accuracy"]
    assert (table["low"] <= table["accuracy"]).all()
    assert test["positive", 40] > test["random", 40] + 0.3, "curved directions carry what random ones do not"
    assert test["flat", 40] < 0.3
    assert run.flags("right", "mlp_digits", "positive", 40).mean() == pytest.approx(test["positive", 40])
    assert set(table.loc[table["is_null"], "kind"]) == {"random", "data"}


def test_claims_are_about_the_test_images(run, every_row_decides):
    test = run.where(split="test").set_index(["kind", "m"])["accuracy"]
    evidence = evidence_table(list(item.claims(run)))
    row = evidence[(evidence["claim"] == "few_directions_carry_accuracy")].iloc[0]
    assert row["estimate"] == pytest.approx(test["positive", 40] / test["whole", 784])
    assert row["null"] == pytest.approx(test["random", 40] / test["whole", 784])
    assert row["null_high"] < row["low"]
    overlap = run.where(split="test").set_index(["kind", "m"])["overlap_hi"]
    row = evidence[evidence["claim"] == "spans_first_order_directions"].iloc[0]
    assert (row["estimate"], row["null"]) == pytest.approx((overlap["positive", 40], overlap["random", 40]))
    assert overlap["random", 40] == pytest.approx(40 / 784, abs=0.02)


RATES = {  # accuracy of a kind on 10, 250 and 780 of 784 dimensions, test images
    "positive": (0.2, 0.83, 0.99),
    "negative": (0.2, 0.66, 0.99),
    "flat": (0.1, 0.78, 0.99),
    "random": (0.1, 0.68, 0.99),
}


def curves(train=0.0, **rates):
    """A run of one network whose accuracies are these, over 600 images; those of training images are ``train`` higher."""
    rows, arrays = [], {}
    about = {"model": "net", "converged": True, "overlap_halves": 0.5}

    def add(kind, m, rate):
        flags = np.arange(600) < 600 * rate
        arrays[f"right/net/{kind}/{m}"] = flags
        for split, shift in (("test", 0.0), ("train", train)):
            found = accuracy(torch.from_numpy(np.arange(600) < 600 * (rate + shift)))
            rows.append({**about, "kind": kind, "m": m, "share": m / 784, "split": split, **found})

    add("whole", 784, 0.99)
    for kind, values in (RATES | rates).items():
        for m, rate in zip((10, 250, 780), values, strict=True):
            add(kind, m, rate)
    table = pd.DataFrame(rows)
    table.attrs["arrays"] = arrays
    return Run.of(table)


def judged(run):
    evidence = evidence_table(list(item.claims(run)))
    return evidence.set_index(["claim", "network"])["estimate"], {
        name: verdict(part) for name, part in evidence.groupby("claim")
    }


def test_the_whole_curve_is_judged_not_its_first_tenth():
    estimate, found = judged(curves())
    assert estimate["sign_does_not_matter", "net (widest apart, 250 dimensions)"] == pytest.approx(0.17, abs=2e-3)
    assert found["sign_does_not_matter"] == "differs"
    assert estimate["flat_useless_until_complete", "net (best of the curve, 250 dimensions)"] == pytest.approx(
        0.78 / 0.99, abs=2e-3
    )
    assert found["flat_useless_until_complete"] == "differs", "780 of 784 dimensions are nearly the whole, 250 are not"
    assert found["flat_is_useless"] == "differs", "more than a random subspace, in the mean over the curve"
    beyond = {name: value for (claim, name), value in estimate.items() if claim == "curved_beyond_random"}
    assert beyond == pytest.approx(
        {"net (positive, 2 dimensions)": 0.125, "net (negative, 2 dimensions)": 0.04}, abs=2e-3
    )
    assert found["training_and_test_agree"] == "confirmed"
    _, other = judged(curves(train=0.2, negative=(0.2, 0.82, 0.99), flat=(0.1, 0.12, 0.99), random=(0.1, 0.2, 0.99)))
    assert other["training_and_test_agree"] == "differs"
    assert other["sign_does_not_matter"] == "confirmed"
    assert other["flat_useless_until_complete"] == "not above chance", "nor does a random subspace tell anything"
    assert other["flat_is_useless"] == "confirmed"


def test_what_other_images_do_not_confirm_decides_nothing():
    run = curves()
    assert not list(item.claims(Run.of(run.table.assign(overlap_halves=0.1))))


def test_figures_have_a_line_a_subspace(run):
    labels = {text.get_text() for text in item.figure(run).legends[0].get_texts()}
    assert {"S positive", "S flat", "random subspace"} <= labels
    assert len(item.spectra(run).axes[0].lines) == 10 + 1, "a line a class, and zero"
