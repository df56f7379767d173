"""Theorem 1 of [equivariant2019], measured: how many directions are aligned with the top one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import checks, evaluate, lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.equivariant2019.drawing import pairs_in, titled
from uapkit.papers.equivariant2019.evidence import estimate, groups
from uapkit.papers.equivariant2019.setting import ATTACKS, QUICK, RANDOM, Attacks, Setting
from uapkit.papers.equivariant2019.spectrum import leading

SAMPLES = {"held out": "-", "in sample": "--"}  # lines of the figure


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ATTACKS,
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 200,
    n_delta: int = 21,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Theorem 1 of [equivariant2019], measured: share of directions with |<a, v>| >= delta |a| against its bound.

    One row a (model, attack, kind, sample, delta): survival in [0, 1] with Wilson's interval on n_rows rows, bound =
    (lambda - delta^2) / (1 - delta^2), or 0; n_delta thresholds from 0 to 1, and as many below sqrt(lambda), where the bound is
    above 0. sample "in sample": v and lambda from the rows themselves; "held out": from one half, measured on the other, both
    ways. mean_square: of the measured c = <a, v>, the lambda for which the bound is exact there; same_sign: share of the larger
    sign among the rows that are aligned, of which the theorem says nothing.
    """
    checks.count(n_delta, "n_delta", 2)
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    n = setting.count(n_fit)

    def survival(model: str, attack: str) -> list[dict]:
        setting.network(model)  # first of all: a network that is not here costs nothing
        found = []
        for kind in ("trained", RANDOM, nulls.UNTRAINED) if attack != "deepfool" else ("trained", RANDOM):
            rows = setting.rows(model, attack, n, kind)
            found += [{"kind": kind, **row} for row in lab.keep(aligned, rows[rows.any(1)], n_delta)]
        return found

    return setting.table(setting.points(models, attack=attacks), survival, "alignment")


def aligned(rows: Tensor, n_delta: int) -> list[dict[str, Any]]:
    """A row a (sample, delta): how many of the rows are aligned with the top direction by at least delta, see :func:`run`."""
    half = len(rows) // 2
    value, c = _cosines(rows, rows)
    first, c_second = _cosines(rows[:half], rows[half:])
    second, c_first = _cosines(rows[half:], rows[:half])
    agree = 1.0 if c_first @ c[:half] * (c_second @ c[half:]) >= 0 else -1.0  # one sign for both halves' vectors
    both = {
        "in sample": (value, c),
        "held out": ((first + second) / 2, np.concatenate([c_first * agree, c_second])),
    }
    found = []
    for sample, (top_value, cosines) in both.items():
        spoken = np.linspace(0, np.sqrt(top_value), n_delta)[:-1]  # beyond it the bound is 0
        for delta in np.union1d(np.linspace(0, 1, n_delta)[:-1], spoken):
            hit = np.abs(cosines) >= delta
            rate = evaluate.Rate.of(int(hit.sum()), len(hit))
            signs = max((cosines[hit] > 0).mean(), (cosines[hit] < 0).mean()) if hit.any() else np.nan
            found.append(
                {
                    "sample": sample,
                    "delta": float(delta),
                    "lambda": top_value,
                    "mean_square": float((cosines**2).mean()),
                    "n_rows": len(hit),
                    "survival": rate.value,
                    "low": rate.low,
                    "high": rate.high,
                    "bound": float(max(0.0, (top_value - delta**2) / (1 - delta**2))),
                    "same_sign": float(signs),
                }
            )
    return found


def _cosines(fit: Tensor, rows: Tensor) -> tuple[float, np.ndarray]:
    """The top direction's share of the squares of ``fit``, and the dot products of ``rows`` with it."""
    values, v = leading(fit, 1)
    return float(values[0]), rows.double().numpy() @ v[:, 0]


def claims(run: Run) -> Iterator[Claim]:
    """Held out, the survival's interval is nowhere below the bound: the smallest margin over delta. In sample it is a check."""
    for name, rows in groups(run, ["model", "attack"]):
        trained = lab.rows_of(rows, kind="trained")
        for sample, called in (("in sample", "bound_holds_in_sample"), ("held out", "bound_holds")):
            here = lab.rows_of(trained, sample=sample)
            here = here[here["bound"] > 0]
            worst = here.loc[(here["survival"] - here["bound"]).idxmin()]
            margin, low, high = (float(worst[c] - worst["bound"]) for c in ("survival", "low", "high"))
            if sample == "in sample":  # a fact about these rows, without sampling error
                low = high = margin
            yield claim(called, name, Interval(margin, int(worst["n_rows"]), low, high), ">", 0.0)
        held_out = lab.rows_of(trained, sample="held out").iloc[0]
        chance = lab.rows_of(rows, kind=RANDOM, sample="held out")["lambda"].iloc[0]
        found = estimate(held_out, ("mean_square",) * 3, n="n_rows")
        yield claim("lambda_above_chance", name, found, ">", 2 * chance)


def figure(run: Run) -> Figure:
    """Share of directions aligned by at least delta, held out and in sample, with the bound and the random null."""
    pairs = pairs_in(run.rows)
    with style():
        drawn, axes = panels(pairs)
        for ax, (model, attack) in zip(axes, pairs, strict=False):
            here = run.where(model=model, attack=attack)
            for kind in dict.fromkeys(here["kind"]):
                for sample, line in SAMPLES.items():
                    rows, label = lab.rows_of(here, kind=kind, sample=sample), f"{kind}, {sample}"
                    if kind == "trained" or sample == "held out":
                        ax.plot(rows["delta"], rows["survival"], color=look(kind).colour, linestyle=line, label=label)
            stated = lab.rows_of(here, kind="trained", sample="held out")
            shown = look("stated bound")
            ax.plot(stated["delta"], stated["bound"], shown.line, color=shown.colour, label="bound of Theorem 1")
            seen = here.loc[here["survival"] > 1e-3, "delta"].max()
            titled(ax, f"{short(model)}\n{attack}")
            ax.set(xlabel="delta", ylim=(0, 1), xlim=(0, min(1, seen + 0.1)))
        axes[0].set_ylabel("share with |cos| ≥ delta")
        legend(drawn, axes)
    return drawn
