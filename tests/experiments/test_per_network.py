"""Values by network: a change for one of them gives what a run from nothing gives, and computes the others no more."""

import pandas as pd
import pytest

from uapkit import models, runner
from uapkit.files import cache_folder

BOTH = ["lenet_digits", "mlp_digits"]
OF_SEVERAL = ["pair", "foreign", "row mean", "column mean"]  # rows that two networks share, which may change
CASES = {  # item, its small settings, the parameter that changes, for the second network, from and to
    "khrulkov2018/fig_batch_size": ({"n_select": 20, "n_fit": 16, "batch_sizes": [4], "max_iter": 2}, "n_eval", 30, 40),
    "jetley2018/sec_direct_attack": ({"d_lows": [100]}, "n_eval", 6, 9),
    "jetley2018/tab1_downsampling": ({"d_lows": [100], "factors": [1]}, "n_eval", 6, 9),
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
