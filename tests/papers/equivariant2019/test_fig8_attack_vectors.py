"""Figures 8 to 16: the pictured vectors are the eigenvectors, and so are their numbers."""

import pytest
import torch

from uapkit.lab import Run
from uapkit.papers.equivariant2019 import fig8_attack_vectors
from uapkit.papers.equivariant2019.angular import round_share


def test_fig8_attack_vectors(small, setting, net):
    table = fig8_attack_vectors.run(**small, attacks=("gradient", "fgsm"), n_fit=60)
    assert len(table) == 10
    v = torch.from_numpy(table.attrs["arrays"][f"v/{net}/gradient/1"]).flatten()
    rows = setting().directions(net, "gradient", 60)
    assert float((rows @ v).square().mean()) == pytest.approx(table.iloc[0]["share"], rel=1e-4)
    shares = fig8_attack_vectors.round_shares(Run.of(table)).set_index("attack")
    picture = torch.from_numpy(table.attrs["arrays"][f"v/{net}/fgsm/2"])
    assert shares.loc["fgsm", "vector 2"] == pytest.approx(round_share(picture))
    axes = fig8_attack_vectors.figure(Run.of(table)).axes
    assert len([ax for ax in axes if ax.images]) == 10
