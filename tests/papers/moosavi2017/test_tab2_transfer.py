"""Table 2: the diagonal is the own attack, means leave it out, the cells are those of ``evaluate.transfer``."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import evaluate, models, runner
from uapkit.lab import Run, paired, rows_of
from uapkit.papers.moosavi2017 import tab1_fooling_rates
from uapkit.papers.moosavi2017 import tab2_transfer as item
from uapkit.papers.moosavi2017.setting import bench_of, rephased
from uapkit.runner import results
from uapkit.seeds import child_seed

NAME = "moosavi2017/tab2_transfer"
TWO = {"models": ("mlp_digits", "linear_digits"), "n_fit": 24, "n_eval": 120, "seed": 3}


@pytest.fixture(scope="module")
def matrix():
    return item.run(**TWO, n_random=2)


def cells(matrix):
    """Rates by (source, network attacked), without the means."""
    return matrix[matrix["kind"].isin(["own", "foreign", "null"])].groupby(["source", "model"])["fooling_rate"].mean()


def evidence(table):
    return runner.evidence(NAME, Run.of(table))


def test_tab2_transfer(matrix):
    rate = cells(matrix)
    own = tab1_fooling_rates.run(**TWO, norms=(math.inf,), blocked=(), n_random=1)
    held = rows_of(own, kind="UAP", scored_on="held out").set_index("model")["fooling_rate"]
    for name in TWO["models"]:
        assert rate[name, name] == pytest.approx(held[name]), "the diagonal is the own attack"
    vectors = {name: torch.from_numpy(matrix.attrs["arrays"][f"v/{name}"]) for name in TWO["models"]}
    scored = bench_of("digits", 24, 120, seed=3).split("mlp_digits").scored
    public = evaluate.transfer({name: models.load(name) for name in TWO["models"]}, scored, vectors)
    for row in public.itertuples():
        assert rate[row.source, row.target] == pytest.approx(row.fooling_rate)
    assert rate["mlp_digits", "linear_digits"] > rate["random signs", "linear_digits"], "perturbations transfer"
    means = matrix.set_index(["kind", "model"])["fooling_rate"]
    assert means["row mean", "mlp_digits"] == pytest.approx(rate["mlp_digits", "linear_digits"])
    assert means["column mean", "mlp_digits"] == pytest.approx(rate["linear_digits", "mlp_digits"])
    run = Run.of(matrix)
    assert set(run.rows.loc[run.rows["is_null"], "source"]) == {
        "random signs",
        *(f"noise {like} {n}" for n in TWO["models"] for like in ("as long as", "like")),
    }
    bench = bench_of("digits", 24, 120, seed=3)
    noise = item.Setting(bench, eps=0.2).random("linear_digits", 0)
    as_long = noise * (vectors["mlp_digits"].norm() / noise.norm())
    row = rows_of(matrix, model="linear_digits", kind="equal length")["fooling_rate"].item()
    assert row == pytest.approx(float(bench.fooled("linear_digits", as_long).float().mean()))


def test_at_full_length_all_are_as_long_and_noise_keeps_the_spectrum(matrix, monkeypatch):
    """Scored again here: signs of the foreign vector, and of the same with new phases."""
    bench, source, target = bench_of("digits", 24, 120, seed=3), "mlp_digits", "linear_digits"
    v = torch.from_numpy(matrix.attrs["arrays"][f"v/{source}"])
    rate = float(bench.fooled(target, 0.2 * v.sign()).float().mean())
    full = rows_of(matrix, model=target, source=source, kind=item.FULL)["fooling_rate"].item()
    assert full == pytest.approx(rate)
    own = rows_of(matrix, model=source, source=source, kind=item.FULL_OWN)["fooling_rate"].item()
    assert own == pytest.approx(float(bench.fooled(source, 0.2 * v.sign()).float().mean()))
    own_noise = rows_of(matrix, model=source, kind=item.OWN_PHASES).set_index("draw")["fooling_rate"]
    noise = rows_of(matrix, model=target, kind=item.PHASES).set_index("draw")["fooling_rate"]
    assert len(noise) == len(own_noise) == item.DRAWS
    for draw in range(item.DRAWS):
        same = rephased(v, child_seed(3, f"phases of {source}") + draw)
        assert torch.allclose(torch.fft.fft2(same).abs(), torch.fft.fft2(v).abs(), atol=1e-3), "its spectrum"
        for name, rates in ((target, noise), (source, own_noise)):
            assert rates[draw] == pytest.approx(float(bench.fooled(name, 0.2 * same.sign()).float().mean()))
    assert len(set(noise)) > 1, "draws differ"
    found = evidence(matrix).set_index(["claim", "network"])["estimate"]
    signs = cells(matrix)["random signs", target]
    assert found["transfers_at_full_length", f"{target}, over random"] == pytest.approx(full - signs)
    mean = noise.mean()
    assert found["transfers_beyond_spectrum", f"{target}, over its spectrum"] == pytest.approx(full - mean)
    assert found["own_beyond_spectrum", f"{source}, over its spectrum"] == pytest.approx(own - own_noise.mean())
    run = Run.of(matrix)
    drawn = run.all_flags("fooled", source, item.OWN_PHASES, source)
    over = paired(run.flags("fooled", source, item.FULL_OWN, source), drawn)
    ends = evidence(matrix).set_index(["claim", "network"]).loc[("own_beyond_spectrum", f"{source}, over its spectrum")]
    assert len(drawn) == item.DRAWS
    assert (ends["low"], ends["high"]) == pytest.approx((over.low, over.high)), "over the draws, too"
    null = evidence(matrix).set_index(["claim", "network"])["null"][
        "transfers_beyond_spectrum", f"{target}, over its spectrum"
    ]
    best = max(noise)
    assert null == pytest.approx(best - (noise.sum() - best) / (item.DRAWS - 1)), "the draw that fools most"
    grid = item.at_full_length(Run.of(matrix)).axes[0]
    assert [t.get_text() for t in grid.get_yticklabels()][-4:] == [
        item.LIKE_OWN,
        "all others",
        item.LIKE_OTHERS,
        "random signs",
    ]
    assert {f"{full:.2f}", f"{mean:.2f}", f"{signs:.2f}"} <= {text.get_text() for text in grid.texts}


def test_a_run_without_full_length_makes_no_claim_of_it(matrix):
    later = (item.OWN_PHASES, item.FULL, item.FULL_OWN)
    arrays = {name: a for name, a in matrix.attrs["arrays"].items() if not any(kind in name for kind in later)}
    assert {c.name for c in item.claims(Run(matrix, arrays))} == {"transfers"}


def test_tab2_transfer_claims(matrix):
    found = rows_of(evidence(matrix), claim="transfers").set_index("network")
    rate = cells(matrix)
    equal = rows_of(matrix, model="linear_digits", kind="equal length")["fooling_rate"].item()
    told = found.loc["linear_digits, over random"]
    assert told["estimate"] == pytest.approx(rate["mlp_digits", "linear_digits"] - equal), "noise of its own length"
    without = matrix.copy()
    without.attrs = {"arrays": {k: v for k, v in matrix.attrs["arrays"].items() if "equal length" not in k}}
    gain = rate["mlp_digits", "linear_digits"] - rate["random signs", "linear_digits"]
    assert rows_of(evidence(without), claim="transfers").set_index("network").loc[
        "linear_digits, over random", "estimate"
    ] == pytest.approx(gain)
    assert (found["null_low"] <= 0).all(), "one random draw is not better than another"


def test_a_null_that_is_longer_than_every_foreign_vector_refutes_nothing(matrix):
    """Scaled down, the vectors are shorter than random signs of their largest entry; as long as they are, nothing is open."""
    run = Run.of(matrix)
    assert item.null_length(run, "mlp_digits") == pytest.approx(255 * 0.2 * 28, rel=1e-5)
    lengths = item.source_lengths(run)
    assert lengths["mlp_digits"] == pytest.approx(255 * float(np.linalg.norm(run.flags("v", "mlp_digits"))), rel=1e-6)
    plain = {name: array for name, array in run.arrays.items() if "equal length" not in name}
    full = plain | {f"v/{name}": 0.2 * np.sign(run.flags("v", name) + 1e-9) for name in TWO["models"]}
    thin = {
        name: v * (np.arange(v.size).reshape(v.shape) < 50) if name.startswith("v/") else v for name, v in full.items()
    }
    ends = {
        words: [c.found.high for c in item.claims(Run(run.table, arrays)) if c.name == "transfers"]
        for words, arrays in (("full", full), ("thin", thin))
    }
    assert all(high < 1 for high in ends["full"])
    assert ends["thin"] == [1, 1]


def test_lengths_order_the_columns(matrix):
    told = item.by_length(Run.of(matrix)).set_index("model")
    lengths = item.source_lengths(Run.of(matrix))
    assert told.loc["mlp_digits", "longest"] == lengths["linear_digits"], "of the foreign ones alone"
    assert told["rank_correlation"].isna().all(), "one source has no order"
    three = pd.DataFrame(
        {"model": "a", "source": list("bcd"), "kind": "foreign", "fooling_rate": [0.1, 0.2, 0.3], "norm": math.inf}
    )
    arrays = {f"v/{source}": np.full((1, 2, 2), k) for k, source in enumerate("bcd", 1)}
    assert item.by_length(Run(three, arrays))["rank_correlation"].item() == 1


def test_networks_on_other_images_are_not_attacked():
    table = item.run(**TWO | {"n_eval": {"default": 120, "linear_digits": 60}}, n_random=2)
    assert set(table["kind"]) == {"own", item.FULL_OWN, item.OWN_PHASES, "null"}
    assert evidence(table).empty


def test_figure_shows_what_the_table_says(matrix):
    grid, rate = item.figure(Run.of(matrix)).axes[0], cells(matrix)
    assert f"{rate['mlp_digits', 'linear_digits']:.2f}" in {text.get_text() for text in grid.texts}
    assert [t.get_text() for t in grid.get_yticklabels()][-2:] == ["all others", "random signs"]


def test_the_null_is_there_once_the_table_is_stored(matrix):
    """A table is stored as text, where a reader may take the word "null" for an empty cell."""
    again = results.read_table(results.table_bytes(matrix))
    run = Run.of(again)
    assert run.rows["is_null"].sum() == 6 + 4 * item.DRAWS
    assert [t.get_text() for t in item.figure(run).axes[0].get_yticklabels()][-1] == "random signs"


def test_the_published_matrix_is_read():
    printed = item.published_matrix(runner.reported(runner.item(NAME))).set_index("computed for")
    assert printed.loc["vgg_f", "caffenet"] == 0.718, "rows are sources"
    assert printed.shape == (6, 6)
