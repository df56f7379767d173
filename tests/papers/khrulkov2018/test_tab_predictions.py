"""Labels and confidences: counted anew from the networks."""

import pytest

from uapkit import lab, models
from uapkit.papers.khrulkov2018 import tab_predictions

SMALL = {
    "models": ("mlp_digits",),
    "layer": "relu2",
    "n_fit": 8,
    "n_select": 32,
    "n_eval": 120,
    "max_iter": 6,
    "seed": 3,
}


def test_tab_predictions():
    table = tab_predictions.run(**SMALL, n_pictures=2)
    scored = table[table["kind"] == "scored images"].set_index("direction")
    own = scored.loc["singular vector"]
    assert own["n_fooled"] == round(own["fooling_rate"] * 120)
    assert own["unsure_low"] <= own["unsure_share"] <= own["unsure_high"]
    model, images = models.load("mlp_digits"), lab.Bench("digits", 8, 32, 120, 3).split("mlp_digits").scored
    clean = model(images.x).softmax(1).max(1).values
    assert scored.loc["none", "unsure_share"] == pytest.approx(float((clean < 0.5).float().mean()))
    (claim,) = tab_predictions.claims(lab.Run.of(table))
    assert (claim.found.value, claim.null.value) == (own["unsure_share"], scored.loc["random signs", "unsure_share"])
    assert claim.null.n == scored.loc["random signs", "n_fooled"], "the labels that random signs change, no others"
    assert claim.found.n == own["n_fooled"]


def test_the_clean_images_are_marked_as_the_null():
    table = tab_predictions.run(**SMALL | {"n_eval": 30}, n_pictures=1)
    run = lab.Run.of(table)
    assert set(run.rows.loc[run.rows["is_null"], "direction"]) == {"none", "random signs", "untrained network"}
