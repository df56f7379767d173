"""The idea of [equivariant2019] in a picture: many directions, one axis; and what an invariant direction is."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from uapkit import data
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import look, style
from uapkit.papers.equivariant2019.drawing import tint
from uapkit.seeds import generator

N_ARROWS = 60
SPREAD = 0.45  # radians about the common axis


def arrows() -> np.ndarray:
    """(n, 2) unit vectors about one axis, with both signs: an axis is all that a singular vector knows."""
    draws = generator(0, "arrows of the idea")
    angle = np.pi / 5 + SPREAD * torch.randn(N_ARROWS, generator=draws).double().numpy()
    sign = np.where(torch.rand(N_ARROWS, generator=draws).numpy() < 0.3, -1, 1)
    return sign[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def figure() -> Figure:
    """Attack directions with their top singular vector; the squared singular values; one invariant direction."""
    rows = arrows()
    _, s, v = np.linalg.svd(rows, full_matrices=False)
    v = v if v[0, 0] > 0 else -v  # the sign is free: towards the right
    image = data.load("digits", n=1, seed=3)
    turned = image.rotated(2.0 * torch.ones(1)).x[0] - image.rotated(torch.zeros(1)).x[0]
    one, common = look("gradient").colour, look("singular vector").colour
    with style(grid=False):
        shown, axes = plt.subplots(1, 4, figsize=(8.2, 2.9), layout="constrained", width_ratios=[1.3, 0.8, 1, 1])
        for row in rows:
            axes[0].plot([0, row[0]], [0, row[1]], color=one, linewidth=0.8)
        axes[0].plot(*np.array([-v[0], v[0]]).T * 1.15, color=common, linewidth=3)
        axes[0].annotate("$+v_1$", 1.25 * v[0], ha="center", va="center", fontsize=12)
        axes[0].annotate("$-v_1$", -1.25 * v[0], ha="center", va="center", fontsize=12)
        axes[0].set(title="one attack direction an image", xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
        axes[1].bar([1, 2], s**2 / len(rows), color=[common, tint(common, 0.4)])
        axes[1].axhline(0.5, color="black", linestyle="--", linewidth=1)
        axes[1].annotate("chance", (2.45, 0.51), ha="right", va="bottom", fontsize=10)
        axes[1].set(title="shares of the squares", xticks=[1, 2], xticklabels=["$v_1$", "$v_2$"], yticks=[0, 0.5, 1])
        axes[2].imshow(image.x[0, 0], cmap="gray", interpolation="nearest")
        axes[2].set(title="an image")
        axes[3].imshow(as_picture(turned.numpy(), stretch=True), interpolation="nearest")
        axes[3].set(title="turned by 2° minus itself")
        for ax in (axes[0], *axes[2:]):
            ax.axis("off")
        for ax in axes:
            ax.title.set_fontsize(11)
    return shown
