"""What is looked at after every epoch of a training, beside the accuracy: paper E's spectrum and what might explain it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uapkit.attacks.gradient import loss_gradient
from uapkit.data.images import Images
from uapkit.lab.training import MNIST_MEAN, MNIST_STD
from uapkit.papers.equivariant2019.spectrum import moments, top
from uapkit.spectra import unit_rows

N_FIT = 500  # images that the direction moved along is taken from; it is scored on the others
SIZE = 0.5  # of the mean image norm, how far images are moved
BATCH = 50


class Pixels(nn.Module):
    """A network of normalised images as one of pixels in [0, 1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pixels."""
        return self.net((x - MNIST_MEAN) / MNIST_STD)


def watch(net: nn.Module, images: Images) -> dict[str, float]:
    """Measures of ``net`` (of normalised images; left in eval mode) on ``images`` with labels.

    top1_share, top5_share: of the squared singular values of the unit loss gradients of all images. margin: mean logit
    of the true class minus the largest other; gradient_norm: mean 2-norm of the loss gradient in pixels; sure: mean
    probability of the true class. error_along: error rate on the images beyond the first N_FIT (or half, if fewer) when
    they move by SIZE mean image norms along the top singular vector of those first, at the sign that is better on these.
    """
    assert images.y is not None
    network = Pixels(net).eval()
    gradients = loss_gradient(network, images.x, images.y, batch_size=BATCH).flatten(1)
    rows = unit_rows(gradients)
    values = top(moments(rows, 1).sum(0), 5)[0]
    fitted = min(N_FIT, len(rows) // 2)
    v = torch.from_numpy(top(moments(rows[:fitted], 1).sum(0), 1)[1][:, 0]).to(images.x).view(images.x.shape[1:])
    v = v * (SIZE * float(images.x.flatten(1).norm(dim=1).mean()))
    logits = _logits(network, images.x)
    true = logits.gather(1, images.y[:, None])[:, 0]
    others = logits.scatter(1, images.y[:, None], float("-inf")).amax(1)
    wrong = {s: _logits(network, images.x + s * v).argmax(1) != images.y for s in (1, -1)}
    sign = max(wrong, key=lambda s: int(wrong[s][:fitted].sum()))
    return {
        "top1_share": float(values[0]),
        "top5_share": float(values.sum()),
        "margin": float((true - others).mean()),
        "sure": float(logits.softmax(1).gather(1, images.y[:, None]).mean()),
        "gradient_norm": float(gradients.norm(dim=1).mean()),
        "error_along": float(wrong[sign][fitted:].double().mean()),
    }


@torch.no_grad()
def _logits(network: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([network(part) for part in x.split(5 * BATCH)])
