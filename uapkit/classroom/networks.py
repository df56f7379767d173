"""The file ``digits.npz`` of a term: the embedded digits, split by the term's seed, and networks trained on them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from uapkit import checks
from uapkit.seeds import child_seed, generator, threads

N_TEST = 597  # of 1797 images
NETWORKS = {  # widths, activation, weight decay
    "linear": ((64, 10), nn.Identity, 1e-3),
    "relu": ((64, 64, 32, 10), nn.ReLU, 1e-4),
    "relu2": ((64, 64, 32, 10), nn.ReLU, 1e-4),
    "smooth": ((64, 32, 10), nn.Tanh, 1e-4),
}


def write(path: Path, seed: int) -> dict[str, float]:
    """Write the term's file; the accuracy of every network on the test images, in [0, 1]. Seconds on one thread."""
    from sklearn.datasets import load_digits

    checks.count(seed, "seed", 0)
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=generator(seed, "classroom split")).numpy()
    parts = {"test": order[:N_TEST], "train": order[N_TEST:]}
    arrays = {f"x_{split}": digits.data[rows].astype(np.uint8) for split, rows in parts.items()}
    arrays |= {f"y_{split}": digits.target[rows].astype(np.uint8) for split, rows in parts.items()}
    tensors = {key: torch.tensor(value) for key, value in arrays.items()}
    accuracy = {}
    for name in NETWORKS:
        net = _train(name, tensors["x_train"] / 16, tensors["y_train"].long(), seed)
        with torch.no_grad():
            right = net(tensors["x_test"] / 16).argmax(1) == tensors["y_test"]
        accuracy[name] = float(right.float().mean())
        for k, parameter in enumerate(net.parameters()):
            arrays[f"{name}_{k}"] = parameter.detach().numpy()
    np.savez_compressed(path, seed=np.array(seed), **arrays)
    return accuracy


def _train(name: str, x: torch.Tensor, y: torch.Tensor, seed: int) -> nn.Module:
    widths, activation, decay = NETWORKS[name]
    with threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, f"classroom {name}"))
        layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), activation())]
        net = nn.Sequential(*layers[:-1])
        steps = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=decay)
        for _ in range(25):
            for rows in torch.randperm(len(x)).split(150):
                steps.zero_grad()
                cross_entropy(net(x[rows]), y[rows]).backward()
                steps.step()
    return net
