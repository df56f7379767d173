"""No cache can serve a wrong number: every item's run with a store that other settings have filled equals its run without.

The store is filled by the same item under another seed (so other images of equal shape, other starts and nulls), with
networks of the same names whose normalisation differs, and with one setting of its own changed. Then the run in
question, with that store and without any: table and arrays must be equal to the bit, whatever the kept answers were.
"""

import copy
import inspect

import numpy as np
import pandas as pd
import pytest

from uapkit import models, runner
from uapkit.lab import keeping

ITEMS = [name for name, about in runner.items().items() if about.function is not None]
SMALL = {  # settings that make a quick run quicker, for the items that have them
    "n_fit": 12, "n_select": 12, "n_eval": 30, "max_iter": 3, "n_random": 1, "n_images": 12, "max_passes": 1, "passes": 1,
    "n_seeds": 2, "n_pictures": 2, "n_train": 60, "n_attack": 4, "n_top": 3, "epochs": 1, "n_boot": 50, "repeats": 1,
}  # fmt: skip
KEPT_AS_THEY_ARE = {  # settings that an item, or all of a paper, needs larger than the above
    "khrulkov2018/sec_cost": ("n_fit",),
    "equivariant2019": ("n_images", "n_fit", "n_eval"),
    "moosavi2017/fig2_aggregation": tuple(SMALL),
}
OTHER = {  # settings of which one is changed at a time, the first that the item has
    "eps": lambda v: 1.5 * v, "q": lambda v: 3.0, "small": lambda v: 0.7 * v, "rotation": lambda v: 0.5 * v,
    "step_factor": lambda v: 0.5 * v, "d_lows": lambda v: [90], "shares": lambda v: [0.05], "max_iter": lambda v: v + 1,
    "n_fit": lambda v: v + 1,
}  # fmt: skip
CLOCKS = ("seconds", "slope")  # columns that are a clock's
TIMED = {"khrulkov2018/sec_cost"}  # whose numbers are all a clock's


def settings_of(name):
    """The item's small settings, its networks as modules of the user's own called by plain names."""
    defaults = runner.item(name).parameters
    small = {k: v for k, v in SMALL.items() if isinstance(defaults.get(k), (int, float))}
    kept = [setting for key in (name, name.partition("/")[0]) for setting in KEPT_AS_THEY_ARE.get(key, ())]
    return {k: v for k, v in small.items() if k not in kept}


def networks(name, shift):
    """The item's networks wrapped anew, under the same names, with another normalisation."""
    wanted = runner.item(name).parameters.get("models")
    if wanted is None:
        return {}
    found = []
    for spec in wanted:
        net = models.load(spec)
        mean, std = net.mean.flatten() + shift, net.std.flatten() * (1 + shift)
        settings = {"mean": mean, "std": std, "input_size": net.input_size, "name": spec, "classes": net.classes}
        found.append(models.wrap(copy.deepcopy(net.net), **settings))
    return {"models": found}


def plain(table):
    return table.drop(columns=[c for c in table if any(clock in c for clock in CLOCKS)])


@pytest.mark.parametrize("name", ITEMS)
def test_same_with_a_store_that_others_filled_and_without(name, tmp_path):
    function = runner.item(name).function
    has = inspect.signature(function).parameters
    base = settings_of(name)
    others = [{"seed": 1}] if "seed" in has else [{"seeds": [5, 6]}] if "seeds" in has else []
    for setting, change in OTHER.items():
        if setting in has and has[setting].default is not None and not isinstance(has[setting].default, dict):
            others.append({setting: change(base.get(setting, has[setting].default))})
            break
    with keeping(tmp_path) as memo:
        for other in others:
            function(**base | networks(name, 0.0) | other)
        if "models" in has:
            function(**base | networks(name, 0.1))
        filled = memo.computed
        with_store = function(**base | networks(name, 0.0))
        again = function(**base | networks(name, 0.0))
    without = function(**base | networks(name, 0.0))
    assert filled or name in TIMED or "models" not in has, (
        "the item keeps nothing: then what does an interruption cost?"
    )
    if name in TIMED:
        assert list(with_store.columns) == list(without.columns)
        return
    for table in (with_store, again):
        pd.testing.assert_frame_equal(plain(table), plain(without))
        arrays, expected = table.attrs["arrays"], without.attrs["arrays"]
        assert list(arrays) == list(expected)
        for key in expected:
            np.testing.assert_array_equal(np.asarray(arrays[key]), np.asarray(expected[key]), err_msg=key)
