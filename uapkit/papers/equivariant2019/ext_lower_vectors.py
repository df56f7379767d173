"""Vectors two to five of [equivariant2019]'s matrix as attacks, beside random directions of several subspaces of the images.

How large the images' own subspace is taken is a free choice. So several sizes are drawn from, and a verdict is against the
strongest of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from uapkit import checks, lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.equivariant2019.course import ERROR, IN_DATA, Course
from uapkit.papers.equivariant2019.drawing import bounds
from uapkit.papers.equivariant2019.evidence import estimate
from uapkit.papers.equivariant2019.fooling import highest_of_chance
from uapkit.papers.equivariant2019.setting import QUICK, Attacks, Setting, training
from uapkit.papers.equivariant2019.spectrum import DATA_ENERGY, leading

WHOLE, STRONGEST = "all of space", "strongest"


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
    energies: Sequence[float] = (0.9, 0.99),
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Vectors 1 to k of [equivariant2019]'s matrix as attacks: its Theorem 1 speaks of any eigenvector.

    Columns as in fig5_fooling; index: which vector, at the sign that is better on fitted images; share: of the squared
    singular values that it holds. No scored image was fitted on. Random directions have their better sign, too, and are
    scored at the largest norm, the one judged: ``n_random`` of all of space, and as many of each of the images' principal
    subspaces, of so many ``dimensions`` that they hold a share ``energy`` of the images' squares. ValueError for energies
    outside (0, 0.99].
    """
    for energy in energies:
        checks.in_range(energy, 0, DATA_ENERGY, "share of the images' energy in energies", open_low=True)
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
        along = Course(setting, model, total, total - n_fit, [max([*norms, small])], small)
        found = along.random(n_random, nulls.RANDOM_DIRECTION, n_random)[0]
        inside = [along.random(n_random, IN_DATA, n_random, energy)[0] for energy in energies]
        return found + [row for rows in inside for row in rows]

    parts = [setting.table(setting.points(models, attack=attacks), vectors, "lower vectors")]
    parts.append(setting.table(setting.points(models), null, "random directions"))
    return lab.joined(parts)


def chances(of_network: pd.DataFrame) -> dict[str, float]:
    """{null: error that 97.5 % of its draws stay below} at the norm judged, the largest, of one network; last the strongest."""
    null = of_network[of_network["is_null"] & (of_network["relative_norm"] == of_network["relative_norm"].max())]
    found = {_named(energy): highest_of_chance(rows) for energy, rows in null.groupby("energy", dropna=False)}
    return {**found, STRONGEST: max(found.values())}


def _named(energy: float) -> str:
    """A null by the share of the images' energy that its subspace holds."""
    return f"{100 * energy:g} %" if energy == energy else WHOLE


def judged(of_network: pd.DataFrame) -> pd.DataFrame:
    """One network's singular vectors at their chosen sign and at the norm judged, the largest."""
    vectors = lab.rows_of(of_network, kind="singular vector", chosen=True)
    return lab.rows_of(vectors, relative_norm=vectors["relative_norm"].max())


def strength(run: Run) -> pd.DataFrame:
    """A row a network, a column a null: :func:`chances`."""
    return pd.DataFrame([{"network": name, **chances(rows)} for name, rows in run.by_network()])


def above(run: Run, *, first: bool = False) -> pd.DataFrame:
    """A row a network, a column a null: how many of vectors 2 to k (or of the first ones) lie above it with their whole interval.

    ``of`` is how many there are; the last row is the sum.
    """
    counted = []
    for name, rows in run.by_network():
        vectors = judged(rows)
        low = vectors.loc[(vectors["index"] == 1) == first, "error_low"]
        counted.append({"network": name, "of": len(low)} | {k: int((low > v).sum()) for k, v in chances(rows).items()})
    found = pd.DataFrame(counted)
    total = {"network": "all networks", **found.drop(columns="network").sum()}
    return pd.concat([found, pd.DataFrame([total])], ignore_index=True)


def words(run: Run) -> str:
    """What each null does, and how many vectors lie above it, for the page: those from the second on, then the first ones."""
    null = run.rows[run.rows["is_null"] & (run.rows["relative_norm"] == run.rows["relative_norm"].max())]
    done, told = [], {}
    for energy, rows in null.groupby("energy", dropna=False):
        named = _named(energy)
        told[named] = named if named == WHOLE else f"the {named} subspace"
        size = "" if named == WHOLE else f" ({rows['dimensions'].max():.0f} dimensions)"
        means = 100 * rows.groupby("model")["error_rate"].mean()
        done.append(f"{means.min():.0f} to {means.max():.0f} % in {told[named]}{size}")
    found = [f"This share of the images the mean random direction misclassifies, by network: {_listed(done)}."]
    for first, called in ((False, "vectors from the second on"), (True, "first vectors")):
        every = above(run, first=first).iloc[-1]
        counts = [f"{every[null]} lie above the null of {which}" for null, which in told.items()]
        counts.append(f"{every[STRONGEST]} above the strongest of their network")
        found.append(f"Of the {every['of']} {called}, {_listed(counts)}.")
    return " ".join(found)


def _listed(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def claims(run: Run) -> Iterator[Claim]:
    """Each of the vectors 2 to k errs more than random directions of equal norm, at their better signs, of any subspace do."""
    for network, of_network in run.by_network():
        bound = chances(of_network)[STRONGEST]
        vectors = judged(of_network)
        for _, row in vectors[vectors["index"] > 1].iterrows():
            name = f"{network}, {row['attack']}, vector {row['index']:g}"
            yield claim("lower_vectors_attack", name, estimate(row, ERROR), ">", bound, training=training(network))


def figure(run: Run) -> Figure:
    """Error under vectors 1 to k at the largest norm; to their right every random draw by its subspace; the line to beat."""
    size = run.rows["relative_norm"].max()
    with style():
        networks = list(run.by_network())
        drawn, axes = panels([name for name, _ in networks], height=3.0)
        for ax, (network, of_network) in zip(axes, networks, strict=False):
            for attack, rows in judged(of_network).groupby("attack", sort=False):
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
            _draws(ax, lab.rows_of(of_network, relative_norm=size), int(of_network["index"].max()))
            ax.set(title=short(network), ylim=(0, 1), ylabel=f"error at {size:g} mean norms")
            ax.set_xlabel("vector; draws, by their subspace's energy", fontsize=9)
        legend(drawn, axes, 2)
    return drawn


def _draws(ax: plt.Axes, rows: pd.DataFrame, k: int) -> None:
    """Every draw of the nulls right of vector k, a place a subspace, and the strongest null's 97.5 % quantile as a line."""
    groups = list(rows[rows["is_null"]].groupby("energy", dropna=False))
    for place, (_, draws) in enumerate(groups, k + 1):
        kind = draws["kind"].iloc[0]
        shown = look(kind)
        ax.plot([place] * len(draws), draws["error_rate"], "_", color=shown.colour, alpha=0.6, label=kind)
    shown = look(IN_DATA)
    ax.axhline(chances(rows)[STRONGEST], color=shown.colour, linestyle=shown.line, label="97.5 % of the strongest null")
    names = [_named(energy).replace(WHOLE, "all") for energy, _ in groups]
    ax.set_xticks(range(1, k + 1 + len(groups)), [*map(str, range(1, k + 1)), *names], fontsize=8)
