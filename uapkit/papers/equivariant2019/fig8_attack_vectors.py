"""Figures 8 to 16 of [equivariant2019]: the top attack directions as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.lab import Run
from uapkit.papers.equivariant2019.angular import pictured, round_share
from uapkit.papers.equivariant2019.drawing import vectors
from uapkit.papers.equivariant2019.setting import ATTACKS, QUICK, Attacks, Setting
from uapkit.papers.equivariant2019.spectrum import leading


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ATTACKS,
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 200,
    k: int = 5,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 8 to 16 of [equivariant2019]: the top k singular vectors of each network and attack as pictures.

    One row a (model, attack, index): share, wavelength, angular frequency as in fig7_invariant_vectors. The vectors are
    in ``attrs["arrays"]`` as ``v/<model>/<attack>/<index>``.
    """
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    n, shape = setting.count(n_fit), setting.shape

    def directions(model: str, attack: str) -> tuple[list[dict], dict]:
        values, v = lab.keep(leading, setting.directions(model, attack, n), k)
        rows = [{"index": j + 1, "n_fit": n, "share": float(values[j]), **pictured(v[:, j], shape)} for j in range(k)]
        return rows, {f"v/{model}/{attack}/{j + 1}": v[:, j].reshape(shape).astype(np.float32) for j in range(k)}

    return setting.table(setting.points(models, attack=attacks), directions, "vectors")


def round_shares(run: Run) -> pd.DataFrame:
    """Share of each vector's energy that no rotation changes: one row a (model, attack), one column a vector."""
    places = run.rows[["model", "attack", "index"]].reset_index(drop=True)
    pictures = [run.flags("v", r["model"], r["attack"], int(r["index"])) for r in places.to_dict("records")]
    places["round_share"] = [round_share(torch.from_numpy(picture).float()) for picture in pictures]
    wide = places.pivot(index=["model", "attack"], columns="index", values="round_share").reset_index()
    return wide.rename(columns=lambda c: f"vector {c:g}" if isinstance(c, float | int) else c)


def figure(run: Run) -> Figure:
    """The vectors as contrast-stretched pictures, five a line."""
    return vectors(run, "v/")
