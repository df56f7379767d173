"""How a perturbation becomes a picture: stretched to the full range, or at its own scale about grey."""

import numpy as np

from uapkit.figures import pictures


def test_pictures_stretch_or_keep_the_scale():
    v = np.array([[[0.1, -0.1]]], dtype=np.float32)
    np.testing.assert_allclose(pictures.as_picture(v, stretch=True)[0, :, 0], [1, 0])
    np.testing.assert_allclose(pictures.as_picture(v, stretch=False)[0, :, 0], [0.6, 0.4], rtol=1e-6)
    assert pictures.as_picture(np.zeros((3, 2, 2), dtype=np.float32), stretch=True).shape == (2, 2, 3)
