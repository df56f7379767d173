"""Perturbations and images as pictures: whose they are, and one line a network."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from uapkit.figures import pictures


def test_examples_say_whose_perturbation_it_is_and_which_row_has_it():
    rows = pd.DataFrame(
        {
            "label": ["cat", "cup"],
            "confidence": [0.5, 0.9],
            "perturbed_label": ["dog", "cup"],
            "perturbed_confidence": 0.4,
        }
    )
    figure = pictures.examples(np.zeros((2, 3, 4, 4)), np.full((3, 4, 4), 0.2), rows, "a network, random signs")
    assert figure.get_suptitle() == "a network, random signs"
    upper, lower = figure.axes[:2], figure.axes[2:]
    assert [ax.get_title() for ax in upper] == ["cat\n50%", "cup\n90%"]
    assert [ax.get_title() for ax in lower] == ["dog\n40%", "cup\n40%"]
    assert [line[0].texts[0].get_text() for line in (upper, lower)] == ["before", "after"]
    assert np.ptp(lower[0].images[0].get_array()) == 0
    assert lower[0].images[0].get_array().max() == 0.2
    plt.close(figure)


def test_each_network_begins_a_line_of_the_gallery():
    arrays = {f"v/a/q = {q}": np.full((3, 4, 4), q / 10) for q in range(3)} | {
        "v/b/q = 1": np.zeros((1, 4, 4)),
        "other": 0,
    }
    figure = pictures.gallery(arrays)
    assert [[bool(ax.images) for ax in line] for line in np.reshape(figure.axes, (2, 3))] == [
        [True] * 3,
        [True, False, False],
    ]
    assert [ax.get_title(loc="left") for ax in figure.axes][:4] == ["a\nq = 0", "\nq = 1", "\nq = 2", "b\nq = 1"]
    assert len(pictures.gallery(arrays, columns=2).axes) == 6, "two lines of the first network, one of the second"
    plt.close("all")
