"""The picture of paper M's idea shows what its caption says."""

import math

import numpy as np
import pytest

from uapkit.papers.moosavi2017 import idea


@pytest.mark.parametrize(("norm", "fooled"), [(2.0, [True, True, False]), (math.inf, [True, True, True])])
def test_idea_shows_what_its_caption_says(norm, fooled):
    v = idea.walk(norm)[-1]
    unit = [np.array(n) / np.hypot(*n) for n in idea.NORMALS]
    crossed = [u @ v > d for u, d in zip(unit, idea.DISTANCES, strict=True)]
    assert crossed == fooled
    assert np.linalg.norm(v, norm) <= 1 + 1e-9
    assert len(idea.figure().axes) == 2
