"""One universal perturbation of Algorithm 1, computed once for all items that need it."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uapkit import attacks, evaluate
from uapkit.attacks import Perturbation
from uapkit.data.images import Images
from uapkit.lab.sweep import kept
from uapkit.models import Model, state_sha256

# whose code the kept arrays depend on; the functions ``uap`` and ``deepfool`` hide the modules of these names
SOURCES = [__name__, "uapkit.norms", *(f"uapkit.attacks.{name}" for name in ("base", "deepfool", "uap"))]
SETTINGS: dict[str, Any] = {"num_classes": 10, "overshoot": 0.02, "max_iter": 10, "keep": "best"}


def identity(model: Model) -> dict[str, Any]:
    """What a network computes, for keys of kept arrays: its weights and what it does to pixels."""
    return {
        "weights": state_sha256(model.net.state_dict()),
        "normalisation": [model.mean.flatten().tolist(), model.std.flatten().tolist()],
    }


def sources(model: Model, *names: str) -> list[ModuleType]:
    """The modules of these names, and the one that defines the network."""
    net = sys.modules[type(model.net).__module__]
    return [*map(import_module, names), *([net] if hasattr(net, "__file__") else [])]


def fit_uap(
    model: Model,
    images: Images,
    *,
    norm: float,
    eps: float,
    target_rate: float,
    max_passes: int,
    seed: int,
    block: int = 1,
    held_out: Images | None = None,
    device: str = "cpu",
) -> Perturbation:
    """Algorithm 1 of [moosavi2017] on ``images`` with its released settings of DeepFool; kept by the runner for all items.

    Arguments and made_by as in :func:`uapkit.attacks.uap`. held_out: images for the curve over the passes, which
    decides nothing. Departure: of a run that ends without reaching ``target_rate``, the pass with the best rate on
    ``images`` is taken, not the last (where it is reached, the two are one).
    """
    run: dict[str, Any] = {"norm": norm, "eps": eps, "target_rate": target_rate, "max_passes": max_passes}
    run |= {"seed": seed, "block": block}
    point = identity(model) | run | SETTINGS | {"images": images.sha256, "device": device}
    point["held_out"] = None if held_out is None else held_out.sha256

    def compute(state: Path | None) -> dict[str, np.ndarray]:
        made = attacks.uap(model, images, held_out=held_out, checkpoint=state, **run, **SETTINGS)
        return {
            "v": made.v.cpu().numpy(),
            "history": np.array(made.history),
            "made_by": np.array(json.dumps(made.made_by)),
        }

    key = {**point, "norm": "inf" if math.isinf(norm) else norm}
    found = kept("uap", key, compute, sources(model, *SOURCES), checkpointed=True)
    v = torch.from_numpy(found["v"]).to(device)
    return Perturbation(v, eps, norm, json.loads(str(found["made_by"])), tuple(found["history"].tolist()))


def fooled(model: Model, images: Images, v: Tensor, device: str = "cpu") -> Tensor:
    """(n,) bool: which images change their label under ``v``, as :func:`uapkit.evaluate.fooled`; kept for all items."""
    about = {"images": images.sha256, "v": hashlib.sha256(v.cpu().numpy().tobytes()).hexdigest(), "device": device}
    found = kept(
        "fooled",
        identity(model) | about,
        lambda: {"flags": evaluate.fooled(model, images, v, clean=clean(model, images, device)).numpy()},
        sources(model, "uapkit.evaluate"),
    )
    return torch.from_numpy(found["flags"])


def clean(model: Model, images: Images, device: str = "cpu") -> Tensor:
    """(n,) predicted labels of the images themselves, kept for all items."""
    found = kept(
        "clean labels",
        identity(model) | {"images": images.sha256, "device": device},
        lambda: {"labels": evaluate.labels(model, images).numpy()},
        sources(model, "uapkit.evaluate"),
    )
    return torch.from_numpy(found["labels"])
