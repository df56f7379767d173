"""What networks and papers are called where people read: ``squeezenet1_0[deepcompressed]`` is SqueezeNet 1.0 (compressed).

One mapping for figures, tables and pages. Keys stay keys where they are typed: in code, files and commands.
"""

from __future__ import annotations

import re

PAPERS = {
    "moosavi2017": "Moosavi-Dezfooli et al. (2017)",
    "khrulkov2018": "Khrulkov and Oseledets (2018)",
    "equivariant2019": "Anonymous (2019)",
    "jetley2018": "Jetley et al. (2018)",
}
# An architecture, and what it was trained on where that tells two apart. Longer keys first where one begins another.
NETWORKS = {
    "bvlc_googlenet": "GoogLeNet",
    "squeezenet1_0": "SqueezeNet 1.0",
    "squeezenet1_1": "SqueezeNet 1.1",
    "mobilenet_v2": "MobileNet v2",
    "tiny_darknet": "Tiny Darknet",
    "caffenet": "CaffeNet",
    "vgg_f": "VGG-F",
    "cifar10_resnet20_adv": "ResNet-20 (adversarially trained)",
    "cifar10_resnet20": "ResNet-20",
    "cifar10_resnet32": "ResNet-32",
    "cifar10_resnet44": "ResNet-44",
    "cifar10_resnet56": "ResNet-56",
    "nin_cifar10": "NIN",
    "lenet_mnist": "LeNet",
    "stdcnn_mnist_rot": "StdCNN",
    "gcnn_mnist_rot": "GCNN",
    "roteqnet_mnist_rot": "RotEqNet",
    # courses of E's trainings
    "stdcnn": "StdCNN (AdamW)",
    "stdcnn_no_decay": "StdCNN (AdamW, no weight decay)",
    "stdcnn_sgd": "StdCNN (SGD)",
    "stdcnn_sgd_long": "StdCNN (SGD, four times as long)",
    "stdcnn_sgd_fast": "StdCNN (SGD, ten times the rate)",
    "stdcnn_sgd_decay": "StdCNN (SGD, weight decay)",
    "gcnn": "GCNN (AdamW)",
    "gcnn_sgd": "GCNN (SGD)",
    "linear_digits": "linear (digits)",
    "mlp_digits": "MLP (digits)",
    "lenet_digits": "LeNet (digits)",
    "vgg_digits": "VGG (digits)",
    "stdcnn_digits": "StdCNN (digits)",
    "gcnn_digits": "GCNN (digits)",
    "roteqnet_digits": "RotEqNet (digits)",
    # of torchvision
    "vgg16": "VGG-16",
    "vgg19": "VGG-19",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "resnet152": "ResNet-152",
    "alexnet": "AlexNet",
    "googlenet": "GoogLeNet (torchvision)",
}
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Weights that people must know of; the others are the only ones of their network here, or its usual ones.
WEIGHTS = {"deepcompressed": "compressed", "tflite_int8": "8 bit"}
USUAL = (
    "caffe",
    "gluon",
    "darknet",
    "akamaster",
    "adversarial",
    "trained",
    "default",
    "keras",
    "DEFAULT",
    "IMAGENET1K_V1",
)
_ANY = "|".join(sorted(NETWORKS, key=len, reverse=True))
_KEY = re.compile(rf"(?<![\w/.\-])({_ANY})((?:_sgd|_seed\d+)*)(?:\[(\w+)\])?(?![\w\[/]|\.\w)")
_PAPER = re.compile(rf"\[({'|'.join(PAPERS)})\]")
CODE = ("code", "pre", "script", "style")
_TAG = re.compile(r"(<[^>]+>)")
_NAME = re.compile(r"<(/?)(\w+)")
_READ_ALOUD = re.compile(r'(\s(?:alt|title|aria-label)=)("[^"]*")')
_CLASS = re.compile(rf"(?<![\w/.\-])((?:{_ANY})[\w\[\]]*)( \()class (\d+)\b")  # as claims call a class of a network
_BROKEN = re.compile(  # a key in which HTML may break the line; a name may break at its spaces
    rf"\b(?:{_ANY.replace('_', '_(?:<wbr>)?')})(?:_(?:<wbr>)?(?:sgd|seed\d+))*(?:(?:<wbr>)?\[(?:\w|<wbr>)+\])?"
)


def network(spec: str) -> str:
    """A network's name for people, from ``name`` or ``name[weights]``; one of the user's own without its underscores."""
    found = _KEY.fullmatch(spec)
    if found:
        return _named(found)
    name, _, weights = spec.partition("[")
    weights = weights.rstrip("]")
    return name.replace("_", " ") + (f" ({weights.replace('_', ' ')})" if weights and weights not in USUAL else "")


def readable(text: str) -> str:
    """The text with every key of a known network, "(class 6" behind one, and every ``[key]`` of a paper, in people's words."""
    text = _CLASS.sub(lambda found: f"{found[1]}{found[2]}{label(found[1], int(found[3]))}", text)
    return _PAPER.sub(lambda found: PAPERS[found[1]], _KEY.sub(_named, text))


def readable_html(text: str) -> str:
    """HTML with what is read made :func:`readable`: its text and what stands for pictures, not code, scripts or links."""
    parts, code = [], 0
    for part in _TAG.split(_BROKEN.sub(lambda found: found[0].replace("<wbr>", ""), text)):
        if part.startswith("<"):
            tag = _NAME.match(part)
            if tag and tag[2].lower() in CODE:
                code += -1 if tag[1] else 1
            part = _READ_ALOUD.sub(lambda found: found[1] + readable(found[2]), part)
        elif not code:
            part = readable(part)
        parts.append(part)
    return "".join(parts)


def label(spec: str, k: int) -> str:
    """What class ``k`` of a network is called: "frog" of CIFAR-10's, "digit 6" of digits', else "class 6"."""
    k = int(k)
    if "cifar10" in spec and 0 <= k < len(CIFAR10):
        return CIFAR10[k]
    return f"digit {k}" if re.search("mnist|digits", spec) and 0 <= k < 10 else f"class {k}"


def paper(key: str) -> str:
    """A paper's authors and year, from its key; ValueError for an unknown one."""
    if key not in PAPERS:
        raise ValueError(f"no paper {key!r}; known: {', '.join(PAPERS)}")
    return PAPERS[key]


def _named(found: re.Match[str]) -> str:
    name = NETWORKS[found[1]]
    about = ["SGD" if part == "sgd" else part.replace("seed", "seed ") for part in found[2].split("_")[1:]]
    weights = found[3] or ""
    if weights == "random":
        name = f"untrained {name}"
    elif weights and weights not in USUAL:
        about.append(WEIGHTS.get(weights, weights.replace("_", " ")))
    if not about:
        return name
    inside = ", ".join(about)
    return f"{name[:-1]}, {inside})" if name.endswith(")") else f"{name} ({inside})"
