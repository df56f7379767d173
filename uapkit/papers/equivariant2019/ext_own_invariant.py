"""Is an image's attack direction orthogonal to its own invariant direction? And do the three attacks agree on one vector?"""

from __future__ import annotations

import itertools
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
from uapkit.intervals import Interval, mean_interval, paired_difference
from uapkit.lab import Claim, Run, claim
from uapkit.papers.equivariant2019.drawing import bounds
from uapkit.papers.equivariant2019.evidence import estimate, groups
from uapkit.papers.equivariant2019.setting import IN_DATA, QUICK, SHUFFLED, Attacks, Setting, central, training
from uapkit.papers.equivariant2019.spectrum import jackknife, leading, moments, top
from uapkit.seeds import generator

OWN, OTHERS = "own invariant direction", "another image's invariant direction"


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    step: float = 2.0,
    n_fit: int | None = 200,
    n_random: int = 20,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Attack directions of [equivariant2019] image by image against the image's own invariant direction, and attack by attack.

    One row a (model, attack, kind): kind "own invariant direction", mean_cos the mean |cos| between an image's attack
    direction and the difference to the image turned by ``step`` degrees more, with Student's interval over images; its
    nulls: the same between different images, the pairs shuffled ``n_random`` times (difference: own minus shuffled, paired
    over images), and random directions in the images' own subspace. Kind "agreement", a row a pair of attacks: mean_cos
    is |<v, w>| of their top singular vectors, with a jackknife interval; kind "agreement by chance": of v with random
    directions in the images' subspace.
    """
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    n = setting.count(n_fit)

    def pairs(model: str, attack: str) -> list[dict]:
        setting.network(model)  # first of all: a network that is not here costs nothing
        rows, invariant = setting.rows(model, attack, n), setting.invariant(n, step)
        inside = setting.random_rows(IN_DATA, n)
        return [{**row, "n_fit": n} for row in lab.keep(against_own, rows, invariant, inside, n_random, seed)]

    def agreement(model: str) -> list[dict]:
        setting.network(model)
        wanted = list(dict.fromkeys(p["attack"] for p in setting.points([model], attack=attacks)))
        directions = {attack: setting.rows(model, attack, n) for attack in wanted}
        draws = setting.random_rows(IN_DATA, max(100, n_random), of=n)
        found = []
        for one, other in itertools.combinations(wanted, 2):
            names = {"attack": f"{one} and {other}", "n_fit": n}
            found += [{**names, **row} for row in lab.keep(agreeing, directions[one], directions[other], draws)]
        return found

    parts = [setting.table(setting.points(models, attack=attacks), pairs, "pairs")]
    parts.append(setting.table(setting.points(models), agreement, "agreement"))
    table = lab.joined(parts)
    table["is_null"] = table["kind"].isin([OTHERS, IN_DATA, "agreement by chance"]) if "kind" in table else False
    return table


def against_own(rows: Tensor, invariant: Tensor, inside: Tensor, n_random: int, seed: int) -> list[dict[str, Any]]:
    """Mean |cos| of each image's attack direction with its own, with others', and of random directions with its own."""
    used = rows.any(1) & invariant.any(1)
    a, u, r = (part[used].double() for part in (rows, invariant, inside))
    own = (a * u).sum(1).abs()
    orders = [torch.randperm(len(u), generator=generator(seed, f"{SHUFFLED} pairs/{j}")) for j in range(n_random)]
    others = torch.stack([(a * u[order]).sum(1).abs() for order in orders])
    gap = paired_difference(own, others.mean(0))
    about = {"kind": OWN, **mean_interval(own).columns("mean_cos")}
    about |= {"difference": gap.value, "difference_low": gap.low, "difference_high": gap.high, "n": len(own)}
    shuffled = {"kind": OTHERS, **central("mean_cos", others.mean(1).tolist()), "n": len(own)}
    return [about, shuffled, {"kind": IN_DATA, **mean_interval((r * u).sum(1).abs()).columns("mean_cos")}]


def agreeing(a: Tensor, b: Tensor, draws: Tensor) -> list[dict[str, Any]]:
    """|cos| of the top singular vectors of two sets of directions of the same images; and of the first with random draws."""

    def cosine(one: Tensor, other: Tensor) -> np.ndarray:
        return np.abs(top(one, 1)[1][:, 0] @ top(other, 1)[1][:, :1])

    value, low, high, _ = jackknife(cosine, moments(a), moments(b))
    ours = {"kind": "agreement", "mean_cos": float(value[0]), "low": float(low[0]), "high": float(high.clip(max=1)[0])}
    chance = np.abs(draws.double().numpy() @ leading(a, 1)[1][:, 0])
    return [ours | {"n": len(a)}, {"kind": "agreement by chance", **central("mean_cos", chance.tolist()), "n": len(a)}]


def claims(run: Run) -> Iterator[Claim]:
    """Own pairs are more orthogonal than shuffled ones, and than random directions; attacks agree on the first vector."""
    columns = ("mean_cos", "low", "high")
    for name, rows in groups(run, ["model", "attack"]):
        how, own = training(rows["model"].iloc[0]), lab.rows_of(rows, kind=OWN)
        if len(own):
            row = own.iloc[0]
            gap = Interval(row["difference"], int(row["n"]), row["difference_low"], row["difference_high"])
            yield claim("avoids_own_invariant_direction", name, gap, "<", 0.0, training=how)
            chance = float(lab.rows_of(rows, kind=IN_DATA)["low"].iloc[0])
            yield claim("avoids_it_beyond_random_in_data", name, estimate(row, columns), "<", chance, training=how)
        for _, row in lab.rows_of(rows, kind="agreement").iterrows():
            null = estimate(lab.rows_of(rows, kind="agreement by chance").iloc[0], columns)
            yield claim("attacks_agree", name, estimate(row, columns), ">", 0.5, null=null, training=how)


def figure(run: Run) -> Figure:
    """Mean |cos| with intervals, above against the own invariant direction with its nulls, below between attacks."""
    own = run.rows[~run.rows["kind"].str.startswith("agreement")]
    between = run.rows[run.rows["kind"].str.startswith("agreement")]
    titles = ("attack direction against invariant direction", "first vectors of two attacks")
    with style():
        drawn, axes = panels(titles, columns=1, height=3.4, width=7.6)
        for ax, title, rows in zip(axes, titles, (own, between), strict=True):
            places = list(dict.fromkeys(zip(rows["model"], rows["attack"], strict=True)))
            for j, (kind, here) in enumerate(rows.groupby("kind", sort=False)):
                at = [places.index(p) + 0.15 * (j - 1) for p in zip(here["model"], here["attack"], strict=True)]
                name = {OWN: "trained", OTHERS: "shuffled pixels", "agreement": "trained"}.get(str(kind), IN_DATA)
                ax.errorbar(
                    at,
                    here["mean_cos"],
                    yerr=bounds(here, "mean_cos"),
                    fmt=look(name).marker,
                    color=look(name).colour,
                    markersize=4,
                    capsize=2,
                    label=kind,
                )
            words = [f"{short(m)}, {a}" for m, a in places]
            ax.set(title=title, ylabel="mean |cos|", ylim=(0, None), xticks=range(len(places)))
            ax.set_xticklabels(words, rotation=60, ha="right", fontsize=8)
            legend(drawn, [ax])
    return drawn
