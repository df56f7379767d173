"""The batch against all images: exact on a linear network, and a batch's vector serves others."""

import pytest

from uapkit import lab
from uapkit.papers.khrulkov2018 import ext_batch_against_all


def test_ext_batch_against_all():
    settings = {"n_fit": 16, "n_select": 16, "n_eval": 24, "batch_sizes": (2, 16), "n_draws": 2, "max_iter": 10}
    table = ext_batch_against_all.run(models=("mlp_digits",), layer="relu2", **settings)
    batch = table[table["kind"] == "batch"].groupby("batch_size")["share"].mean()
    random = table.loc[table["kind"] == "random signs", "share"]
    assert random.max() < batch[2] < 1.2
    assert batch[16] > 0.6, "a batch's vector serves images outside it"
    run = lab.Run.of(table)
    (claim,) = ext_batch_against_all.claims(run)
    assert claim.found.value == pytest.approx(batch[16])
    assert claim.null.value == pytest.approx(random.mean())
    labels = {line.get_label() for line in ext_batch_against_all.figure(run).axes[0].lines}
    assert {"batch", "another start", "untrained copy"} <= labels


def test_a_linear_networks_batch_is_the_whole_set():
    table = ext_batch_against_all.run(
        models=("linear_digits",), layer="fc", n_fit=8, n_select=8, n_eval=8, batch_sizes=(2, 8)
    )
    batch = table[table["kind"] == "batch"]
    assert batch["own_share"].to_numpy() == pytest.approx(batch["share"].to_numpy(), rel=1e-4)
    assert batch["share"].max() == pytest.approx(1, abs=1e-4), "the same start finds the same vector"
    alike = (1 / table["batch_size"].fillna(8)).to_numpy()
    assert table["top_image"].to_numpy() == pytest.approx(alike, rel=1e-4), "every image has the same Jacobian"
