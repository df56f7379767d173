"""The book's look: one look for one meaning, no network in a meaning's colour, and no figure that stays open."""

import matplotlib.pyplot as plt
import pytest

from uapkit.figures import style
from uapkit.lab import nulls


def test_a_meaning_has_one_look_and_an_unknown_one_is_refused():
    assert style.look("attack") == style.look("singular vector") != style.look("random signs")
    with pytest.raises(ValueError, match=r"no look for 'unheard of'.*style\.py"):
        style.look("unheard of")


def test_nulls_look_unlike_what_is_measured_in_colour_and_in_line():
    measured = {style.look(meaning) for meaning in ("attack", "UAP", "gradient", "fgsm", "deepfool")}
    for name in (nulls.RANDOM_SIGNS, nulls.RANDOM_DIRECTION, nulls.UNTRAINED):
        null = style.look(name)
        assert null.colour not in {one.colour for one in measured}
        assert null.line not in {one.line for one in measured}, "told apart without colour, too"


def test_no_network_has_the_colour_of_a_meaning():
    colours = {one.colour for one in style.MEANINGS.values()}
    names = ["bvlc_googlenet", "vgg_digits", "squeezenet1_1[gluon]", "a_network_of_the_users"]
    assert not colours & {style.look_of_network(name).colour for name in names}
    assert style.look_of_network("gcnn_mnist_rot_seed2") == style.look_of_network("gcnn_mnist_rot"), (
        "seeds share a look"
    )


def test_figures_leave_pyplots_list():
    """A figure that stays open is shown a second time at the end of a notebook's cell."""
    before = plt.get_fignums()
    with style.style():
        figure, _ = plt.subplots()
    assert figure.axes
    assert plt.get_fignums() == before


def test_long_layer_names_break():
    assert style.broken("features.4.expand3x3_activation") == "features.4.\nexpand3x3_activation"
    assert style.broken("block2_pool") == "block2_pool"
