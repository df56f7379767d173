"""Figures 2a, 3a and 4a of [equivariant2019]: the singular values of the stacked directions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.equivariant2019.drawing import LINES, first_seed, pairs_in, titled
from uapkit.papers.equivariant2019.evidence import estimate, groups, nearest_null
from uapkit.papers.equivariant2019.setting import IN_DATA, QUICK, RANDOM, SHUFFLED, Attacks, Setting, training
from uapkit.papers.equivariant2019.spectrum import jackknife, moments, top_values


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient", "fgsm"),
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
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    setting.most = max(setting.count(n) for n in samples)

    def spectra(model: str, attack: str, sample: int) -> tuple[list[dict], dict]:
        setting.network(model)  # first of all: a network that is not here costs nothing
        fresh = [nulls.UNTRAINED] if attack != "deepfool" or sample == min(samples) else []
        rows, arrays = [], {}
        for kind in ("trained", SHUFFLED, *fresh, RANDOM, IN_DATA):
            measured, values = lab.keep(spectrum, setting.rows(model, attack, sample, kind))
            rows.append({"kind": kind, "n_fit": sample, **measured})
            arrays[f"s/{model}/{attack}/{sample}/{kind}"] = values
        return rows, arrays

    return setting.table(setting.points(models, attack=attacks, sample=samples), spectra, "spectra")


def spectrum(rows: Tensor) -> tuple[dict[str, float], np.ndarray]:
    """Numbers of the spectrum of ``rows``, and its singular values."""
    parts = moments(rows)
    value, low, high, _ = jackknife(_statistics, parts)
    squares = top_values(parts.sum(0))
    used = int(rows.any(1).sum())
    measured = {
        "n_rows": used,
        "top1_share": float(value[0]),
        "top5_share": float(value[1]),
        "top10_share": float(value[2]),
        "tenth_to_first": float(value[3]),
        "ratio_low": float(low[3]),
        "ratio_high": float(high[3]),
        "half_energy": int((np.cumsum(squares) < 0.5).sum()) + 1,
        "effective_dimension": 1 / float((squares**2).sum()),
    }
    return measured, np.sqrt(squares * used)[: min(used, len(squares))]


def _statistics(moment: torch.Tensor) -> np.ndarray:
    """Shares of the top 1, 5 and 10, and the tenth singular value as a share of the first."""
    values = top_values(moment, 10)
    return np.array([values[0], values[:5].sum(), values.sum(), math.sqrt(values[9] / values[0])])


def claims(run: Run) -> Iterator[Claim]:
    """A sharp drop: the tenth singular value is less than half of the first."""
    columns = ("tenth_to_first", "ratio_low", "ratio_high")
    for name, rows in groups(run, ["model", "attack", "sample"]):
        ours = estimate(lab.rows_of(rows, kind="trained").iloc[0], columns, n="n_fit")
        null, how = nearest_null(rows[rows["is_null"]], columns, "<"), training(rows["model"].iloc[0])
        yield claim("sharp_drop", name, ours, "<", 0.5, null=null, training=how)


def figure(run: Run) -> Figure:
    """Squared singular values as shares of their sum, a panel a (network, attack), full lines for the largest sample."""
    rows = first_seed(run.rows)
    pairs = pairs_in(rows)
    samples = sorted(set(rows["sample"]), reverse=True)
    with style():
        drawn, axes = panels(pairs)
        for ax, (model, attack) in zip(axes, pairs, strict=False):
            for kind in dict.fromkeys(rows["kind"]):
                for line, sample in zip(LINES, samples, strict=False):
                    s = run.arrays.get(f"s/{model}/{attack}/{sample:.0f}/{kind}")
                    if s is not None:
                        share, label = s**2 / (s**2).sum(), f"{kind}, n = {sample:.0f}"
                        ax.plot(range(1, len(s) + 1), share, color=look(kind).colour, linestyle=line, label=label)
            titled(ax, f"{short(model)}\n{attack}")
            ax.set(xscale="log", yscale="log", ylim=(1e-5, 1), xlabel="direction")
        axes[0].set_ylabel("share of the squares")
        legend(drawn, axes)
    return drawn
