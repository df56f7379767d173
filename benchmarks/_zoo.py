"""Small networks as other people write them: what works, and what is refused in which words.

One line a network; a bug report about somebody's network becomes one more. Used by the conformance tests and by the
table of the page "What networks work".
"""

from __future__ import annotations

import contextlib
import math
import random
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
import torchvision
from torch import Tensor, nn

CLASSES, SIDE = 5, 16


@dataclass(frozen=True)
class Foreign:
    """One network. make: builds it anew, weights from ``seed``. says: words of the refusal, "" where it works.

    scores: whether it can be scored where it cannot be attacked. side: of the square images of 3 channels.
    """

    name: str
    make: Callable[[], Any]
    says: str = ""
    scores: bool = False
    side: int = SIDE
    slow: bool = False


def trunk() -> nn.Sequential:
    """Convolution, ReLU and pooling to 32 features."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten())


def plain() -> nn.Sequential:
    """Images to five logits."""
    return nn.Sequential(*trunk(), nn.Linear(32, CLASSES))


class Turned(nn.Module):
    """``plain`` with its answer, or the image, handed through ``fn``."""

    def __init__(self, fn: Callable[..., Any], before: bool = False) -> None:
        super().__init__()
        self.body, self.fn, self.before = plain(), fn, before

    def forward(self, x: Tensor) -> Any:
        """What ``fn`` makes of it."""
        return self.body(self.fn(x)) if self.before else self.fn(self.body(x))


class ModelOutput(OrderedDict):
    """As the transformers library answers: a mapping whose entries are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass
class Answer:
    """A dataclass of somebody's."""

    logits: Tensor
    hidden: Tensor


Pair = namedtuple("Pair", "logits aux_logits")


class Attends(nn.Module):
    """Patches, one layer of attention, the mean token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.attention, self.head = nn.MultiheadAttention(16, 4, batch_first=True), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        tokens = self.norm(self.patches(x).flatten(2).mT)
        return self.head((tokens + self.attention(tokens, tokens, tokens)[0]).mean(1))


class Reads(nn.Module):
    """A recurrent network over the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.head = nn.GRU(3 * SIDE, 12, batch_first=True), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.rows(x.transpose(1, 2).flatten(2))[0][:, -1])


class NoGradBackbone(nn.Module):
    """A frozen backbone run under no_grad, and a trained head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = trunk(), nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        with torch.no_grad():
            features = self.backbone(x)
        return self.head(features)


class BatchStatistics(nn.Module):
    """Batch normalisation that is left in training mode inside forward."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.body = nn.BatchNorm2d(3, affine=False), plain()

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.body(self.norm.train()(x))


class Siblings(nn.Module):
    """Equal to every module of its class."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Siblings)

    def __hash__(self) -> int:
        return 1

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.body(x)


class Autocast(nn.Module):
    """Computes in 16 bits, though its weights and answers have 32."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.body(x).float()


class Counts(nn.Module):
    """Another answer at every second call."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.calls = plain(), 0

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        self.calls += 1
        return self.body(x) + self.calls % 2 * torch.arange(CLASSES)


class Mapped(nn.Module):
    """One image at a time, by torch.vmap."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return torch.vmap(lambda image: self.body(image[None])[0])(x)


class OwnGradient(torch.autograd.Function):
    """The identity, with a gradient that is not its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The image itself."""
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        """Ten times too long."""
        return 10 * g


def one_hot(z: Tensor) -> Tensor:
    """Rows of 0 and 1."""
    return F.one_hot(z.argmax(1), CLASSES).float()


def mask(z: Tensor) -> Tensor:
    """The last class made impossible."""
    return z + torch.tensor([0.0] * (CLASSES - 1) + [-math.inf], device=z.device)


def hooked() -> nn.Module:
    """``plain`` with dropout in a forward hook."""
    net = plain()
    net[0].register_forward_hook(lambda module, x, y: F.dropout(y, 0.3))
    return net


def quantised() -> nn.Module:
    """``plain`` with its last layer's input quantised on the scale of the batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(plain().eval(), {nn.Linear})


def crop(x: Tensor) -> Tensor:
    """A random crop, padded back."""
    i, j = (int(torch.randint(5, ())) for _ in range(2))
    return F.pad(x, (2, 2, 2, 2))[..., i : i + x.shape[-2], j : j + x.shape[-1]]


def exported(fixed: bool) -> nn.Module:
    """``plain`` through torch.export, for one size of batch or for all."""
    shapes = None if fixed else ({0: torch.export.Dim("n", min=1, max=4096)},)
    return torch.export.export(plain().eval(), (torch.rand(4, 3, SIDE, SIDE),), dynamic_shapes=shapes).module()


def inside_inference() -> nn.Module:
    """``plain``, made under inference_mode."""
    with torch.inference_mode():
        return plain()


def scripted() -> nn.Module:
    """``plain`` as TorchScript, which is out of use but not out of the world."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(plain().eval(), torch.rand(2, 3, SIDE, SIDE))


