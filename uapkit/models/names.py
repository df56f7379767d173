"""The papers' own layer names, derived from a network's structure by rule."""

from __future__ import annotations

from torch import nn
from torchvision.models import VGG, ResNet
from torchvision.models.resnet import Bottleneck

KINDS = {
    "conv": "torch.nn.modules.conv",
    "activation": "torch.nn.modules.activation",
    "pool": "torch.nn.modules.pooling",
    "linear": "torch.nn.modules.linear",
    "norm": ("torch.nn.modules.batchnorm", "torch.nn.modules.normalization", "torch.nn.modules.instancenorm"),
}


def kind_of(module: nn.Module) -> str:
    """``"conv"``, ``"activation"``, ``"pool"``, ``"linear"``, ``"norm"``, ``"block"`` (has parts) or ``"other"``.

    Modules that are not PyTorch's own are judged by their base classes, then by their class name
    (``GroupConv`` is a conv).
    """
    if next(module.children(), None) is not None:
        return "block"
    homes = {base.__module__ for base in type(module).__mro__}
    for kind, home in KINDS.items():
        if homes & set((home,) if isinstance(home, str) else home) and not isinstance(module, nn.Identity):
            return kind
    name = type(module).__name__.lower()
    for kind in ("conv", "pool", "linear", "norm"):
        if kind in name:
            return kind
    return "activation" if "relu" in name else "other"


def aliases_of(net: nn.Module) -> dict[str, str]:
    """The papers' names for the layers of ``net``, ``{paper's name: module name}``; empty where no paper names them.

    VGG: Keras' names. ``block3_conv1`` is the output **after** the ReLU, as Keras fuses it; ``fc1`` likewise.
    ResNets of bottlenecks (ResNet-50, -101, -152): Keras' names of 2017. ``conv1``, ``bn_conv1``, ``res2a_branch2a``
    (before batch norm), ``bn2a_branch2a``, ``activation_1`` to ``activation_49`` in execution order. torchvision puts a
    block's stride on its 3x3 convolution, Keras on its first 1x1.
    GoogLeNet of Caffe: Caffe's layer names; a convolution's name is its output **before** the ReLU.
    Source: [khrulkov2018] (names), keras-applications 2.0 and bvlc_googlenet's prototxt (what they stand for).
    """
    if isinstance(net, VGG):
        return _keras_vgg(net)
    # ResNeXt and the wide networks are of the same class, but no paper names their layers
    if isinstance(net, ResNet) and isinstance(net.layer1[0], Bottleneck) and (net.groups, net.base_width) == (1, 64):
        return _keras_resnet(net)
    rule = getattr(net, "aliases", None)
    return dict(rule()) if callable(rule) else {}


def _keras_vgg(net: VGG) -> dict[str, str]:
    names, block, conv = {}, 1, 0
    for index, module in net.features.named_children():
        if isinstance(module, nn.ReLU):
            conv += 1
            names[f"block{block}_conv{conv}"] = f"features.{index}"
        elif isinstance(module, nn.MaxPool2d):
            names[f"block{block}_pool"] = f"features.{index}"
            block, conv = block + 1, 0
    relus = [index for index, module in net.classifier.named_children() if isinstance(module, nn.ReLU)]
    return names | {f"fc{i}": f"classifier.{index}" for i, index in enumerate(relus, 1)}


def _keras_resnet(net: ResNet) -> dict[str, str]:
    names = {"conv1": "conv1", "bn_conv1": "bn1", "activation_1": "relu", "max_pooling2d_1": "maxpool"}
    relu = 1
    for stage in range(1, 5):
        blocks = getattr(net, f"layer{stage}")
        for i in range(len(blocks)):
            # Keras: res3a, res3b, ... in ResNet-50; the deeper ones write res3a, res3b1, res3b2, ...
            letter = chr(ord("a") + i) if len(blocks) <= 6 else "a" if i == 0 else f"b{i}"
            block, at = f"{stage + 1}{letter}", f"layer{stage}.{i}"
            for k, branch in enumerate("abc", 1):
                names[f"res{block}_branch2{branch}"] = f"{at}.conv{k}"
                names[f"bn{block}_branch2{branch}"] = f"{at}.bn{k}"
                relu += 1
                names[f"activation_{relu}"] = f"{at}.relu" if k == 1 else f"{at}.relu:{k}"
            if i == 0:
                names[f"res{block}_branch1"] = f"{at}.downsample.0"
                names[f"bn{block}_branch1"] = f"{at}.downsample.1"
    return names | {"avg_pool": "avgpool", "fc1000": "fc"}
