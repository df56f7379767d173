"""Rates with intervals: who is fooled, who errs, what transfers, and what a difference is worth.

A *fooling rate* counts predicted labels that change ([moosavi2017], [khrulkov2018]); an *error rate* counts predictions
that differ from the true label ([equivariant2019] calls that one fooling rate). Perturbed images are not clipped unless
asked for, as in both papers' code.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from uapkit import checks
from uapkit.data.batches import Batches, labels_of
from uapkit.data.images import Images
from uapkit.data.sets import Stream
from uapkit.gate import Network
from uapkit.intervals import Interval, Rate, mean_interval, paired_difference
from uapkit.norms import lp_norm
from uapkit.predict import Pixels, added, answers, default_batch, labels, ordered, probabilities
from uapkit.seeds import generator

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


def fooled(
    model: Network,
    x: Pixels,
    v: Any,
    clean: Any = None,
    *,
    batch_size: int | None = None,
    clip: bool = False,
    bits: int | None = None,
) -> Tensor:
    """(n,) bool on the CPU: does the predicted label of image i change under v? Arguments as in :func:`labels`.

    clean: (n,) the labels of x itself; computed once by :func:`labels` they serve any number of perturbations.
    """
    change = added(v, x, clip, bits)
    if clean is None:
        pairs = answers(model, x, None, change, batch_size=batch_size)
        return torch.cat([(after.argmax(1) != before.argmax(1)).cpu() for _, (before, after) in pairs])
    known = _ordered(x, clean, "clean")
    return labels(model, x, v, batch_size=batch_size, clip=clip, bits=bits) != known


def _ordered(x: Pixels, y: Any, name: str, classes: int | None = None) -> Tensor:
    """Labels given beside the images, (n,); ValueError for batches, whose order they may not have been made in."""
    return labels_of(y, ordered(x, name, f"leave {name} out"), name, classes)


def fooling_rate(
    model: Network,
    x: Pixels,
    v: Any,
    *,
    batch_size: int | None = None,
    clip: bool = False,
    clean: Any = None,
    bits: int | None = None,
) -> Rate:
    """Share of images, in [0, 1], whose predicted label changes under x + v; true labels never enter.

    Arguments and errors as in :func:`fooled`. Source: [moosavi2017] and [khrulkov2018], neither of which clips.
    """
    return Rate.mean(fooled(model, x, v, clean, batch_size=batch_size, clip=clip, bits=bits))


def error_rate(
    model: Network,
    x: Pixels,
    v: Any = None,
    *,
    y: Any = None,
    batch_size: int | None = None,
    clip: bool = False,
    bits: int | None = None,
) -> Rate:
    """Share of images, in [0, 1], whose predicted label under x + v (x without v) is not the true one.

    y: (n,) true labels, a tensor, an array or a list; None takes those of the images, or of the batches' pairs (x, y).
    Otherwise as :func:`labels`. Source: [equivariant2019], Figures 5 and 6, where it is called fooling rate. Raises
    ValueError where there are no true labels, for labels outside the network's classes, and where the images' classes
    are the network's in another order; warns where their names differ otherwise.
    """
    change = None if v is None else added(v, x, clip, bits)
    batches = _Labelled(x) if y is None and not isinstance(x, Tensor | Images | Stream) else None
    given = x if batches is None else batches
    found, classes = [], 0
    for _, (z,) in answers(model, given, change, batch_size=batch_size):
        found.append(z.argmax(1).cpu())
        classes = z.shape[1]
    predicted = torch.cat(found)
    truth = _truth(x, y, classes) if batches is None else labels_of(batches.labels(), len(predicted), "y", classes)
    if y is None and isinstance(x, Images | Stream):
        _same_classes(x, model, classes)
    return Rate.mean(predicted != truth)


class _Labelled(Batches):
    """Batches whose true labels are gathered on the way."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        self.y = []
        for pixels, y in super().__iter__():
            self.y.append(y)
            yield pixels, y

    def labels(self) -> Tensor:
        if any(y is None for y in self.y):
            raise ValueError(NO_TRUTH)
        return torch.cat([y.cpu() for y in self.y])


NO_TRUTH = "true labels are needed: give y, (n,) integers, Images that have labels, or batches of pairs (x, y)"


def _truth(x: Pixels, y: Any, classes: int | None = None) -> Tensor:
    if y is None and isinstance(x, Images):
        y = x.y
    if y is None and isinstance(x, Stream) and x.source.labels is not None:
        y = x.source.labels[x.index]
    if y is None:
        raise ValueError(NO_TRUTH)
    return _ordered(x, y, "y", classes)