def family(name: str, **options: Any) -> Callable[[], nn.Module]:
    """A torchvision network with random weights; its batch normalisation knows the statistics of noise."""

    def make() -> nn.Module:
        network = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES, **options)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # or its answers are as small as rounding errors
        with torch.no_grad():
            network.train()(torch.rand(4, 3, 96, 96))
        return network

    return make


def vit() -> nn.Module:
    """Torchvision's vision transformer, small."""
    made = torchvision.models.VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=CLASSES)
    nn.init.normal_(made.heads.head.weight)  # the head of an untrained one is zero
    return made


FIXED = "is no fixed function of its images"
BATCH = "gives an image alone another answer than in a batch"
REACH = "does not reach the image"
ZOO = [
    Foreign("convolutions and ReLU", plain),
    Foreign("a function", lambda: (lambda net: lambda x: net(x))(plain().eval())),
    Foreign("attention and layer normalisation", Attends),
    Foreign("recurrent over the rows", Reads),
    Foreign(
        "answers with an object that has .logits", lambda: Turned(lambda z: ModelOutput(loss=None, logits=z, hidden=z))
    ),
    Foreign("answers with a dict of one matrix", lambda: Turned(lambda z: {"scores": z, "maps": z[:, :, None]})),
    Foreign("answers with (logits, features)", lambda: Turned(lambda z: (z, z[:, :, None, None]))),
    Foreign("answers with a list of one", lambda: Turned(lambda z: [z])),
    Foreign("answers with a dataclass", lambda: Turned(lambda z: Answer(z, z))),
    Foreign("answers with a named tuple that has .logits", lambda: Turned(lambda z: Pair(z, z))),
    Foreign("log-softmax at its end", lambda: Turned(lambda z: z.log_softmax(1))),
    Foreign("in double precision", lambda: plain().double()),
    Foreign("torch.compile", lambda: torch.compile(plain(), backend="eager")),
    Foreign("TorchScript", scripted),
    Foreign("torch.export, any batch", lambda: exported(False)),
    Foreign("torch.fx", lambda: torch.fx.symbolic_trace(plain())),
    Foreign("DataParallel", lambda: nn.DataParallel(plain())),
    Foreign(
        "weight normalisation",
        lambda: nn.Sequential(*trunk(), nn.utils.parametrizations.weight_norm(nn.Linear(32, CLASSES))),
    ),
    Foreign("a lazy layer", lambda: nn.Sequential(*trunk(), nn.LazyLinear(CLASSES))),
    Foreign("equal to its siblings", Siblings),
    Foreign(
        "spectral normalisation",
        lambda: nn.Sequential(*trunk(), nn.utils.parametrizations.spectral_norm(nn.Linear(32, CLASSES))),
    ),
    Foreign("torch.vmap inside", lambda: Mapped()),
    Foreign(
        "rounded straight through", lambda: Turned(lambda x: x + ((x * 255).round() / 255 - x).detach(), before=True)
    ),
    Foreign("logits of 1e-12", lambda: Turned(lambda z: 1e-12 * z)),
    Foreign("draws a number that it does not use", lambda: Turned(lambda x: x + 0 * torch.rand(()), before=True)),
    Foreign(
        "checkpointed",
        lambda: Turned(lambda x: torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False), before=True),
    ),
    Foreign("vision transformer", vit, side=32),
    *[
        Foreign(name, family(name), side=32)
        for name in ("resnet18", "squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small")
    ],
    *[
        Foreign(name, family(name), side=32, slow=True)
        for name in ("densenet121", "efficientnet_b0", "regnet_y_400mf", "mnasnet0_5", "convnext_tiny", "swin_t")
    ],
    Foreign("vgg11", family("vgg11"), side=32, slow=True),
    Foreign("googlenet", family("googlenet", aux_logits=False, init_weights=False), side=32, slow=True),
    Foreign("inception_v3", family("inception_v3", aux_logits=False, init_weights=False), side=96, slow=True),
    Foreign("softmax at its end", lambda: Turned(lambda z: z.softmax(1)), "returns probabilities", scores=True),
    Foreign("sigmoid at its end", lambda: Turned(torch.sigmoid), "returns probabilities", scores=True),
    Foreign("one logit, (n, 1)", lambda: Turned(lambda z: z[:, :1]), "one logit an image"),
    Foreign("one logit, (n,)", lambda: Turned(lambda z: z[:, 0]), "one logit an image"),
    Foreign(
        "a map of logits, (n, k, h, w)",
        lambda: Turned(lambda z: z[:, :, None, None]),
        r"must return logits \(n, classes\)",
    ),
    Foreign("labels", lambda: Turned(lambda z: z.argmax(1)), "must return logits .* floating, got int64"),
    Foreign("two matrices, either the logits", lambda: Turned(lambda z: (z, z)), "2 could be logits"),
    Foreign("a text", lambda: Turned(lambda z: "cat"), "must return logits .* got str"),
    Foreign("wants two inputs", lambda: nn.Bilinear(4, 4, 5), "cannot be called with images alone"),
    Foreign("of another size", lambda: nn.Sequential(nn.Flatten(), nn.Linear(7, CLASSES)), "cannot take 2 images"),
    Foreign("of other channels", lambda: nn.Sequential(nn.Conv2d(1, 5, SIDE), nn.Flatten()), "cannot take 2 images"),
    Foreign("dropout called as a function", lambda: Turned(lambda z: F.dropout(z)), FIXED),
    Foreign("noise inside", lambda: Turned(lambda x: x + 0.1 * torch.randn_like(x), before=True), FIXED),
    Foreign("a random crop inside", lambda: Turned(crop, before=True), FIXED),
    Foreign(
        "Python's random flip", lambda: Turned(lambda x: x.flip(-1) if random.random() < 0.5 else x, before=True), FIXED
    ),
    Foreign("batch normalisation in training mode", BatchStatistics, BATCH),
    Foreign("divided by the batch's mean", lambda: Turned(lambda x: 0.8 * x / (0.1 + x.mean()), before=True), BATCH),
    Foreign("torch.export, one batch size", lambda: exported(True), "cannot take 2 images"),
    Foreign("backbone under no_grad", NoGradBackbone, REACH, scores=True),
    Foreign("a detached image", lambda: Turned(lambda x: x.detach(), before=True), REACH, scores=True),
    Foreign("half of it detached", lambda: Turned(lambda x: x / 2 + x.detach() / 2, before=True), REACH, scores=True),
    Foreign("a rounded image", lambda: Turned(lambda x: (x * 31).round() / 31, before=True), REACH, scores=True),
    Foreign("a gradient of its own", lambda: Turned(OwnGradient.apply, before=True), REACH, scores=True),
    Foreign(
        "through NumPy", lambda: Turned(lambda x: torch.from_numpy(x.detach().numpy()), before=True), REACH, scores=True
    ),
    Foreign("in half precision", lambda: plain().half(), "too coarse for its derivatives", scores=True),
    Foreign("in bfloat16", lambda: plain().bfloat16(), "too coarse for its derivatives", scores=True),
    Foreign("labels as one-hot rows", lambda: Turned(one_hot), REACH, scores=True),
    Foreign(
        "one function in training, another in use",
        lambda: Turned(lambda x: 2 * x if x.requires_grad else x, before=True),
        REACH,
        scores=True,
    ),
    Foreign("autocast to bfloat16 inside", Autocast, REACH, scores=True),
    Foreign("a masked class, -inf", lambda: Turned(mask), "not finite"),
    Foreign("counts its calls", Counts, FIXED),
    Foreign("a batch of one without its axis", lambda: Turned(lambda z: z.squeeze(0)), BATCH),
    Foreign("dropout in a hook", hooked, FIXED),
    Foreign("a sparse matrix", lambda: Turned(Tensor.to_sparse), "dense, got sparse_coo"),
    Foreign("NumPy instead of a tensor", lambda: Turned(lambda z: z.detach().numpy()), "got ndarray"),
    Foreign("a list of modules", lambda: nn.ModuleList([plain()]), "cannot take 2 images"),
    Foreign("quantised as it runs", quantised, BATCH),
    Foreign("made under inference_mode", inside_inference, "inference_mode", scores=True),
]


def built(one: Foreign, seed: int = 0) -> Any:
    """The network, its weights from ``seed``, in eval mode where it has modes."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = one.make()
        if any(isinstance(m, nn.modules.lazy.LazyModuleMixin) for m in getattr(network, "modules", list)()):
            network(torch.rand(1, 3, one.side, one.side))
    if isinstance(network, nn.Module):
        with contextlib.suppress(NotImplementedError):  # exported modules have one mode for good
            network.eval()
    return network


def images(one: Foreign, n: int = 6, seed: int = 0) -> Tensor:
    """(n, 3, side, side) of noise, each of its own brightness."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 3, one.side, one.side, generator=rng)
    return x * torch.rand(n, 1, 1, 1, generator=rng)
