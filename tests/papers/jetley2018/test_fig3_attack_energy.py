"""Figure 3, bottom: shares of norms of known size, attacks by name, and one panel an attack."""

import numpy as np
import pandas as pd
import pytest

from uapkit import lab
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig3_attack_energy as item

SMALL = {
    "models": ("mlp_digits",),
    "dims": (1, 4),
    "n_train": 120,
    "n_fit": 8,
    "n_eval": 30,
}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**SMALL, attacks=("deepfool", "uap"), n_uap=20))


def test_fig3_attack_energy(run, every_row_decides):
    table = run.table
    share = table.set_index(["attack", "kind", "m"])["norm_share"]
    assert share["deepfool", "positive", 40] > table.loc[table["m"] == 40, "chance"].iloc[0] + 0.2
    assert share["random", "random", 40] == pytest.approx(np.sqrt(40 / 784), abs=0.05)
    assert table["norm_share"].between(0, 1 + 1e-5).all()
    assert (table.loc[table["attack"] == "uap", "n"] == 1).all()
    assert table.loc[table["attack"] == "random", "is_null"].all(), "noise is a null in every subspace"
    evidence = evidence_table(list(item.claims(run)))
    assert set(evidence["network"]) == {"mlp_digits (deepfool)", "mlp_digits (uap)"}
    assert evidence["null"].nunique() == 1


def nested(n=40, images=60, tied=True):
    """A run of one network with nested subspaces; image by image the attack's share follows the accuracy, or nothing."""
    rng = np.random.default_rng(0)
    rows, share, right = [], [], []
    for kind in ("positive", "negative", "random"):
        for m in range(1, n, 4):
            chance = np.sqrt(m / n)
            lift = 0 if kind == "random" else 0.3 * np.sin(m / 5) * (1 if kind == "positive" else -1)
            right.append(rng.random(images) < np.clip(chance / 2 + 0.2 + lift, 0, 1))
            share.append(chance + (lift if tied else 0) + 0.2 * rng.normal(size=images))
            about = {"model": "net", "converged": True, "overlap_halves": 0.5, "kind": kind, "m": m, "chance": chance}
            rows += [{**about, "attack": attack} for attack in ("deepfool", "random")]
    table = pd.DataFrame(rows)
    noise = [np.sqrt(m / n) + 0.01 * rng.normal(size=images) for _ in range(3) for m in range(1, n, 4)]
    table.attrs["arrays"] = {
        "share/net/deepfool": np.stack(share), "share/net/random": np.stack(noise), "right/net": np.stack(right),
        **{f"image/net/{attack}": np.arange(images) for attack in ("deepfool", "random")},
    }  # fmt: skip
    return Run.of(table)


def test_the_correlation_is_over_images_not_over_nested_subspaces():
    run = nested()
    found, loose = (item.mirrored(r, "net", r.rows, "deepfool") for r in (run, nested(tied=False)))
    assert found.n == 60, "images are drawn, not the subspaces"
    assert found.low > 0.5 > loose.low
    few = nested(images=15)
    wide = item.mirrored(few, "net", few.rows, "deepfool")
    assert wide.high - wide.low > found.high - found.low, "fewer images, a wider interval; the subspaces are as many"
    evidence = evidence_table(list(item.claims(run))).iloc[0]
    assert (evidence["estimate"], evidence["n"]) == (found.value, 60)


def test_shares_of_each_image_stand_at_its_place(run):
    share, image = run.arrays["share/mlp_digits/deepfool"], run.arrays["image/mlp_digits/deepfool"]
    rows = run.where(attack="deepfool")
    assert share.shape == (len(rows), len(image))
    assert share.mean(1) == pytest.approx(rows["norm_share"].to_numpy(), rel=1e-5)
    assert run.arrays["right/mlp_digits"].mean(1) == pytest.approx(rows["projected_accuracy"].to_numpy())


def test_the_figure_has_a_panel_an_attack(run):
    titles = [ax.get_title() for ax in item.figure(run, "mlp_digits").axes]
    assert [title for title in titles if title] == [
        f"{attack}, MLP (digits)" for attack in ("deepfool", "uap", "random")
    ]


def test_directions_of_attacks():
    bench = lab.Bench("digits", 120, 0, 80, 0, from_training=True)
    fgsm, random = (item.directions(bench, "mlp_digits", attack, 0.2, 5) for attack in ("fgsm", "random"))
    assert fgsm[0].abs().max() == 1
    assert random[0].shape == (80, 784)
    assert random[1].tolist() == list(range(80))
    with pytest.raises(ValueError, match="attack"):
        item.directions(bench, "mlp_digits", "pgd", 0.2, 5)
