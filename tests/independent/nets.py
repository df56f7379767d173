"""Networks, images and DeepFool, written from the published descriptions; only the weights are the stored ones."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from tests.independent.base import ROOT, NotHere, folder

Net = Callable[[Tensor], Tensor]
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
N_PHOTOGRAPHS = 1000


def _standardised(mean: tuple, std: tuple) -> Net:
    a, b = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
    return lambda x: (x - a) / b


@functools.cache
def squeezenet() -> torch.nn.Module:
    """SqueezeNet 1.1 of torchvision with the stored weights; takes standardised pixels."""
    net = torchvision.models.squeezenet1_1(weights=None)
    net.load_state_dict(load_file(folder("weights", "squeezenet1_1.safetensors")))
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def photo_net(x: Tensor) -> Tensor:
    """SqueezeNet 1.1 on pixels in [0, 1]."""
    return squeezenet()(_standardised(*IMAGENET)(x).contiguous(memory_format=torch.channels_last))


@functools.cache
def cifar_net() -> Net:
    """ResNet-20 (He et al. 2015) for CIFAR-10: shortcuts without weights, missing channels are zeros on both sides."""
    w = load_file(folder("weights", "cifar10_resnet20.safetensors"))

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.batch_norm(x, *[w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")])

    def net(x: Tensor) -> Tensor:
        x = functional.relu(norm(functional.conv2d(_standardised(*IMAGENET)(x), w["conv1.weight"], padding=1), "bn1"))
        for stage in (1, 2, 3):
            for block in range(3):
                at, step = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
                y = functional.relu(
                    norm(functional.conv2d(x, w[f"{at}.conv1.weight"], stride=step, padding=1), f"{at}.bn1")
                )
                y = norm(functional.conv2d(y, w[f"{at}.conv2.weight"], padding=1), f"{at}.bn2")
                if step == 2:
                    side = (y.shape[1] - x.shape[1]) // 2
                    x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))
                x = functional.relu(x + y)
        return functional.linear(x.mean((2, 3)), w["linear.weight"], w["linear.bias"])

    return net


def _own(name: str) -> dict[str, Tensor]:
    return load_file(ROOT / "uapkit" / "models" / "weights" / f"{name}.safetensors")


def _conv(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    return functional.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _dense(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    x = functional.relu(functional.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]))
    return functional.linear(x, w["fc2.weight"], w["fc2.bias"])


@functools.cache
def std_net(name: str) -> Net:
    """StdCNN of E's Table 2."""
    w = _own(name)

    def net(x: Tensor) -> Tensor:
        x = (x - 0.1307) / 0.3081
        x = functional.max_pool2d(functional.relu(_conv(functional.relu(_conv(x, w, "conv1")), w, "conv2")), 2)
        return _dense(
            functional.max_pool2d(functional.relu(_conv(functional.relu(_conv(x, w, "conv3")), w, "conv4")), 2), w
        )

    return net


@functools.cache
def group_net(name: str) -> Net:
    """GCNN of E's Table 2: each filter is turned by quarter turns, and its rotation channels are shifted with it."""
    w, banks = _own(name), {}
    for layer in ("conv1", "conv2", "conv3", "conv4"):
        q, turned = w[f"{layer}.weight"], []
        for r in range(4):
            if q.dim() == 4:
                turned.append(torch.rot90(q, r, (2, 3)))
            else:
                z = torch.rot90(q, r, (3, 4))
                turned.append(torch.stack([z[:, :, (s - r) % 4] for s in range(4)], 2).flatten(1, 2))
        banks[layer] = torch.stack(turned, 1).flatten(0, 1), w[f"{layer}.bias"].repeat_interleave(4)

    def net(x: Tensor) -> Tensor:
        x = (x - 0.1307) / 0.3081
        for layer, bank in banks.items():
            x = functional.relu(functional.conv2d(x, *bank))
            x = functional.max_pool2d(x, 2) if layer in ("conv2", "conv4") else x
        return _dense(x, w)

    return net


@functools.cache
def lenet() -> Net:
    """MatConvNet's LeNet: two convolutions with pooling, one hidden layer with the only ReLU."""
    w = _own("lenet_mnist")

    def net(x: Tensor) -> Tensor:
        x = (x - 0.1307) / 0.3081
        x = functional.max_pool2d(_conv(functional.max_pool2d(_conv(x, w, "conv1"), 2), w, "conv2"), 2)
        return _conv(functional.relu(_conv(x, w, "conv3")), w, "conv4").flatten(1)

    return net


