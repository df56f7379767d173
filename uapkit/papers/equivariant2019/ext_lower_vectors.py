"""Vectors two to five of [equivariant2019]'s matrix as attacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.equivariant2019.course import ERROR, IN_DATA, Course
from uapkit.papers.equivariant2019.drawing import bounds
from uapkit.papers.equivariant2019.evidence import estimate
from uapkit.papers.equivariant2019.fooling import highest_of_chance
from uapkit.papers.equivariant2019.setting import QUICK, Attacks, Setting, training
from uapkit.papers.equivariant2019.spectrum import leading


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int = 200,
    n_eval: int | None = 100,
    k: int = 5,
    norms: Sequence[float] = (),
    small: float = 0.5,
    n_random: int = 10,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Vectors 1 to k of [equivariant2019]'s matrix as attacks: its Theorem 1 speaks of any eigenvector.

    Columns as in fig5_fooling; index: which vector, at the sign that is better on fitted images; share: of the squared
    singular values that it holds. No scored image was fitted on. Random directions have their better sign, too.
    """
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    total = setting.count(None if n_eval is None else n_fit + n_eval)
    setting.most = n_fit

    def vectors(model: str, attack: str) -> list[dict]:
        along, found = Course(setting, model, total, total - n_fit, norms, small), []
        directions = setting.directions(model, attack, n_fit)
        shares = lab.keep(leading, directions, k)[0]
        for index in range(1, k + 1):
            v = along.vector(directions, index)
            chosen = along.better_sign(v, along.images[:n_fit])
            about: dict[str, Any] = {"index": index, "share": float(shares[index - 1]), "n_fit": n_fit, "chosen": True}
            found += along.rows(v, (chosen,), kind="singular vector", **about)[0]
        return found

    def null(model: str) -> list[dict]:
        along = Course(setting, model, total, total - n_fit, norms, small)
        kinds = (nulls.RANDOM_DIRECTION, IN_DATA)
        return [row for kind in kinds for row in along.random(n_random, kind, n_random)[0]]

    parts = [setting.table(setting.points(models, attack=attacks), vectors, "lower vectors")]
    parts.append(setting.table(setting.points(models), null, "random directions"))
    return lab.joined(parts)


def claims(run: Run) -> Iterator[Claim]:
    """Each of the vectors 2 to 5 errs more than random directions of equal norm, at their better signs, do."""
    for network, of_network in run.by_network():
        for attack, rows in lab.rows_of(of_network, kind="singular vector").groupby("attack", sort=False):
            size = rows["relative_norm"].max()
            bound = highest_of_chance(of_network[of_network["is_null"] & (of_network["relative_norm"] == size)])
            lower = lab.rows_of(rows, chosen=True, relative_norm=size)
            for _, row in lower[lower["index"] > 1].iterrows():
                name = f"{network}, {attack}, vector {row['index']:g}"
                yield claim("lower_vectors_attack", name, estimate(row, ERROR), ">", bound, training=training(network))


def figure(run: Run) -> Figure:
    """Error under vectors 1 to k at the largest norm, with the band of random directions, a panel a network."""
    size = run.rows["relative_norm"].max()
    networks = [(name, lab.rows_of(rows, relative_norm=size)) for name, rows in run.by_network()]
    with style():
        drawn, axes = panels([name for name, _ in networks], height=3.0)
        for ax, (network, of_network) in zip(axes, networks, strict=False):
            chosen = lab.rows_of(of_network, kind="singular vector", chosen=True)
            for attack, rows in chosen.groupby("attack", sort=False):
                rows, shown = rows.sort_values("index"), look(str(attack))
                ax.errorbar(
                    rows["index"],
                    rows["error_rate"],
                    yerr=bounds(rows, *ERROR),
                    color=shown.colour,
                    marker=shown.marker,
                    capsize=3,
                    label=attack,
                )
            for kind, rows in of_network[of_network["is_null"]].groupby("kind", sort=False):
                low, high = rows["error_low"].min(), rows["error_high"].max()
                ax.axhspan(low, high, color=look(str(kind)).colour, alpha=0.2, label=kind)
            ax.set(title=short(network), xlabel="vector", ylim=(0, 1), ylabel=f"error at {size:g} mean norms")
        legend(drawn, axes)
    return drawn
