"""Figure 4 of [jetley2018] on images that are sampled down: spans among the few pixels, and where their curve saturates.

The paper's curves for ImageNet are of this kind: DeepFool's directions are sampled down before they are decomposed, so the
curve can rise to the accuracy on equally small images and no further.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from uapkit import lab, spectra, subspace
from uapkit.papers.jetley2018.resampling import Resampled, sampled, side_of
from uapkit.papers.jetley2018.setting import accuracy, mean_image, right
from uapkit.papers.jetley2018.spans import directions, singular_basis
from uapkit.seeds import child_seed

DOWN = ", sampled down"
IMAGES, FIRST, CHANCE = f"images{DOWN}", f"S_hi{DOWN}", f"random{DOWN}"


class SampledDown(nn.Module):
    """A network that sees of its images, sampled down, their mean and a projection of the rest; sampled up again.

    basis: (c side^2, k) with orthonormal columns; mean: (c, h, w). With a basis of all these dimensions it is
    :class:`Resampled`. Source: [jetley2018], Figure 4 on ImageNet.
    """

    basis: Tensor
    mean: Tensor

    def __init__(self, net: nn.Module, basis: Tensor, mean: Tensor, side: int) -> None:
        super().__init__()
        self.net, self.side = net, side
        self.channels_last = getattr(net, "channels_last", False)  # twice as fast on a CPU; see evaluate
        self.register_buffer("basis", basis.to(mean))
        self.register_buffer("mean", sampled(mean[None], (side, side))[0])
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w)."""
        low = sampled(x, (self.side, self.side)) - self.mean
        return self.net(sampled(self.mean + subspace.project(low, self.basis), x.shape[-2:]))


def rows_sampled_down(
    bench: lab.Bench, network: str, max_iter: int, shares: Sequence[float], d_lows: Sequence[int], n_random: int
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Accuracy at each of ``d_lows`` on the whole small images, on S_hi among their pixels, and on random spans.

    share: of the small images' dimensions. Arrays: flags of the correctly classified, ``right/<network>/<kind>/<d_low>``,
    with ``/<share>`` for spans.
    """
    model, split, mean = bench.network(network), bench.split(network), mean_image(bench, network)
    found = directions(bench, network, "deepfool", max_iter).view(-1, *mean.shape)
    rows, arrays = [], {}
    for d_low in d_lows:
        side = side_of(d_low, split.scored)
        small = spectra.direction_matrix(sampled(found, (side, side)).flatten(1))
        d = small.shape[1]
        flags = right(Resampled(model, side), split.scored)
        rows.append({"kind": IMAGES, "d_low": d_low, "side": side, "share": 1.0, "d": d, **accuracy(flags)})
        arrays[f"right/{network}/{IMAGES}/{d_low}"] = flags.numpy()
        bases = [(FIRST, 0, lab.keep(singular_basis, small)[0])]
        for draw in range(n_random):
            seed = child_seed(bench.seed, f"random subspace {draw}")
            bases.append((CHANCE, draw, subspace.random_subspace(d, d, seed).float()))
        for kind, draw, basis in bases:
            for share in shares:
                k = max(1, round(share * d))
                flags = right(SampledDown(model, basis[:, :k], mean, side), split.scored)
                about = {"kind": kind, "d_low": d_low, "side": side, "share": share, "d": k, "draw": draw}
                rows.append({**about, **accuracy(flags)})
                if draw == 0:
                    arrays[f"right/{network}/{kind}/{d_low}/{share:g}"] = flags.numpy()
    return rows, arrays
