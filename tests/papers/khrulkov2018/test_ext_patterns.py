"""A vector beside patterns made from nothing: equal norms, signs chosen alike, value shares, claims in both directions."""

import dataclasses

import numpy as np
import pytest
import torch

from uapkit import lab
from uapkit.lab import Run
from uapkit.papers.khrulkov2018 import ext_patterns as item


@pytest.fixture(scope="module")
def run():
    small = {
        "n_fit": 8,
        "n_select": 24,
        "n_eval": 60,
        "max_iter": 3,
        "n_random": 2,
        "n_at_best": 4,
        "periods": [4, 8],
        "angles": [0, 90],
    }
    return Run.of(item.run(models=["lenet_digits"], **small))


def test_ext_patterns(run):
    """Every kind stands there once a draw, at equal norm, with its null marked."""
    own = run.where(kind=item.OWN)
    layers = list(own["layer"])
    assert len(layers) == 3
    for kind in (item.PHASE, item.RADIAL):
        drawn = run.where(kind=kind).groupby("layer")["draw"].apply(sorted).to_dict()
        assert drawn == {layer: list(range(4 if layer == item.best_layer(run.rows) else 2)) for layer in layers}
    assert {k: len(run.where(kind=k)) for k in item.FAMILIES} == dict.fromkeys(item.FAMILIES, 1)
    assert len(run.where(kind="random signs")) == 2
    assert not own["is_null"].any()
    assert run.rows.loc[run.rows["kind"] != item.OWN, "is_null"].all()
    assert len(run.measured) == len(layers)
    for name, v in run.arrays.items():
        if name.startswith("v/"):
            np.testing.assert_allclose(np.abs(v), 0.2, rtol=1e-5, err_msg=name)


def test_a_stored_vector_fools_the_images_whose_flags_are_stored_with_it(run):
    """The first draw of each kind: a later draw must not take its place."""
    bench = lab.Bench("digits", 8, 24, 60)
    names = [name.split("/")[1:] for name in run.arrays if name.startswith("v/")]
    assert {kind for *_, kind in names} == {item.OWN, item.PHASE, item.RADIAL, *item.FAMILIES, "random signs"}
    for network, layer, kind in names:
        v = torch.from_numpy(run.arrays[f"v/{network}/{layer}/{kind}"])
        assert bench.fooled(network, v).tolist() == run.flags("fooled", network, layer, kind, 0).tolist()


def test_no_pattern_moves_the_layer_more_than_its_singular_vector(run):
    """The singular vector is a local maximum of ||J v||_q over the cube; random signs and noise lie far below."""
    shares = run.rows.dropna(subset="value_share")
    assert (shares.loc[shares["kind"] == item.OWN, "value_share"] == 1).all()
    others = shares.loc[shares["kind"] != item.OWN]
    assert ((others["value_share"] > 0) & (others["value_share"] < 1.02)).all()
    assert shares.loc[shares["kind"] == "value of random signs", "value_share"].max() < 0.8


def test_the_value_of_a_direction_is_the_norm_of_its_product():
    bench = lab.Bench("digits", 4, 0, 4)
    net, x = bench.network("linear_digits"), bench.split("linear_digits").fit.x
    v = torch.ones(1, 28, 28)
    product = (net.net.fc.weight @ v.flatten() / float(net.std)).repeat(4)
    assert item.value_at(net, x, "logits", v, 2.0) == pytest.approx(float(product.norm()), rel=1e-5)


def test_claims_say_both_directions_and_are_paired(run):
    found = {one.name: one for one in item.claims(run)}
    assert set(found) == {
        "beats_random_signs", "beats_its_own_spectrum", "beats_patterns", "patterns_beat_it", "spectrum_explains_half",
    }  # fmt: skip
    assert found["beats_patterns"].found.value == pytest.approx(-found["patterns_beat_it"].found.value)
    layer = item.best_layer(run.rows)
    own = run.where(kind=item.OWN, layer=layer)["fooling_rate"].iloc[0]
    random = run.where(kind="random signs")["fooling_rate"].mean()
    assert found["beats_random_signs"].found.value == pytest.approx(own - random, abs=1e-6)
    assert found["beats_random_signs"].found.n == 60
    noise = run.all_flags("fooled", "lenet_digits", layer, item.strongest_noise(run.rows, layer))
    assert len(noise) == 4
    assert found["beats_its_own_spectrum"].found == lab.paired(
        run.flags("fooled", "lenet_digits", layer, item.OWN, 0), noise
    )


def test_the_noise_that_counts_is_the_one_that_fools_more_held_in_images(run):
    layer = item.best_layer(run.rows)
    for strong, weak in ((item.PHASE, item.RADIAL), (item.RADIAL, item.PHASE)):
        table = run.table.copy()
        for kind, rate in ((strong, 0.9), (weak, 0.1)):
            table.loc[(table["kind"] == kind) & (table["layer"] == layer), "held_in_rate"] = rate
        found = {one.name: one for one in item.claims(dataclasses.replace(run, table=table))}["beats_its_own_spectrum"]
        own, noise = (np.mean(run.all_flags("fooled", "lenet_digits", layer, kind)) for kind in (item.OWN, strong))
        assert found.found.value == pytest.approx(own - noise)
        assert found.network.endswith(f"against {strong}")


def test_figures_show_every_kind(run):
    labels = [t.get_text().replace("\n", " ") for t in item.figure(run).axes[0].get_xticklabels()]
    assert labels == list(item.SHOWN)
    assert len(item.gallery(run).axes) == 4
    assert item.by_layer(run).axes[0].get_xlabel() == "depth of the layer"
