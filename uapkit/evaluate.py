"""Rates with intervals: who is fooled, who errs, what transfers, and what a difference is worth.

A *fooling rate* counts predicted labels that change ([moosavi2017], [khrulkov2018]); an *error rate* counts predictions
that differ from the true label ([equivariant2019] calls that one fooling rate). Perturbed images are not clipped unless
asked for, as in both papers' code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from uapkit import checks
from uapkit.data.images import Images, as_tensor
from uapkit.data.sets import Stream
from uapkit.intervals import Interval, Rate, mean_interval, paired_difference
from uapkit.norms import lp_norm
from uapkit.seeds import generator

Network = Callable[[Tensor], Tensor]
Pixels = Tensor | Images | Stream

__all__ = [
    "Interval",
    "Rate",
    "accuracy",
    "default_batch",
    "error_rate",
    "fooled",
    "fooling_rate",
    "labels",
    "mean_interval",
    "norm_sweep",
    "paired_difference",
    "probabilities",
    "random_perturbation",
    "transfer",
]


def default_batch(h: int, w: int) -> int:
    """Images predicted at once when nobody says: half a million pixels, at most 512 (10 of 224 x 224)."""
    return max(1, min(512, 2**19 // (h * w)))


@contextmanager
def _inference(model: Network) -> Iterator[None]:
    """No gradients, evaluation mode; the modes are put back afterwards."""
    modes = {m: m.training for m in model.modules()} if isinstance(model, nn.Module) else {}
    try:
        if isinstance(model, nn.Module):
            model.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _device(model: Network, x: Tensor) -> torch.device:
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return x.device if first is None else first.device


def _batches(x: Pixels, batch_size: int | None) -> Iterator[tuple[int, Tensor]]:
    """(place of the first image, pixels), a batch at a time."""
    if batch_size is not None:
        checks.count(batch_size, "batch_size")
    blocks = (images.x for images in x) if isinstance(x, Stream) else iter([as_tensor(x)])
    start = 0
    with tqdm(total=_count(x), desc="predicting", unit="image", disable=None, leave=False) as bar:
        for block in blocks:
            for part in block.split(batch_size or default_batch(*block.shape[2:])):
                yield start, part
                start += len(part)
                bar.update(len(part))


def _count(x: Pixels) -> int:
    return x.n if isinstance(x, Stream) else len(as_tensor(x))


def _moved(x: Tensor, v: Any, start: int, clip: bool) -> Tensor:
    """Images plus v: one (c, h, w) or for one an image (n, c, h, w), whose rows begin at ``start``."""
    v = getattr(v, "v", v)
    if not isinstance(v, Tensor):
        raise TypeError(f"v must be a tensor (c, h, w) or a Perturbation, got {type(v).__name__}")
    if v.ndim == 4:
        v = v[start : start + len(x)]
        checks.perturbation(v, x.shape)
    else:
        checks.perturbation(v, x.shape[1:])
    moved = x + v.to(x)
    return moved.clamp(0, 1) if clip else moved


def _logits(model: Network, x: Tensor) -> Tensor:
    """(n, classes) on the model's device. ValueError for an output that is not (n, classes) or not finite."""
    x = x.to(_device(model, x))
    if getattr(model, "channels_last", False) and x.device.type == "cpu":
        x = x.contiguous(memory_format=torch.channels_last)  # faster convolutions on a CPU
    logits = model(x)
    if logits.ndim != 2 or len(logits) != len(x):
        raise ValueError(f"the model must return logits (n, classes), here ({len(x)}, ...), got {tuple(logits.shape)}")
    if not bool(torch.isfinite(logits).all()):
        raise ValueError("the model's logits are not finite (NaN or infinity), so no label can be predicted")
    return logits


def _predict(model: Network, x: Tensor) -> Tensor:
    """(n,) labels on the CPU. Raises as :func:`_logits`."""
    return _logits(model, x).argmax(1).cpu()


def probabilities(
    model: Network, x: Pixels, v: Any = None, *, batch_size: int | None = None, clip: bool = False
) -> Tensor:
    """(n, classes) softmax of the logits of x, or of x + v, on the CPU; arguments and errors as in :func:`labels`."""
    with _inference(model):
        parts = [
            _logits(model, part if v is None else _moved(part, v, start, clip)).softmax(1).cpu()
            for start, part in _batches(x, batch_size)
        ]
    return torch.cat(parts)


