"""Theorem 2 of [equivariant2019], measured: how far the top direction of few rows is from that of all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import checks, lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval, Rate
from uapkit.lab import Claim, Run, claim
from uapkit.papers.equivariant2019.drawing import pairs_in, titled
from uapkit.papers.equivariant2019.evidence import groups
from uapkit.papers.equivariant2019.setting import QUICK, RANDOM, Attacks, Setting
from uapkit.papers.equivariant2019.spectrum import top
from uapkit.seeds import generator


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 300,
    samples: Sequence[int] = (25, 50, 100, 200),
    n_draws: int = 3,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Theorem 2 of [equivariant2019], measured: how far the top eigenvector of m sampled rows is from that of all.

    One row a (model, attack, m, draw), m rows drawn with repetition. error: the spectral norm of M - M~; gap: lambda1 -
    lambda2 of M; distance: |v - v~| with the better sign; sine of their angle; bound: error / (gap - error) as stated,
    davis_kahan: 2 error / gap, which bounds the sine whatever the error (Yu, Wang and Samworth 2015). m_stated:
    d log d / error^2, the stated order; m_bernstein: 2 (lambda1 + error / 3) log(2 d) / error^2, what the matrix
    Bernstein bound asks for rank-one summands of unit norm. kind "random": rows without a common direction.
    """
    for m in samples:
        checks.count(m, "number of sampled rows")
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    n = setting.count(n_fit)

    def draws(model: str, attack: str) -> list[dict]:
        setting.network(model)  # first of all: a network that is not here costs nothing
        found = []
        for kind in ("trained", RANDOM):
            rows = setting.rows(model, attack, n, kind)
            found += [{"kind": kind, **row} for row in lab.keep(sampled, rows[rows.any(1)], samples, n_draws, seed)]
        return found

    return setting.table(setting.points(models, attack=attacks), draws, "sampling")


def sampled(rows: Tensor, samples: Sequence[int], n_draws: int, seed: int) -> list[dict[str, float]]:
    """A row a (m, draw): the top eigenvector of m of the rows against that of all."""
    rows = rows.double()
    whole = rows.T @ rows / len(rows)
    values, vectors = top(whole, 2)
    size, largest, gap, found = len(whole), float(values[0]), float(values[0] - values[1]), []
    for m, j in itertools.product(samples, range(n_draws)):
        pick = torch.randint(len(rows), (m,), generator=generator(seed, f"theorem 2/{m}/{j}"))
        sample = rows[pick].T @ rows[pick] / m
        error = float(np.abs(np.linalg.eigvalsh((whole - sample).numpy())).max())
        cosine = min(1.0, abs(float(top(sample, 1)[1][:, 0] @ vectors[:, 0])))
        found.append(
            {
                "m": m,
                "draw": j,
                "n_rows": len(rows),
                "lambda1": largest,
                "gap": gap,
                "error": error,
                "distance": math.sqrt(2 - 2 * cosine),
                "sine": math.sqrt(1 - cosine**2),
                "bound": error / (gap - error) if error < gap else math.nan,
                "davis_kahan": 2 * error / gap,
                "m_stated": size * math.log(size) / error**2,
                "m_bernstein": 2 * (largest + error / 3) * math.log(2 * size) / error**2,
            }
        )
    return found


def claims(run: Run) -> Iterator[Claim]:
    """Where the error is below the gap the distance is below the bound; how often the bound says anything for 100 rows.

    A distance is at most sqrt(2) with the better sign, so a larger bound says nothing.
    """
    for name, rows in groups(run, ["model", "attack"]):
        trained = lab.rows_of(rows, kind="trained")
        stated = trained.dropna(subset="bound")
        if len(stated):
            within = Rate.of(int((stated["distance"] <= stated["bound"]).sum()), len(stated))
            yield claim("bound_holds", name, within, ">", 0.5)
        few = trained["m"] <= 100
        fewest = trained[few if few.any() else trained["m"] == trained["m"].min()]
        says = Rate.of(int((fewest["bound"] < math.sqrt(2)).sum()), len(fewest))
        yield claim("bound_explains_100_samples", name, says, ">", 0.5)
        ratio = (trained["m_bernstein"] / trained["m"]).median() / (trained["m_stated"] / trained["m"]).median()
        yield claim("sharper_bound_is_nearer", name, Interval(ratio, len(trained), ratio, ratio), "<", 0.1)


def figure(run: Run) -> Figure:
    """Distance of the sampled eigenvector from that of all rows against m, with the stated bound, a panel a (network, attack)."""
    pairs = pairs_in(run.rows)
    measured, stated = look("trained"), look("stated bound")
    lines = {
        "distance": ("distance, measured", measured.colour, "o-"),
        "sine": ("sine, measured", measured.colour, "^:"),
        "bound": ("bound as stated", stated.colour, "s-"),
        "davis_kahan": ("2 error / gap", stated.colour, "D:"),
    }
    with style():
        drawn, axes = panels(pairs, columns=3)
        for ax, (model, attack) in zip(axes, pairs, strict=False):
            here = run.where(model=model, attack=attack, kind="trained")
            for column, (label, colour, line) in lines.items():
                middle = here.groupby("m")[column].median().dropna()
                ax.plot(middle.index, middle, line, markersize=4, color=colour, label=label)
            nothing = look("clean").colour
            ax.axhline(2**0.5, color=nothing, linestyle="--", linewidth=0.8, label="√2: says nothing above")
            titled(ax, f"{short(model)}\n{attack}")
            ax.set(xscale="log", yscale="log", xlabel="rows m")
        legend(drawn, axes)
    return drawn
