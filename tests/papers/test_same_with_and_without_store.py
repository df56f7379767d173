"""No cache can serve a wrong number: every item's run with a store that other settings have filled equals its run without.

The store is filled by the same item under another seed (so other images of equal shape, other starts and nulls), with
networks of the same names whose normalisation differs, and with one setting of its own changed. Then the run in
question, with that store and without any: table and arrays must be equal to the bit, whatever the kept answers were.
Keys are made from code and values whatever their size, so images and counts are small here.
"""

import copy
import inspect

import numpy as np
import pandas as pd
import pytest
from torch import nn

from uapkit import data, models, runner
from uapkit.lab import keeping

ITEMS = [name for name, about in runner.items().items() if about.function is not None]
SMALL = {  # settings that make a quick run quicker, for the items that have them
    "n_fit": 12, "n_select": 12, "n_eval": 30, "max_iter": 3, "n_random": 1, "n_images": 12, "max_passes": 1, "passes": 1,
    "n_seeds": 2, "n_pictures": 2, "n_train": 60, "n_attack": 4, "n_top": 3, "epochs": 1, "n_boot": 50, "repeats": 1,
    "max_products": 60, "n_positions": 11, "n_grid": 6, "n_uap": 12,
}  # fmt: skip
CURVED = ("fig1_scores", "fig2_positive", "fig3_accuracy", "fig3_attack_energy", "fig_negative_flat", "ext_step")
FEWER = {  # two or three of what a quick run goes through, for the items that have them
    "equivariant2019": {"n_fit": 40, "samples": (20, 40), "n_draws": 2},
    "equivariant2019/ext_roteqnet_fooling": {"samples": (20, 24), "n_eval": 12},
    "jetley2018": {"dims": (1, 4, 16), "factors": (1.0, 10.0)},
    **{f"jetley2018/{item}": {"n_fit": 5} for item in CURVED},
    "khrulkov2018/ext_patterns": {"angles": (45,)},
    "khrulkov2018/sec_cost": {"n_fit": 32, "batch_sizes": (16, 32), "iterations": (2, 4), "n_repeat": 1},
}
SMALLER = ("equivariant2019", "jetley2018")  # papers of spectra, whose time grows as the third power of the pixels
SIDE = 12  # of their images here
KEPT_AS_THEY_ARE = {  # settings that an item, or all of a paper, needs larger than the above
    "equivariant2019": ("n_images",),
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
    keys = (name.partition("/")[0], name)
    kept = [setting for key in keys for setting in KEPT_AS_THEY_ARE.get(key, ())]
    fewer = {k: v for key in keys for k, v in FEWER.get(key, {}).items() if k in defaults}
    return {k: v for k, v in small.items() if k not in kept} | fewer


def smaller(name):
    """Does the item run on digits of 12 x 12? Not where it trains networks, which are made for 28 x 28."""
    return name.partition("/")[0] in SMALLER and "epochs" not in runner.item(name).parameters


load = data.load


def small_digits(name, **settings):
    """The set as it is, digits at 12 x 12."""
    return load(name, **({"size": SIDE} if name == "digits" else {}) | settings)


def networks(name, shift):
    """The item's networks wrapped anew, under the same names, with another normalisation."""
    wanted = runner.item(name).parameters.get("models")
    if wanted is None:
        return {}
    found = []
    for spec in wanted:
        net = models.load(spec)
        mean, std = net.mean.flatten() + shift, net.std.flatten() * (1 + shift)
        inner, size = copy.deepcopy(net.net), net.input_size
        if smaller(name):  # such images are enlarged to those that the network was trained with
            inner, size = nn.Sequential(nn.Upsample(size[1:], mode="bilinear"), inner), (size[0], SIDE, SIDE)
        found.append(models.wrap(inner, mean=mean, std=std, input_size=size, name=spec, classes=net.classes))
    return {"models": found}


def plain(table):
    return table.drop(columns=[c for c in table if any(clock in c for clock in CLOCKS)])


@pytest.mark.parametrize("name", ITEMS)
def test_same_with_a_store_that_others_filled_and_without(name, tmp_path, monkeypatch):
    networks(name, 0.0)  # what is not trained yet is trained now, with the digits' own size
    if smaller(name):
        monkeypatch.setattr(data, "load", small_digits)
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
