"""Paper J's suppression of attack directions: a network that sees images sampled down and up again, and its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from uapkit import checks, lab, models
from uapkit.checks import NotHere
from uapkit.data.images import Images
from uapkit.lab.bench import fitted
from uapkit.models import Model
from uapkit.papers.jetley2018.setting import deepfool, norms
from uapkit.seeds import generator

PAPERS_SIDE = 227  # AlexNet's input, which Table 1's d_low are to be read against


class Resampled(nn.Module):
    """A network that sees its images sampled down to ``side`` and up again; differentiable, so it can be attacked itself.

    Bicubic with antialiasing, as MATLAB's imresize and Pillow do it: torch takes their kernel (a = -1/2, widened when
    shrinking) only with ``antialias=True``, up as well as down. Images of that side pass unchanged. Source: [jetley2018],
    Table 1.
    """

    def __init__(self, net: nn.Module, side: int) -> None:
        super().__init__()
        self.net, self.side = net, side
        self.channels_last = getattr(net, "channels_last", False)  # twice as fast on a CPU; see evaluate
        self.eval()

    def resampled(self, x: Tensor) -> Tensor:
        """(n, c, h, w) images sampled down and up; not clipped."""
        if self.side == x.shape[-1]:
            return x
        return sampled(sampled(x, (self.side, self.side)), x.shape[-2:])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w)."""
        return self.net(self.resampled(x))


def sampled(x: Tensor, size: Sequence[int]) -> Tensor:
    """(n, c, *size) images of another size, height and width, bicubic with antialiasing; linear in x (n, c, h, w)."""
    return interpolate(x, tuple(size), mode="bicubic", antialias=True)


def defended(net: Model, side: int) -> Model:
    """The network behind a down-sampling to ``side``, as anyone would wrap a module."""
    return models.wrap(
        Resampled(net, side), classes=net.classes, input_size=net.input_size, name=f"{net.name} seen at {side}"
    )


def images_of(bench: lab.Bench, network: str, spare: int = 0) -> Images:
    """The images that a network is attacked on, and ``spare`` more after them. Pictures are cropped to its input."""
    model, data = bench.network(network), bench.setting(network, "data")
    n = checks.count(bench.setting(network, "n_eval"), "n_eval", 2) + spare
    try:
        return fitted(data, model.input_size, "crop", n=n, seed=bench.seed).to(bench.device)
    except FileNotFoundError as error:
        raise NotHere(str(error)) from None


@dataclass(frozen=True)
class Attacked:
    """The images that DeepFool fooled a network on, its r (n, c, h, w) for them, and the share of all images they are."""

    images: Images
    r: Tensor
    share: float


def attacked(bench: lab.Bench, network: str, max_iter: int) -> Attacked:
    """DeepFool on the network as it is. ValueError where it fools it on no image."""
    return _fooled(bench, network, images_of(bench, network), max_iter)


def attacked_and_spare(bench: lab.Bench, network: str, max_iter: int, spare: int) -> tuple[Attacked, Tensor]:
    """:func:`attacked`, and DeepFool's r (m, c, h, w), m <= spare, for so many other images of the set."""
    images = images_of(bench, network, checks.count(spare, "n_span"))
    n = len(images) - spare
    first, rest = (_fooled(bench, network, part, max_iter) for part in (images[:n], images[n:]))
    return first, rest.r


def _fooled(bench: lab.Bench, network: str, images: Images, max_iter: int) -> Attacked:
    found = deepfool(bench.network(network), images, max_iter=max_iter)
    fooled = found.success.nonzero()[:, 0]
    if not len(fooled):
        raise ValueError(
            f"DeepFool fooled {network} on none of {len(images)} images within max_iter = {max_iter} steps"
        )
    return Attacked(images[fooled], found.r[fooled], len(fooled) / len(images))


def side_of(d_low: int, images: Images) -> int:
    """The paper's ``d_low`` for an input of 227 pixels, scaled to these images."""
    return max(1, round(checks.count(d_low, "d_lows") * images.x.shape[-1] / PAPERS_SIDE))


def random_directions(r: Tensor, seed: int) -> Tensor:
    """For each row of r a random direction of the same norm: the null of an attack by image."""
    noise = torch.randn(r.shape, generator=generator(seed, "random direction an image"))
    return noise * (norms(r) / norms(noise))[:, None, None, None]
