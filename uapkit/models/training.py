"""Training a classifier on images that fit into memory: deterministic by seed, resumable, nothing more."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from uapkit import checks
from uapkit.data.images import Images
from uapkit.files import write_whole
from uapkit.progress import Bar
from uapkit.seeds import child_seed, generator

Row = dict[str, float]
Augment = Callable[[Tensor, torch.Generator], Tensor]


@torch.inference_mode(False)  # for callers that switched gradients off
@torch.enable_grad()
def fit(
    net: nn.Module,
    images: Images,
    *,
    epochs: int,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    batch_size: int = 64,
    optimizer: Literal["sgd", "adam"] = "sgd",
    schedule: Literal["cosine", "constant"] = "cosine",
    seed: int = 0,
    augment: Augment | None = None,
    callback: Callable[[Row], None] | None = None,
    checkpoint: Path | None = None,
) -> list[Row]:
    """Train ``net`` (pixels to logits, for example a :class:`Model`) in place by cross entropy; one row an epoch.

    Rows hold ``epoch`` (from 1), mean ``loss`` and ``accuracy`` in [0, 1] on the training batches as they were met, and
    ``seconds``. augment: ``(x, generator) -> x`` for each batch, on the device of the network. The order of the images,
    dropout and augmentation depend on ``seed`` and the epoch alone, so that a run resumed from ``checkpoint`` (a file,
    written whole after every epoch) ends where an uninterrupted one does. Afterwards the network is in eval mode and
    frozen as it was. Raises ValueError for images without labels or a checkpoint of other settings.
    """
    checks.count(epochs, "epochs")
    checks.count(batch_size, "batch_size")
    checks.in_range(lr, 0, math.inf, "lr", open_low=True)
    checks.one_of(optimizer, ("sgd", "adam"), "optimizer")
    checks.one_of(schedule, ("cosine", "constant"), "schedule")
    if images.y is None:
        raise ValueError(f"{images.name} has no labels; training needs images with labels")
    settings: dict[str, Any] = {
        "epochs": epochs,
        "lr": lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "schedule": schedule,
        "seed": seed,
        "images": images.sha256,
    }
    parameters = list(net.parameters())
    frozen = [p for p in parameters if not p.requires_grad]
    for p in parameters:
        p.requires_grad_(True)
    if optimizer == "sgd":
        steps: torch.optim.Optimizer = torch.optim.SGD(parameters, lr, momentum=momentum, weight_decay=weight_decay)
    else:
        steps = torch.optim.Adam(parameters, lr, weight_decay=weight_decay)
    history = _resume(checkpoint, settings, net, steps)
    try:
        for epoch in Bar(range(len(history) + 1, epochs + 1), desc="training"):
            for group in steps.param_groups:
                group["lr"] = lr if schedule == "constant" else lr * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
            row = _epoch(net.train(), images, steps, batch_size, f"epoch {epoch}", seed, augment)
            history.append({"epoch": epoch, **row})
            if checkpoint is not None:
                state = {"settings": settings, "net": net.state_dict(), "steps": steps.state_dict(), "history": history}
                torch.save(state, buffer := io.BytesIO())
                write_whole(Path(checkpoint), buffer.getvalue())
            if callback is not None:
                callback(history[-1])
    finally:
        net.eval()
        for p in frozen:
            p.requires_grad_(False)
    return history


def _epoch(
    net: nn.Module,
    images: Images,
    steps: torch.optim.Optimizer,
    batch_size: int,
    name: str,
    seed: int,
    augment: Augment | None,
) -> Row:
    assert images.y is not None
    start, device = time.perf_counter(), next(net.parameters()).device
    order = torch.randperm(len(images), generator=generator(seed, f"order of {name}"))
    draws = generator(seed, f"augmentation of {name}", device)
    loss_sum, hits = torch.zeros((), device=device), torch.zeros((), device=device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(child_seed(seed, f"dropout of {name}"))
        for index in order.to(images.x.device).split(batch_size):
            x, y = images.x[index].to(device), images.y[index].to(device)
            logits = net(x if augment is None else augment(x, draws))
            loss = cross_entropy(logits, y)
            steps.zero_grad()
            loss.backward()
            steps.step()
            loss_sum += loss.detach() * len(y)
            hits += (logits.detach().argmax(1) == y).sum()
    n = len(images)
    return {"loss": float(loss_sum) / n, "accuracy": float(hits) / n, "seconds": time.perf_counter() - start}


def _resume(
    checkpoint: Path | None, settings: dict[str, Any], net: nn.Module, steps: torch.optim.Optimizer
) -> list[Row]:
    """The history in ``checkpoint``, after its state has been loaded; empty without a file."""
    if checkpoint is None or not Path(checkpoint).is_file():
        return []
    state = torch.load(checkpoint, map_location=next(net.parameters()).device, weights_only=True)
    if state["settings"] != settings:
        other = ", ".join(key for key in settings if state["settings"].get(key) != settings[key])
        raise ValueError(
            f"the checkpoint {Path(checkpoint).name} is of a run with other {other}; remove it or choose another file"
        )
    net.load_state_dict(state["net"])
    steps.load_state_dict(state["steps"])
    return state["history"]
