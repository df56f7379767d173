"""Clean accuracies of the networks of [equivariant2019], and what training with narrower rotations changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from uapkit import checks, evaluate
from uapkit import data as sets
from uapkit import models as networks
from uapkit.data.images import Images
from uapkit.experiments import directions as d
from uapkit.experiments.directions import Turned
from uapkit.experiments.equivariant2019_shared import QUICK, points_of, tidy
from uapkit.experiments.per_image import BATCH
from uapkit.experiments.universal import Course
from uapkit.lab.sweep import sweep
from uapkit.models import recipes


def sec_accuracy(
    *,
    models: Sequence[Any] = QUICK,
    data: str = "digits",
    rotations: Sequence[float] = (0.0, 30.0),
    train: Sequence[str] = ("stdcnn",),
    epochs: int | None = 2,
    copies: int = 4,
    n_eval: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Training and clean accuracy of the three networks of [equivariant2019].

    Rows of kind "clean", one a (model, rotation): accuracy on the turned test images, low, high, n; "untrained network":
    the null. Kind "averaged", for the largest rotation: the label of the mean softmax over ``copies`` of each image, turned
    once more by equal steps (four: quarter turns, without loss), as RotEqNet's authors do at test time. Rows of kind
    "epoch": the curve of a training made now, one a (net, epoch), for the nets in ``train`` by :mod:`uapkit.papers.equivariant2019.recipes`
    with ``epochs`` epochs (None: the recipe's own), turned by the largest rotation. The curves of the stored weights lie
    in results/equivariant2019/training.
    """
    bench = Turned(data, 0, seed=seed, device=device)

    def clean(model: str, rotation: float) -> list[dict]:
        net, found = bench.model(model), []
        images = sets.load(data, n=n_eval, seed=seed, rotation=rotation).to(device)
        for kind, one in (("clean", net), ("untrained network", bench.fresh(model, 0))):
            row = evaluate.accuracy(one, images, batch_size=BATCH).iloc[0]
            found.append({"kind": kind, **{c: row[c] for c in ("accuracy", "low", "high", "n")}})
        if rotation == max(rotations):
            found.append({"kind": "averaged", **_averaged(net, images, copies).columns("accuracy")})
        return found

    def curve(model: str) -> list[dict]:
        done = recipes.train(model, data=data, rotation=max(rotations), seed=seed, epochs=epochs)
        return [{"kind": "epoch", **row} for row in done.curve.to_dict("records")]

    over = ("models", "rotations", "train")
    parts = [tidy(bench, points_of(bench, models, rotation=rotations), clean, over, "accuracy")]
    if train:
        parts.append(tidy(bench, [{"model": net} for net in train], curve, ("models", "train"), "training"))
    return pd.concat(parts, ignore_index=True)


@torch.no_grad()
def _averaged(net: networks.Model, images: Images, copies: int) -> evaluate.Rate:
    """Accuracy of the mean softmax over copies turned by equal steps of a full turn."""
    total = torch.zeros(())
    for k in range(checks.count(copies, "copies")):
        turned = images.rotated([360.0 * k / copies] * len(images)) if k else images
        total = total + torch.cat([net(part.x).softmax(1).cpu() for part in turned.batches(BATCH)])
    assert images.y is not None
    return evaluate.Rate.mean(total.argmax(1) == images.y.cpu())


def ext_rotation_range(
    *,
    nets: Sequence[str] = ("stdcnn",),
    ranges: Sequence[float] = (0.0, 90.0),
    data: str = "digits",
    epochs: int | Mapping[str, int] | None = 3,
    n_fit: int = 200,
    n_eval: int | None = 200,
    norms: Sequence[float] = (0.25,),
    small: float = 0.5,
    k: int = 5,
    n_random: int = 3,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Does more invariance mean a stronger universal direction? An extension of [equivariant2019].

    Each net is trained here with random rotations of each range, by one recipe; epochs: one number, or one a net. One row
    a (net, range, kind, sign, norm), columns as in fig5_fooling, for the top gradient direction of test images turned in
    the net's own range; besides accuracy (on the scored images), top_share of the top k with its jackknife interval, and
    invariance: the share of scored images that keep their label when turned by up to 180 degrees instead (the same images,
    and so 1, where the range is 180). Kind "random
    direction" is the null of equal norm, the same directions for all networks.
    """

    def bench_of(rotation: float) -> Turned:
        return Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)

    def trained(model: str, trained_range: float) -> list[dict]:
        many = epochs[model] if isinstance(epochs, Mapping) else epochs
        done = recipes.train(model, data=data, rotation=trained_range, seed=seed, epochs=many)
        name = f"{model}, {trained_range:g} degrees"
        bench = bench_of(trained_range)
        bench.specs([networks.wrap(done.net, mean=recipes.MEAN, std=recipes.STD, input_size=(1, 28, 28), name=name)])
        total = bench.count(None if n_eval is None else n_fit + n_eval)
        at = Course(bench, name, total, total - n_fit, norms, small)
        rows = bench.directions(name, "gradient", n_fit)
        v = at.vector(rows)
        chosen = at.better_sign(v, at.images[:n_fit])
        found, _ = at.rows(v, kind="singular vector", n_fit=n_fit)
        found = [row | {"chosen": row["sign"] == chosen} for row in found]
        found += at.random(n_random, None, "random direction")
        widely = bench_of(180.0).turned(total)[n_fit:]
        same = evaluate.labels(at.model, widely, batch_size=BATCH) == at.clean
        about = {"accuracy": float((at.clean == at.truth).double().mean()), "invariance": float(same.double().mean())}
        share, low, high, _ = d.jackknife(lambda m: d.shares(m, k)[-1:], d.moments(rows))
        about |= {"top_share": share[0], "share_low": low[0], "share_high": high[0], "epochs": len(done.curve)}
        return [row | about for row in found]

    points = [{"model": net, "trained_range": r} for net in nets for r in ranges]
    table = sweep(points, trained, over=("nets", "ranges"), desc="rotation ranges")
    table.insert(0, "data", data)
    return table
