"""Figure 7 of [equivariant2019]: the top invariant directions as pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.papers.equivariant2019.angular import pictured
from uapkit.papers.equivariant2019.drawing import vectors
from uapkit.papers.equivariant2019.setting import IN_DATA, RANDOM, Setting
from uapkit.papers.equivariant2019.spectrum import leading


def run(
    *,
    data: str = "digits",
    rotation: float = 180.0,
    step: float = 2.0,
    n_fit: int | None = None,
    k: int = 5,
    n_random: int = 20,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 7 of [equivariant2019]: top singular vectors of the differences under ``step`` degrees more of rotation.

    One row a vector: share of the squared singular values, wavelength in pixels, and angular_share, the part of its
    energy (beyond the mean over angles) at one angular frequency: steerable filters have it all at one. The vectors are in
    ``attrs["arrays"]`` as ``u/<index>``. Null: random directions in the images' own principal subspace.
    """
    setting = Setting.of(data, rotation, seed=seed, device=device)
    n, shape = setting.count(n_fit), setting.shape

    def directions() -> tuple[list[dict], dict]:
        values, u = lab.keep(leading, setting.invariant(n, step), k)
        rows, arrays = [], {}
        for j in range(k):
            about = {"kind": "invariant directions", "index": j + 1, "n_fit": n, "share": float(values[j])}
            rows.append({**about, **pictured(u[:, j], shape)})
            arrays[f"u/{j + 1}"] = u[:, j].reshape(shape).astype(np.float32)
        for kind in (RANDOM, IN_DATA):
            draws = setting.random_rows(kind, n_random, of=n).numpy()
            rows += [{"kind": kind, "draw": j, **pictured(v, shape)} for j, v in enumerate(draws)]
        return rows, arrays

    return setting.table([{}], directions, "invariant directions")


def claims(run: Run) -> Iterator[Claim]:
    """Steerable: the five vectors' median energy at one angular frequency exceeds one half."""

    def summary(rows: pd.DataFrame) -> Interval:
        values = rows["angular_share"]
        return Interval(float(values.median()), len(values), float(values.min()), float(values.max()))

    nulls = [summary(rows) for _, rows in run.rows[run.rows["is_null"]].groupby("kind", sort=False)]
    strongest = max(nulls, key=float, default=None)
    ours = summary(run.where(kind="invariant directions"))
    yield claim("steerable", "the images alone", ours, ">", 0.5, null=strongest)


def figure(run: Run) -> Figure:
    """The vectors as contrast-stretched pictures."""
    return vectors(run, "u/")