def labels(model: Network, x: Pixels, v: Any = None, *, batch_size: int | None = None, clip: bool = False) -> Tensor:
    """(n,) int64 predicted labels of x, or of x + v, on the CPU; memory for one batch.

    model: from pixels in [0, 1] to logits (n, classes); a module runs in evaluation mode. x: (n, c, h, w), an Images or
    a Stream. v: (c, h, w), a Perturbation, or (n, c, h, w), one an image. clip: cut x + v back to [0, 1].
    Raises ValueError for pixels or a perturbation that are not finite or of the wrong shape, and for useless logits.
    """
    with _inference(model):
        parts = [
            _predict(model, part if v is None else _moved(part, v, start, clip))
            for start, part in _batches(x, batch_size)
        ]
    return torch.cat(parts)


def fooled(
    model: Network,
    x: Pixels,
    v: Any,
    clean: Tensor | None = None,
    *,
    batch_size: int | None = None,
    clip: bool = False,
) -> Tensor:
    """(n,) bool on the CPU: does the predicted label of image i change under v? Arguments as in :func:`labels`.

    clean: (n,) the labels of x itself; computed once by :func:`labels` they serve any number of perturbations.
    """
    if clean is not None and clean.shape != (_count(x),):
        raise ValueError(f"clean must hold one label an image, shape ({_count(x)},), got {tuple(clean.shape)}")
    changed = []
    with _inference(model):
        for start, part in _batches(x, batch_size):
            before = _predict(model, part) if clean is None else clean[start : start + len(part)].cpu()
            changed.append(_predict(model, _moved(part, v, start, clip)) != before)
    return torch.cat(changed)


def fooling_rate(
    model: Network,
    x: Pixels,
    v: Any,
    *,
    batch_size: int | None = None,
    clip: bool = False,
    clean: Tensor | None = None,
) -> Rate:
    """Share of images, in [0, 1], whose predicted label changes under x + v; true labels never enter.

    Arguments and errors as in :func:`fooled`. Source: [moosavi2017] and [khrulkov2018], neither of which clips.
    """
    return Rate.mean(fooled(model, x, v, clean, batch_size=batch_size, clip=clip))


def error_rate(
    model: Network,
    x: Pixels,
    v: Any = None,
    *,
    y: Tensor | None = None,
    batch_size: int | None = None,
    clip: bool = False,
) -> Rate:
    """Share of images, in [0, 1], whose predicted label under x + v (x without v) is not the true one.

    y: (n,) true labels; None takes those of the images. Otherwise as :func:`labels`. Source: [equivariant2019], Figures
    5 and 6, where it is called fooling rate. Raises ValueError where there are no true labels.
    """
    predicted = labels(model, x, v, batch_size=batch_size, clip=clip)
    return Rate.mean(predicted != _truth(x, y, len(predicted)))


def _truth(x: Pixels, y: Tensor | None, n: int) -> Tensor:
    if y is None and isinstance(x, Images):
        y = x.y
    if y is None and isinstance(x, Stream) and x.source.labels is not None:
        y = torch.as_tensor(x.source.labels[x.index])
    if y is None:
        raise ValueError("true labels are needed: give y, (n,) integers, or Images that have labels")
    if y.shape != (n,):
        raise ValueError(f"y must hold one label an image, shape ({n},), got {tuple(y.shape)}")
    return y.cpu()


def accuracy(model: Network, images: Pixels, *, y: Tensor | None = None, batch_size: int | None = None) -> pd.DataFrame:
    """One row: model, data, accuracy in [0, 1] with low and high, n. Arguments as in :func:`error_rate`."""
    error = error_rate(model, images, y=y, batch_size=batch_size)
    right = Rate.of(error.n - error.hits, error.n)
    data = images.name if isinstance(images, Images) else images.source.name if isinstance(images, Stream) else "images"
    return pd.DataFrame([{"model": _name(model, 0), "data": data, **right.columns("accuracy")}])


def _name(model: Network, place: int) -> str:
    name = getattr(model, "name", None)
    return (
        name if isinstance(name, str) and name else f"{type(model).__name__}_{place}" if place else type(model).__name__
    )


