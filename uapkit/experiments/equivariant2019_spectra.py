"""Figures 1, 2a, 3a and 4a of [equivariant2019]: how concentrated the stacked directions are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit.experiments import directions as d
from uapkit.experiments.directions import NULLS, Turned
from uapkit.experiments.equivariant2019_shared import CHOOSE, QUICK, points_of, tidy


def fig1_energy(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient",),
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
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)

    once: dict[str, dict] = {}  # random rows are the same for every network

    def one(model: str, attack: str, kind: str) -> dict:
        rows = bench.rows(model, attack, n, kind)
        parts = d.moments(rows)
        share, low, high, _ = d.jackknife(lambda m: d.shares(m, k)[-1:], parts)
        row = {"kind": kind, "k": k, "n_fit": n, "n_rows": int(rows.any(1).sum()), "top_share": share[0]}
        return row | {"low": low[0], "high": high[0], "held_out_share": d.held_out_share(parts, k)}

    def shares(model: str, attack: str) -> list[dict]:
        bench.model(model)  # first of all: a network that is not here costs nothing
        once.update({kind: one(model, attack, kind) for kind in NULLS[:2] if kind not in once})
        kinds = ("trained", *NULLS[2:])
        return [one(model, attack, kind) for kind in kinds] + [once[kind] for kind in NULLS[:2]]

    return tidy(bench, points_of(bench, models, attack=attacks), shares, CHOOSE, "shares")


def _statistics(moment: torch.Tensor) -> np.ndarray:
    """Shares of the top 1, 5 and 10, and the tenth singular value as a share of the first."""
    values = d.top_values(moment, 10)
    return np.array([values[0], values[:5].sum(), values.sum(), math.sqrt(values[9] / values[0])])


def fig2_spectra(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    samples: Sequence[int] = (50, 150),
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 2a, 3a and 4a of [equivariant2019]: singular values of the stacked directions, with matched nulls.

    One row a (model, attack, sample, kind). tenth_to_first: the tenth singular value over the first, with interval;
    half_energy: how many directions hold half of the squares; effective_dimension: (sum s^2)^2 / sum s^4. The singular
    values of unit rows are in ``attrs["arrays"]`` as ``s/<model>/<attack>/<sample>/<kind>``. DeepFool on an untrained
    network is computed for the smallest sample only.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    bench.most = max(bench.count(n) for n in samples)

    once: dict[tuple[str, int], tuple[dict, np.ndarray]] = {}  # random rows are the same for every network and attack

    def one(model: str, attack: str, sample: int, kind: str) -> tuple[dict, np.ndarray]:
        rows = bench.rows(model, attack, sample, kind)
        parts = d.moments(rows)
        value, low, high, _ = d.jackknife(_statistics, parts)
        squares = d.top_values(parts.sum(0))
        used = int(rows.any(1).sum())
        row = {"kind": kind, "n_fit": sample, "n_rows": used, "top1_share": value[0], "top5_share": value[1]}
        row |= {"top10_share": value[2], "tenth_to_first": value[3], "ratio_low": low[3], "ratio_high": high[3]}
        row |= {"half_energy": int((np.cumsum(squares) < 0.5).sum()) + 1}
        row |= {"effective_dimension": 1 / float((squares**2).sum())}
        return row, np.sqrt(squares * used)[: min(used, len(squares))]

    def spectrum(model: str, attack: str, sample: int) -> tuple[list[dict], dict]:
        bench.model(model)
        done = {k: one(model, attack, sample, k) for k in ("trained", "shuffled pixels")}
        if attack != "deepfool" or sample == min(samples):
            done["untrained network"] = one(model, attack, sample, "untrained network")
        once.update({(k, sample): one(model, attack, sample, k) for k in NULLS[:2] if (k, sample) not in once})
        done |= {k: once[k, sample] for k in NULLS[:2]}
        arrays = {f"s/{model}/{attack}/{sample}/{k}": values for k, (_, values) in done.items()}
        return [row for row, _ in done.values()], arrays

    return tidy(
        bench, points_of(bench, models, attack=attacks, sample=samples), spectrum, ("models", "attacks"), "spectra"
    )
