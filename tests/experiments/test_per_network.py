"""Values by network: a change for one of them gives what a run from nothing gives, and computes the others no more."""

import pandas as pd
import pytest

from uapkit import models, runner
from uapkit.files import cache_folder

BOTH = ["lenet_digits", "mlp_digits"]
OF_SEVERAL = ["pair", "foreign", "row mean", "column mean"]  # rows that two networks share, which may change
CASES = {  # item, its small settings, the parameter that changes, for the second network, from and to
    "moosavi2017/tab1_fooling_rates": ({"n_fit": 20, "n_eval": 40, "norms": [2.0]}, "n_images", 8, 12),
    "moosavi2017/fig4_gallery": ({"n_fit": 20, "n_eval": 40}, "n_images", 8, 12),
    "moosavi2017/fig5_diversity": ({"n_fit": 20, "seeds": [0, 1]}, "n_eval", 30, 40),
    "moosavi2017/fig1_teaser": ({"n_fit": 20, "n_eval": 40, "n_pictures": 2}, "n_images", 8, 12),
    "moosavi2017/fig3_examples": ({"n_fit": 20, "n_eval": 40, "n_pictures": 2, "norms": [2.0]}, "n_images", 8, 12),
    "moosavi2017/fig6_set_size": ({"n_fit": 20, "n_eval": 40, "sizes": [8, 16]}, "max_visits", 8, 32),
    "moosavi2017/fig7_label_graph": ({"n_fit": 20, "n_eval": 60, "n_noise": 20}, "n_graph", 40, 60),
    "moosavi2017/tab2_transfer": ({"n_fit": 20, "n_eval": 40}, "n_images", 8, 12),
    "moosavi2017/fig8_norms": ({"n_fit": 20, "sizes": [1.0], "n_normals": 10}, "n_eval", 30, 40),
    "moosavi2017/sec_subspace": ({"n_images": 20, "ks": [3], "n_random": 2}, "n_eval", 30, 40),
    "moosavi2017/fig9_spectrum": ({"n_groups": 2}, "n_images", 20, 30),
}


@pytest.mark.parametrize("name", CASES)
def test_a_change_for_one_network(name, tmp_path, monkeypatch):
    trained = cache_folder("models")
    for spec in BOTH:
        models.load(spec)  # trained at most once for all cases
    settings, parameter, first, second = CASES[name]
    rest = "other" if name.startswith("jetley") else "default"

    def table(cache, here):
        monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / cache))
        (tmp_path / cache).mkdir(exist_ok=True)
        if not (link := tmp_path / cache / "models").exists():
            link.symlink_to(trained, target_is_directory=True)
        return runner.run(name, models=BOTH, **settings, **{parameter: {rest: first, "mlp_digits": here}})

    before, after, anew = table("one", first), table("one", second), table("two", second)
    pd.testing.assert_frame_equal(after, anew)
    assert not after.equals(before), "the change must show"
    own, still = (
        frame[(frame["model"] == "lenet_digits") & ~frame["kind"].isin(OF_SEVERAL)].reset_index(drop=True)
        for frame in (before, after)
    )
    pd.testing.assert_frame_equal(own, still)
    assert after.attrs["provenance"]["points_reused"], "the other network's points are there already"
    assert before.attrs["provenance"]["points_reused"] == anew.attrs["provenance"]["points_reused"] == 0
