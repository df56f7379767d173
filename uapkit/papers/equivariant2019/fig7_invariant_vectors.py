"""Figure 7 of [equivariant2019]: the top invariant directions as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.papers.equivariant2019.angular import pictured
from uapkit.papers.equivariant2019.drawing import vectors
from uapkit.papers.equivariant2019.setting import IN_DATA, RANDOM, Setting
from uapkit.papers.equivariant2019.spectrum import leading
from uapkit.seeds import generator


def run(
    *,
    data: str = "digits",
    rotation: float = 180.0,
    step: float = 2.0,
    n_fit: int | None = None,
    k: int = 5,
    n_random: int = 20,
    n_boot: int = 20,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 7 of [equivariant2019]: top singular vectors of the differences under ``step`` degrees more of rotation.

    One row a vector: share of the squared singular values, wavelength in pixels, and angular_share, the part of its
    energy (beyond the mean over angles) at one angular frequency: steerable filters have it all at one. The vectors are in
    ``attrs["arrays"]`` as ``u/<index>``. Kind "bootstrap": the median angular_share of the k vectors of one of ``n_boot``
    resamples of the images. Nulls: the same median of k random directions, of all of R^d or of the images' subspace.
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
        again = lab.keep(resampled, setting.invariant(n, step), k, shape, n_boot, seed)
        rows += [{"kind": "bootstrap", "draw": j, "angular_share": share} for j, share in enumerate(again)]
        for kind in (RANDOM, IN_DATA):
            draws = setting.random_rows(kind, k * n_random, of=n).numpy().reshape(n_random, k, -1)
            for j, drawn in enumerate(draws):
                rows.append({"kind": kind, "draw": j, "angular_share": median_share(drawn, shape)})
        return rows, arrays

    return setting.table([{}], directions, "invariant directions")


def median_share(vectors: np.ndarray, shape: Sequence[int]) -> float:
    """Median over (k, d) directions of the share of energy at one angular frequency."""
    return float(np.median([pictured(v, shape)["angular_share"] for v in vectors]))


def resampled(rows: Tensor, k: int, shape: Sequence[int], n_boot: int, seed: int) -> list[float]:
    """The median share of the top k directions of ``n_boot`` resamples of the rows, each drawn with repetition."""
    found = []
    for j in range(n_boot):
        pick = torch.randint(len(rows), (len(rows),), generator=generator(seed, f"bootstrap/{j}"))
        found.append(median_share(leading(rows[pick], k)[1].T, shape))
    return found


def claims(run: Run) -> Iterator[Claim]:
    """Steerable: the five vectors' median energy at one angular frequency exceeds one half; interval over the images."""

    def central(value: float, draws: pd.Series) -> Interval:
        low, high = np.percentile(draws, [2.5, 97.5])
        return Interval(value, int(run.rows["n_fit"].max()), float(low), float(high))

    nulls = [
        central(float(rows["angular_share"].mean()), rows["angular_share"])
        for _, rows in run.rows[run.rows["is_null"]].groupby("kind", sort=False)
    ]
    value = float(run.where(kind="invariant directions")["angular_share"].median())
    ours = central(value, run.where(kind="bootstrap")["angular_share"])
    yield claim("steerable", "the images alone", ours, ">", 0.5, null=max(nulls, key=float, default=None))


def figure(run: Run) -> Figure:
    """The vectors as contrast-stretched pictures."""
    return vectors(run, "u/")
