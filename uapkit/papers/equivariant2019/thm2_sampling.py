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
from uapkit.papers.equivariant2019.setting import QUICK, RANDOM, Attacks, Setting, training
from uapkit.papers.equivariant2019.spectrum import top
from uapkit.seeds import generator

NEAR = 10.0  # times the rows that are needed: a prediction that asks for more is not near


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 300,
    samples: Sequence[int] = (25, 50, 100, 200, 400),
    n_draws: int = 4,
    errors: Sequence[float] = (0.2, 0.1),
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Theorem 2 of [equivariant2019], measured: how far the top eigenvector of m sampled rows is from that of all.

    One row a (model, attack, m, draw), m rows drawn with repetition. error: the spectral norm of M - M~; gap: lambda1 -
    lambda2 of M; distance: |v - v~| with the better sign; sine of their angle; bound: error / (gap - error) as stated,
    davis_kahan: 2 error / gap, which bounds the sine whatever the error (Yu, Wang and Samworth 2015). m_stated:
    d log d / error^2, the stated order; m_bernstein: 2 (lambda1 + error / 3) log(4 d) / error^2, with which the matrix
    Bernstein bound for rank-one summands of unit norm keeps the error with probability one half. kind "random": rows
    without a common direction. Kind "reached", a row an error in ``errors``: the m at which the median error over draws
    falls to it, interpolated (NaN if it does not), m_low and m_high from draws taken anew, beside both predictions;
    slope: of log error against log m.
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
            made = lab.keep(sampled, rows[rows.any(1)], samples, n_draws, seed)
            found += [{"kind": kind, **row} for row in made]
            if kind == "trained":
                found += [{"kind": "reached", **row} for row in reached(made, errors)]
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
                "m_stated": stated(size, error),
                "m_bernstein": bernstein(size, largest, error),
                "d": size,
            }
        )
    return found


def stated(d: int, error: float) -> float:
    """The order that Theorem 2 states, with the constant 1."""
    return d * math.log(d) / error**2


def bernstein(d: int, largest: float, error: float, probability: float = 0.5) -> float:
    """Rows of unit norm after which the error exceeds ``error`` with at most ``probability``, by matrix Bernstein.

    The summands x x^T - M have norm at most 1 and variance at most the largest eigenvalue of M; 2 d dimensions' worth of
    tails, so log(2 d / probability). Source: Tropp, An introduction to matrix concentration inequalities, Theorem 1.6.2.
    """
    return 2 * (largest + error / 3) * math.log(2 * d / probability) / error**2


def reached(draws: Sequence[dict[str, float]], errors: Sequence[float], n_boot: int = 500) -> list[dict[str, float]]:
    """A row an error: how many rows it takes, measured and predicted; intervals over draws taken anew for each m."""
    table = pd.DataFrame(draws).pivot(index="draw", columns="m", values="error")
    m, each = np.log(table.columns.to_numpy(dtype=float)), np.log(table.to_numpy())
    rng = np.random.default_rng(0)
    again = [np.median(np.take_along_axis(each, rng.integers(len(each), size=each.shape), 0), 0) for _ in range(n_boot)]
    middle = np.median(each, 0)
    slopes = [np.polyfit(m, one, 1)[0] for one in (middle, *again)]
    ends = np.percentile(slopes[1:], [2.5, 97.5])
    first, found = draws[0], []
    for error in errors:
        place, *others = (_crossing(m, one, math.log(error)) for one in (middle, *again))
        low, high = np.percentile(others, [2.5, 97.5]) if np.isfinite(others).all() else (math.nan, math.nan)
        found.append(
            {
                "error": float(error),
                "m_reached": place,
                "m_low": float(low),
                "m_high": float(high),
                "m_stated": stated(int(first["d"]), error),
                "m_bernstein": bernstein(int(first["d"]), first["lambda1"], error),
                "slope": float(slopes[0]),
                "slope_low": float(ends[0]),
                "slope_high": float(ends[1]),
                "n_draws": len(each),
            }
        )
    return found


def _crossing(m: np.ndarray, errors: np.ndarray, wanted: float) -> float:
    """Where falling log errors cross a level, as a number of rows; NaN where they begin below it or end above."""
    if not errors[-1] <= wanted <= errors[0]:
        return math.nan
    after = int(np.argmax(errors <= wanted))
    if after == 0:
        return float(np.exp(m[0]))
    share = (errors[after - 1] - wanted) / (errors[after - 1] - errors[after])
    return float(np.exp(m[after - 1] + share * (m[after] - m[after - 1])))


def claims(run: Run) -> Iterator[Claim]:
    """The error falls as one over the root of m; and how near the rows that an error takes are to both predictions.

    A check, because it is Davis and Kahan's lemma: where the error is below the gap the distance is below the bound. And
    how often the bound says anything for 100 rows: a distance is at most sqrt(2), so a larger bound says nothing.
    """
    for name, rows in groups(run, ["model", "attack"]):
        trained, how = lab.rows_of(rows, kind="trained"), training(rows["model"].iloc[0])
        stated_rows = trained.dropna(subset="bound")
        if len(stated_rows):
            within = Rate.of(int((stated_rows["distance"] <= stated_rows["bound"]).sum()), len(stated_rows))
            yield claim("bound_holds", name, within, ">", 0.5, training=how)
        few = trained["m"] <= 100
        fewest = trained[few if few.any() else trained["m"] == trained["m"].min()]
        says = Rate.of(int((fewest["bound"] < math.sqrt(2)).sum()), len(fewest))
        yield claim("bound_explains_100_samples", name, says, ">", 0.5, training=how)
        known = lab.rows_of(rows, kind="reached")
        draws = int(known["n_draws"].max())
        low, value, high = (float(known[c].iloc[0]) for c in ("slope_low", "slope", "slope_high"))
        slope = Interval(value, draws, low, high)
        yield claim("error_falls_as_root_of_m", name, slope, "<", -0.4, training=how)
        for _, one in known.dropna(subset=["m_low", "m_high"]).iterrows():
            place = f"{name}, error {one['error']:g}"
            for what, column in (("stated_order_is_near", "m_stated"), ("bernstein_is_near", "m_bernstein")):
                value, high, low = (one[column] / one[c] for c in ("m_reached", "m_low", "m_high"))
                yield claim(what, place, Interval(value, draws, low, high), "<", NEAR, training=how)


def figure(run: Run) -> Figure:
    """Distance of the sampled eigenvector from that of all rows against m, with the stated bound, a panel a (network, attack)."""
    pairs = pairs_in(run.rows)
    measured, theory = look("trained"), look("stated bound")
    lines = {
        "distance": ("distance, measured", measured.colour, "o-"),
        "sine": ("sine, measured", measured.colour, "^:"),
        "bound": ("bound as stated", theory.colour, "s-"),
        "davis_kahan": ("2 error / gap", theory.colour, "D:"),
    }
    with style():
        drawn, axes = panels(pairs)
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
