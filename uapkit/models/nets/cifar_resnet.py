"""The ResNets of He et al. (2016), Section 4.2, for 32x32 images, with shortcuts without parameters (option A)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import pad


class PadShortcut(nn.Module):
    """Every second pixel, and zero channels: (n, c, h, w) to (n, c + extra, h/2, w/2), on both sides or at the end."""

    def __init__(self, extra: int, where: Literal["both", "end"]) -> None:
        super().__init__()
        self.before = extra // 2 if where == "both" else 0
        self.after = extra - self.before

    def forward(self, x: Tensor) -> Tensor:
        """The subsampled, widened images."""
        return pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class Block(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)): (n, i, h, w) to (n, o, h/stride, w/stride)."""

    def __init__(self, i: int, o: int, stride: int, where: Literal["both", "end"]) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.relu1 = nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.shortcut = nn.Identity() if stride == 1 else PadShortcut(o - i, where)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, after its last ReLU."""
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


class CifarResNet(nn.Module):
    """(n, 3, 32, 32), normalised, to logits (n, 10). depth: 6k + 2 (20, 32, 44, 56, 110).

    pad: where the shortcuts put their zero channels, on ``"both"`` sides or at the ``"end"``. Raises ValueError for
    another depth.
    """

    def __init__(self, depth: int = 20, pad: Literal["both", "end"] = "both", classes: int = 10) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 6k + 2 with k of at least 1 (20, 32, 44, 56, ...), got {depth!r}")
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        i = 16
        for stage, o in enumerate((16, 32, 64), 1):
            blocks = []
            for _ in range((depth - 2) // 6):
                blocks.append(Block(i, o, 1 if i == o else 2, pad))
                i = o
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.avgpool, self.flatten, self.linear = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.linear(self.flatten(self.avgpool(x)))
