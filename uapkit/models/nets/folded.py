"""torchvision networks whose batch norms have been folded into the convolutions before them."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models import get_model


def folded(name: str) -> nn.Module:
    """The network ``name`` of torchvision; a batch norm right behind a convolution becomes that convolution's bias.

    For weights that are published in folded form; the numbers are untrained. Batch norms stay in place as identities,
    so the layers keep torchvision's names.
    """
    net = get_model(name, weights=None)
    for parent in net.modules():
        if isinstance(parent, nn.Sequential):
            for i in range(len(parent) - 1):
                conv, norm = parent[i], parent[i + 1]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    conv.bias = nn.Parameter(torch.zeros(conv.out_channels))
                    parent[i + 1] = nn.Identity()
    return net
