"""The picture of the idea: the direction that bends is found from the score alone."""

import numpy as np

from uapkit.papers.jetley2018 import idea


def test_the_bent_direction_is_the_one_built_in():
    found = idea.bend()
    bent, flat = np.array(idea.BENT), np.array(idea.FLAT)
    assert abs(found[:, 0] @ bent) / np.linalg.norm(bent) > 0.99
    assert abs(found[:, 1] @ flat) / np.linalg.norm(flat) > 0.99


def test_the_picture_has_the_plane_and_the_score():
    plane, score = idea.figure().axes
    assert {text.get_text() for text in plane.texts} >= {"bends", "flat"}
    assert len([line for line in score.lines if len(line.get_xdata()) > 2]) == 2 * len(idea.POINTS)
