"""Singular vectors against UAP: both methods see the same images, on one clock."""

import pytest

from uapkit import attacks, lab
from uapkit.papers.khrulkov2018 import fig_against_uap

SMALL = {"n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}


def test_fig_against_uap(tmp_path):
    given = {"models": ("mlp_digits",), "layer": "relu2", "n_images": (4, 8), "max_passes": 1}
    with lab.keeping(tmp_path):
        table, again = (fig_against_uap.run(**given, **SMALL) for _ in range(2))
    assert table.equals(again), "seconds that were kept are those that were measured"
    uap, own = (table[table["kind"] == k].set_index("n_images") for k in ("UAP", "singular vector"))
    assert list(uap.index) == list(own.index) == [4, 8]
    assert (table.loc[table["seconds"].notna(), "seconds"] > 0).all()
    bench = lab.Bench("digits", 8, 32, 120, 3)
    fit = bench.split("mlp_digits").fit.x[:4]
    made = attacks.uap(bench.network("mlp_digits"), fit, eps=0.2, target_rate=0.8, max_passes=1, seed=3)
    assert float(bench.fooled("mlp_digits", made.v).float().mean()) == pytest.approx(uap.loc[4, "fooling_rate"])
    run = lab.Run.of(table)
    claim, noise, *longer = fig_against_uap.claims(run)
    random = table.loc[table["kind"] == "random signs", "fooling_rate"].mean() - uap.loc[4, "fooling_rate"]
    assert noise.name == "random_signs_beat_uap"
    assert (noise.found.value, noise.found.low, noise.found.high) == (claim.null.value, claim.null.low, claim.null.high)
    assert noise.found.value == pytest.approx(random)
    assert claim.found.value == pytest.approx(own.loc[4, "fooling_rate"] - uap.loc[4, "fooling_rate"])
    labels = {c.get_label() for c in fig_against_uap.figure(run).axes[0].containers}
    assert labels == {"singular vector", "UAP", fig_against_uap.FULL}
    full = table[table["kind"] == fig_against_uap.FULL].set_index("n_images")
    assert float(bench.fooled("mlp_digits", 0.2 * made.v.sign()).float().mean()) == pytest.approx(
        full.loc[4, "fooling_rate"]
    )
    assert full.loc[4, "l2_norm"] == pytest.approx(255 * 0.2 * int((made.v != 0).sum()) ** 0.5)
    assert (full["l2_norm"] >= uap["l2_norm"]).all()
    for n, found in zip((4, 8), longer, strict=True):
        assert found.name == "beats_uap_at_full_length"
        assert found.network == f"mlp_digits ({n} images)"
        assert found.found.value == pytest.approx(own.loc[n, "fooling_rate"] - full.loc[n, "fooling_rate"])


def test_a_run_without_full_length_is_judged_on_the_rest():
    table = fig_against_uap.run(models=("mlp_digits",), layer="relu2", n_images=(4,), max_passes=1, **SMALL)
    older = lab.Run(table[table["kind"] != fig_against_uap.FULL], lab.Run.of(table).arrays)
    assert [found.name for found in fig_against_uap.claims(older)] == [
        "beats_uap_at_few_images",
        "random_signs_beat_uap",
    ]
