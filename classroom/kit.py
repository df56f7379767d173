"""The digits and the networks of this course, the same in every notebook. Nothing here has to be changed.

An image is a row of 64 pixels in [0, 1]; several are a matrix (n, 64). A network takes such rows to logits (n, 10).
"""

import os
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
warnings.simplefilter("ignore")  # what a test cell writes on stderr counts as a failure
_here = Path(__file__).parent
_data = dict(np.load(_here / "digits.npz"))
SEED = int(_data["seed"])


def digits(split):
    """Images (n, 64) and labels (n,) of the split "train" or "test"; no image is in both."""
    return torch.tensor(_data[f"x_{split}"] / 16.0), torch.tensor(_data[f"y_{split}"]).long()


def linear():
    """Weights (10, 64) and offsets (10,) of a linear classifier of the digits: logits = x @ W.T + b."""
    return torch.tensor(_data["linear_0"]).double(), torch.tensor(_data["linear_1"]).double()


def network(name):
    """A trained network of the digits: "relu" (64-64-32-10), "relu2" (another start), "smooth" (64-32-10, tanh)."""
    arrays = [torch.tensor(_data[key]).double() for key in sorted(_data) if key.startswith(f"{name}_")]
    layers = []
    for weight, bias in zip(arrays[::2], arrays[1::2], strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers += [layer, nn.Tanh() if name == "smooth" else nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval().requires_grad_(False)


def choose(name, options):
    """One of the options, the same for everybody this term."""
    return options[zlib.crc32(f"{SEED}/{name}".encode()) % len(options)]


def rng(name, seed=SEED):
    """A torch generator; give it to torch.rand, torch.randn or torch.randint as ``generator=``."""
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}/{name}".encode()))


def hidden(name):
    """A generator for the tests; the grader's machine draws other numbers than yours."""
    secret = _here / "hidden_seed.txt"
    return rng(f"hidden/{name}", int(secret.read_text()) if secret.is_file() else SEED)


def wilson(hits, n):
    """95 % interval (low, high) of a rate that was seen ``hits`` times among ``n``."""
    p, z2 = hits / n, 1.959964**2
    centre, half = (p + z2 / (2 * n)) / (1 + z2 / n), np.sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n) / (1 + z2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def show(rows, titles=()):
    """Draw rows of 64 numbers as pictures, dark is small; nothing is drawn while a notebook is graded."""
    if "NBGRADER_EXECUTION" in os.environ:
        return
    import matplotlib.pyplot as plt

    rows = torch.stack([torch.as_tensor(row) for row in rows]).reshape(-1, 8, 8)
    _, axes = plt.subplots(1, len(rows), figsize=(1.5 * len(rows), 1.8), squeeze=False)
    for k, axis in enumerate(axes[0]):
        axis.imshow(rows[k], cmap="gray")
        axis.set_axis_off()
        axis.set_title(titles[k] if k < len(titles) else "", fontsize=10)
    plt.show()