def transfer(
    models: Mapping[str, Network] | Sequence[Network],
    images: Pixels,
    perturbations: Mapping[str, Any],
    *,
    batch_size: int | None = None,
    clip: bool = False,
) -> pd.DataFrame:
    """Every perturbation on every network. One row per (source, target): fooling_rate in [0, 1], low, high, n.

    models: name -> network attacked (or networks that have a ``.name``); perturbations: name of the source -> v. The
    clean labels of a network are computed once. Source: [moosavi2017], Table 2 (rows are sources there), and
    [khrulkov2018], Table 4 (columns are sources there).
    """
    targets = dict(models) if isinstance(models, Mapping) else {_name(m, i): m for i, m in enumerate(models)}
    if len(targets) != len(models):
        raise ValueError("two of the models have the same name; give a dictionary name -> model")
    if not targets or not perturbations:
        raise ValueError(
            f"at least one model and one perturbation are needed, got {len(targets)} and {len(perturbations)}"
        )
    rows = []
    for target, model in targets.items():
        clean = labels(model, images, batch_size=batch_size)
        for source, v in perturbations.items():
            rate = fooling_rate(model, images, v, clean=clean, batch_size=batch_size, clip=clip)
            rows.append({"source": source, "target": target, **rate.columns("fooling_rate")})
    return pd.DataFrame(rows)


def norm_sweep(
    model: Network,
    images: Pixels,
    v: Any,
    norms: Sequence[float],
    *,
    norm: float | None = None,
    batch_size: int | None = None,
    clip: bool = False,
) -> pd.DataFrame:
    """Rates along the line of ``v``. One row a norm: eps, fooling_rate, low, high, n.

    norms: what v is scaled to, in the images' unit; a negative one takes -v, whose rates are others. norm: the exponent
    they are measured with, [1, inf]; None takes the perturbation's own, 2 for a tensor. Where true labels are known,
    error_rate, error_low and error_high stand beside. Source: [moosavi2017], Figure 8; [equivariant2019], Figures 5 and
    6. Raises ValueError for a perturbation that is zero everywhere.
    """
    own = 2.0 if isinstance(v, Tensor) else getattr(v, "norm", 2.0)  # a tensor's .norm is a method
    p = checks.exponent(own if norm is None else norm, "norm")
    direction = getattr(v, "v", v)
    length = float(lp_norm(direction, p))
    if not 0 < length < math.inf:
        raise ValueError(f"v must have a positive finite norm to be scaled, got {length}")
    clean = labels(model, images, batch_size=batch_size)
    try:
        truth = _truth(images, None, len(clean))
    except ValueError:
        truth = None
    rows = []
    for eps in norms:
        scale = checks.in_range(eps, -torch.finfo(torch.float32).max, torch.finfo(torch.float32).max, "norms") / length
        after = labels(model, images, direction * scale, batch_size=batch_size, clip=clip)
        row: dict[str, float] = {"eps": float(eps), **Rate.mean(after != clean).columns("fooling_rate")}
        if truth is not None:
            error = Rate.mean(after != truth)
            row |= {"error_rate": error.value, "error_low": error.low, "error_high": error.high}
        rows.append(row)
    return pd.DataFrame(rows)


def random_perturbation(shape: Sequence[int], *, eps: float, norm: float = math.inf, seed: int) -> Tensor:
    """The null that a universal perturbation has to beat: (c, h, w) float32 of norm exactly ``eps``.

    norm = inf: independent random signs, times eps. norm < inf: a direction uniform on the sphere, scaled. Source:
    [moosavi2017], Figure 8 (the sphere, norm 2); the others are ours. Raises ValueError for norm < 1, eps < 0 or a
    shape that is not (c, h, w).
    """
    eps = checks.in_range(eps, 0, torch.finfo(torch.float32).max, "eps")
    norm = checks.exponent(norm, "norm")
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape must be (c, h, w), got {tuple(shape)}")
    gauss = torch.randn(tuple(shape), generator=generator(seed, "random_perturbation"), dtype=torch.float64)
    v = gauss.sign() if norm == math.inf else gauss / lp_norm(gauss, norm)
    return (v * eps).float()