def _same_classes(x: Images | Stream, model: Network, classes: int) -> None:
    """Say so where a label does not mean the same class to the images and to the network."""
    theirs = tuple(getattr(model, "classes", ()) or ())
    ours = x.classes if isinstance(x, Images) else x.source.classes
    if not ours or ours == theirs[: len(ours)] or not (theirs or len(ours) != classes):
        return
    if not theirs:
        said = f"the images have {len(ours)} classes and the network {classes}"
    else:
        k = next((k for k, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(theirs))
        there = repr(theirs[k]) if k < len(theirs) else "no class"
        said = f"label {k} means {ours[k]!r} to the images and {there} to the network"
        if set(ours) <= set(theirs):
            raise ValueError(
                f"{said}; images.matched(model.classes) relabels them by name, y= takes labels as they are"
            )
    warnings.warn(f"{said}: the rate is right only if the labels mean the same; y= gives others", stacklevel=3)


def accuracy(model: Network, images: Pixels, *, y: Any = None, batch_size: int | None = None) -> pd.DataFrame:
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
    for v in perturbations.values():
        added(v, images)  # None too, which to labels is no perturbation, is refused before anything runs
    rows = []
    images = _fixed(images)
    for target, model in targets.items():
        clean = labels(model, images, batch_size=batch_size)
        for source, v in perturbations.items():
            rate = Rate.mean(labels(model, images, v, batch_size=batch_size, clip=clip) != clean)
            rows.append({"source": source, "target": target, **rate.columns("fooling_rate")})
    return pd.DataFrame(rows)


def _fixed(x: Pixels) -> Pixels:
    """Batches of somebody's own as such that are refused where they change from pass to pass."""
    return x if isinstance(x, Tensor | Images | Stream) else Batches(x)


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
    """Rates along the line of ``v``, or of one v an image, (n, c, h, w). One row a norm: eps, fooling_rate, low, high, n.

    norms: what each v is scaled to, in the images' unit; a negative one takes -v, whose rates are others. norm: the
    exponent they are measured with, [1, inf]; None takes the perturbation's own, 2 for a tensor. Where true labels are
    known, error_rate, error_low and error_high stand beside. Source: [moosavi2017], Figure 8; [equivariant2019], Figures
    5 and 6. Raises ValueError for a perturbation that is zero everywhere, or norms that are no list.
    """
    own = 2.0 if isinstance(v, Tensor) else getattr(v, "norm", 2.0)  # a tensor's .norm is a method
    p = checks.exponent(own if norm is None else norm, "norm")
    direction = checks.tensor(getattr(v, "v", v), "v", checks.PERTURBATION)
    most = torch.finfo(torch.float32).max
    sizes = [checks.in_range(eps, -most, most, "norms") for eps in checks.some(norms, "norms")]
    length = _lengths(direction, p)
    images = _fixed(images)
    added(direction, images)
    clean = labels(model, images, batch_size=batch_size)
    try:
        truth = _truth(images, None)
    except ValueError:
        truth = None
    rows = []
    for eps in sizes:
        after = labels(model, images, direction * (eps / length), batch_size=batch_size, clip=clip)
        row: dict[str, float] = {"eps": eps, **Rate.mean(after != clean).columns("fooling_rate")}
        if truth is not None:
            error = Rate.mean(after != truth)
            row |= {"error_rate": error.value, "error_low": error.low, "error_high": error.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _lengths(v: Tensor, p: float) -> float | Tensor:
    """The p-norm of a perturbation (c, h, w); of one an image those of all, (n, 1, 1, 1)."""
    each = v.ndim == 4 and len(v) > 1
    length = lp_norm(v.flatten(1), p, 1) if each else lp_norm(v, p)[None]
    wrong = length[~((length > 0) & length.isfinite())]
    if len(wrong):
        which = f" for {len(wrong)} of the {len(v)} images; leave these out" if each else ""
        raise ValueError(f"v must have a positive finite norm to be scaled, got {float(wrong[0])}{which}")
    return length.view(-1, 1, 1, 1) if each else float(length)


def random_perturbation(shape: Sequence[int], *, eps: float, norm: float = math.inf, seed: int) -> Tensor:
    """The null that a universal perturbation has to beat: (c, h, w) float32 of norm exactly ``eps``.

    norm = inf: independent random signs, times eps. norm < inf: a direction uniform on the sphere, scaled. Source:
    [moosavi2017], Figure 8 (the sphere, norm 2); the others are ours. Raises ValueError for norm < 1, eps < 0 or a
    shape that is not (c, h, w).
    """
    eps = checks.radius(eps)
    norm = checks.exponent(norm, "norm")
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape must be (c, h, w), got {tuple(shape)}")
    rng = generator(seed, "random_perturbation")
    gauss = torch.randn(tuple(shape), generator=rng, dtype=torch.float64, device="cpu")
    v = gauss.sign() if norm == math.inf else gauss / lp_norm(gauss, norm)
    return (v * eps).float()