@functools.cache
def files() -> tuple[Path, ...]:
    """The thousand photographs by class."""
    found = tuple(sorted(folder("imagenet-sample").glob("*/*.jpg")))
    if len(found) != N_PHOTOGRAPHS:
        raise NotHere("imagenet-sample has not the thousand photographs")
    return found


def photographs(which: np.ndarray, fit: str) -> Tensor:
    """Photographs: "squash" to 224 (K), "squash256" and the centre (M), or the "centre" of the picture as it is (J)."""
    out = []
    for i in which:
        picture = Image.open(files()[i]).convert("RGB")
        if fit != "centre":
            side = 224 if fit == "squash" else 256
            picture = picture.resize((side, side), Image.Resampling.BICUBIC)
        left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
        out.append(np.asarray(picture.crop((left, top, left + 224, top + 224))))
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).float() / 255


@functools.cache
def cifar(train: bool = False) -> tuple[Tensor, Tensor]:
    """CIFAR-10 in its own order, pixels in [0, 1]."""
    data = torchvision.datasets.CIFAR10(folder("cifar-10-batches-py").parent, train=train)
    return torch.from_numpy(data.data).permute(0, 3, 1, 2).float() / 255, torch.tensor(data.targets)


@functools.cache
def mnist(train: bool = False) -> tuple[Tensor, Tensor]:
    """MNIST in its own order, pixels in [0, 1]."""
    data = torchvision.datasets.MNIST(folder("MNIST").parent, train=train)
    return data.data[:, None].float() / 255, data.targets


def turned(x: Tensor, degrees: Tensor) -> Tensor:
    """Images turned about their centres, bilinear, zeros outside."""
    a = degrees * math.pi / 180
    grid = torch.stack([a.cos(), -a.sin(), 0 * a, a.sin(), a.cos(), 0 * a], 1).view(-1, 2, 3)
    return functional.grid_sample(
        x, functional.affine_grid(grid, list(x.shape), align_corners=False), align_corners=False
    )


@torch.no_grad()
def labels(net: Net, x: Tensor, v: Tensor | float = 0.0, batch: int = 250) -> np.ndarray:
    """Predicted labels of x + v; nothing is clipped (K and M)."""
    return torch.cat([net(part + v).argmax(1) for part in x.split(batch)]).numpy()


def resampled(x: Tensor, side: int) -> Tensor:
    """J, Section 4.4: bicubic down and up again, antialiased as MATLAB's imresize."""

    def to(y: Tensor, size: int) -> Tensor:
        return functional.interpolate(y, size=(size, size), mode="bicubic", antialias=True, align_corners=False)

    return to(to(x, side), x.shape[-1])


def deepfool(net: Net, x: Tensor, classes: int = 10, steps: int = 50, overshoot: float = 0.02) -> Tensor:
    """DeepFool in the 2-norm (Moosavi-Dezfooli et al. 2016, Algorithm 2): overshot steps to the nearest other label."""
    with torch.no_grad():
        own = net(x).argmax(1)
    total, active = torch.zeros_like(x), torch.arange(len(x))
    for _ in range(steps):
        point = (x[active] + (1 + overshoot) * total[active]).requires_grad_()
        scores = net(point)
        stay = scores.argmax(1) == own[active]
        if not stay.any():
            break
        slopes = [torch.autograd.grad(scores[:, k].sum(), point, retain_graph=True)[0] for k in range(classes)]
        slopes, scores, active = torch.stack(slopes, 1)[stay], scores.detach()[stay], active[stay]
        here = torch.arange(len(active)), own[active]
        w = (slopes - slopes[here][:, None]).flatten(2)
        gap, size = (scores - scores[here][:, None]).abs(), w.norm(dim=2)
        far = gap / size.clamp_min(1e-12)
        far[here] = math.inf
        best = torch.arange(len(active)), far.argmin(1)
        step = (gap[best] / size[best] ** 2)[:, None] * w[best]
        total[active] += step.view_as(total[active])
    return (1 + overshoot) * total
