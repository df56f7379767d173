"""Section 3 of [equivariant2019]: training and clean accuracy of the three networks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from uapkit import checks, evaluate, lab
from uapkit import data as sets
from uapkit.data.images import Images
from uapkit.figures.panels import legend
from uapkit.figures.style import look_of_network, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.models import Model
from uapkit.papers.equivariant2019 import recipes
from uapkit.papers.equivariant2019.drawing import bars
from uapkit.papers.equivariant2019.evidence import estimate, nearest_null
from uapkit.papers.equivariant2019.setting import BATCH, QUICK, Setting, training
from uapkit.runner.catalogue import project_root


def run(
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
    "epoch": the curve of a training made now, one a (net, epoch), for the nets in ``train`` by
    :mod:`uapkit.papers.equivariant2019.recipes` with ``epochs`` epochs (None: the recipe's own), turned by the largest
    rotation. The curves of the stored weights lie in results/equivariant2019/training.
    """
    setting = Setting.of(data, max(rotations), seed=seed, device=device)

    def clean(model: str, rotation: float) -> list[dict]:
        net, found = setting.network(model), []
        images = sets.load(data, n=n_eval, seed=seed, rotation=rotation).to(device)
        for kind, one in (("clean", net), (nulls.UNTRAINED, setting.bench.untrained(model))):
            row = lab.keep(evaluate.accuracy, one, images, batch_size=BATCH).iloc[0]
            found.append({"kind": kind, **{c: row[c] for c in ("accuracy", "low", "high", "n")}})
        if rotation == max(rotations):
            found.append({"kind": "averaged", **lab.keep(averaged, net, images, copies).columns("accuracy")})
        return found

    def curve(model: str) -> list[dict]:
        wanted = recipes.prepared(model, data=data, rotation=max(rotations), seed=seed, epochs=epochs)
        return [{"kind": "epoch", **row} for row in lab.keep(recipes.fit, *wanted).curve.to_dict("records")]

    parts = [setting.table(setting.points(models, rotation=rotations), clean, "accuracy")]
    if train:
        parts.append(setting.table([{"model": net} for net in train], curve, "training"))
    table = lab.joined(parts)
    table["is_null"] = table["kind"] == nulls.UNTRAINED if "kind" in table else False  # clean images are no null here
    return table


@torch.no_grad()
def averaged(net: Model, images: Images, copies: int) -> evaluate.Rate:
    """Accuracy of the mean softmax over copies turned by equal steps of a full turn."""
    total = torch.zeros(())
    for k in range(checks.count(copies, "copies")):
        turned = images.rotated([360.0 * k / copies] * len(images)) if k else images
        total = total + torch.cat([net(part.x).softmax(1).cpu() for part in turned.batches(BATCH)])
    assert images.y is not None
    return evaluate.Rate.mean(total.argmax(1) == images.y.cpu())


def claims(run: Run) -> Iterator[Claim]:
    """Accuracy on images turned by the largest range, against what published implementations reach."""
    columns = ("accuracy", "low", "high")
    for network, rows in run.by_network():
        rows = lab.rows_of(rows, kind=["clean", nulls.UNTRAINED])
        if rows.empty:
            continue
        rows = lab.rows_of(rows, rotation=rows["rotation"].max())
        name, bound = ("roteqnet_97_percent", 0.97) if "roteqnet" in network else ("plain_and_p4_95_percent", 0.95)
        ours = estimate(lab.rows_of(rows, kind="clean").iloc[0], columns)
        untrained = nearest_null(lab.rows_of(rows, kind=nulls.UNTRAINED), columns, ">")
        yield claim(name, network, ours, ">", bound, null=untrained, training=training(network))


def figure(run: Run) -> Figure:
    """Accuracy on images turned by the largest range beside that of untrained copies, a group of bars a network."""
    rows = run.where(kind=["clean", nulls.UNTRAINED])
    return bars(lab.rows_of(rows, rotation=rows["rotation"].max()), "accuracy")


def trainings() -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The stored trainings: a table of their recipes, and the curves by the network's name."""
    folder = project_root() / "results" / "equivariant2019" / "training"
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    table = [
        {
            "network": record["name"],
            "parameters": sum(p.numel() for p in recipes.architecture(record["recipe"]["net"]).parameters()),
            **{key: record[key] for key in ("n_train", "n_validation")},
            **{key: record["recipe"][key] for key in ("epochs", "batch_size", "lr", "weight_decay")},
            "cpu_seconds": record["cpu_seconds"],
        }
        for record in records
    ]
    return pd.DataFrame(table), {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def curves(by_name: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy on training and test images by epoch: a colour a network, a line a training seed (``_seedK`` of the name)."""
    with style():
        drawn, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
        for name, curve in by_name.items():
            plain, _, seed = name.partition("_seed")
            shown = look_of_network(name)
            for column, line, marker, what in (
                ("test_accuracy", "-", shown.marker, "test"),
                ("train_accuracy", ":", None, "training (with dropout)"),
            ):
                ax.plot(
                    curve["epoch"],
                    curve[column],
                    color=shown.colour,
                    linestyle=line,
                    linewidth=1,
                    marker=marker,
                    markersize=3,
                    label=None if seed else f"{short(plain)}, {what}",
                )
        ax.set(xlabel="epoch", ylabel="accuracy", ylim=(0.7, 1))
        legend(drawn, [ax], columns=2)
    return drawn
