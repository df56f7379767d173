"""Figure 1 of [equivariant2019]: how much of the stacked directions the top five hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.equivariant2019.drawing import bars
from uapkit.papers.equivariant2019.evidence import estimate, groups, nearest_null
from uapkit.papers.equivariant2019.setting import IN_DATA, QUICK, RANDOM, SHUFFLED, Attacks, Setting, training
from uapkit.papers.equivariant2019.spectrum import held_out_share, moments, top_share


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient",),
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 300,
    k: int = 5,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 1 of [equivariant2019]: share of the squared singular values of the direction matrix in the top k.

    One row a (model, attack, kind): kind "trained", or a null with the same number of rows. top_share in [0, 1] with
    its jackknife interval; held_out_share: of one half's energy in the top k directions of the other half.
    """
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    n = setting.count(n_fit)

    def shares(model: str, attack: str) -> list[dict]:
        setting.network(model)  # first of all: a network that is not here costs nothing
        found = []
        for kind in ("trained", SHUFFLED, nulls.UNTRAINED, RANDOM, IN_DATA):
            measured = lab.keep(concentration, setting.rows(model, attack, n, kind), k)
            found.append({"kind": kind, "k": k, "n_fit": n, **measured})
        return found

    return setting.table(setting.points(models, attack=attacks), shares, "shares")


def concentration(rows: Tensor, k: int) -> dict[str, float]:
    """n_rows that are not zero, top_share with its interval, and held_out_share."""
    share, low, high = top_share(rows, k)
    return {
        "n_rows": int(rows.any(1).sum()),
        "top_share": share,
        "low": low,
        "high": high,
        "held_out_share": held_out_share(moments(rows), k),
    }


def claims(run: Run) -> Iterator[Claim]:
    """More than 10 % in five directions, against the same share of the nulls; and more than an untrained network has."""
    columns = ("top_share", "low", "high")
    for name, rows in groups(run, ["model", "attack"]):
        ours = estimate(lab.rows_of(rows, kind="trained").iloc[0], columns, n="n_fit")
        strongest = nearest_null(rows[rows["is_null"]], columns, ">")
        how = training(rows["model"].iloc[0])
        yield claim("top5_above_10_percent", name, ours, ">", 0.10, null=strongest, training=how)
        untrained = lab.rows_of(rows, kind=nulls.UNTRAINED)
        if len(untrained):
            yield claim("training_concentrates", name, ours, ">", untrained["high"].iloc[0], training=how)


def figure(run: Run) -> Figure:
    """The share in the top directions, one group of bars a network, one bar a kind."""
    return bars(run.rows, "top_share")
