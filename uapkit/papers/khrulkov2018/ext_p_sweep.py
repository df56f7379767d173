"""Fooling rate against p, which [khrulkov2018] fixes at infinity; ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit import checks, lab
from uapkit.figures import pictures
from uapkit.lab import Claim, Run, beside, claim
from uapkit.papers.khrulkov2018.drawing import curves
from uapkit.papers.khrulkov2018.ext_patterns import marks
from uapkit.papers.khrulkov2018.setting import Layer, Setting, value_of


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    ps: Sequence[float] = (1.5, 2.0, 3.0, 5.0, 10.0, math.inf),
    norms: Sequence[float] = (math.inf, 2.0),
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Fooling rate against p, which [khrulkov2018] fixes at infinity; ours.

    One row a (model, p, norm) of kind "singular vector": the (p, q)-singular vector at one layer, scaled to the same
    ``norm``: the largest pixel is eps (norm inf), or the length is that of signs times eps, eps sqrt(d) (norm 2).
    peak: the largest pixel. Nulls of the same two sizes: "random signs" (equal in both norms), "untrained network"
    (p = inf, likewise). Vectors of norm 2 as ``v/<model>/p = <p>`` in ``attrs["arrays"]``.
    """
    for name, values in (("ps", ps), ("norms", norms)):
        for value in checks.some(values, name):
            checks.exponent(value, f"each of {name}")
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, math.inf, q, eps, max_iter, seed, layer, n_random=n_random)

    def attack(model: str, layer: str, p: float) -> tuple[list[dict], dict]:
        made = setting.vector(model, layer, p=p)
        rows: list[dict] = []
        arrays: dict[str, np.ndarray] = {}
        for norm in norms:
            size = eps if norm == math.inf else eps * made.v.numel() ** (1 / norm)
            score, v, flags = setting.scored(model, replace(made, norm=norm).scaled(size).v)
            row = {
                "kind": "singular vector",
                "norm": norm,
                "singular_value": value_of(made),
                "converged": made.made_by["converged"],
                "peak": float(v.abs().max()),
                **score,
            }
            rows.append(row)
            arrays[f"fooled/{model}/{p:g}/{norm:g}"] = flags.cpu().numpy()
            if norm == 2:
                arrays[f"v/{model}/p = {p:g}"] = v.cpu().numpy()
        return rows, arrays

    parts = []
    for network in bench.names(models):
        chosen = setting.choose(network)
        points = [{"model": network, "layer": chosen, "p": p} for p in ps]
        parts += [lab.sweep(points, attack, desc=f"{network}: p"), setting.nulls(network, chosen)]
    return bench.told(lab.joined(parts))


def claims(run: Run) -> Iterator[Claim]:
    """P = inf against the best other p on held-in images, at an equal largest pixel and at an equal length."""
    for network, rows in run.by_network():
        for norm, name in ((math.inf, "p_inf_is_best"), (2.0, "p_inf_is_best_at_equal_length")):
            part = lab.rows_of(rows, kind="singular vector", norm=norm)
            rates = dict(zip(part["p"], part["held_in_rate"], strict=True))
            others = [p for p in rates if p < math.inf]
            if math.inf in rates and others:
                best = max(others, key=lambda p: rates[p])
                own, other = (run.flags("fooled", network, f"{p:g}", f"{norm:g}") for p in (math.inf, best))
                yield claim(name, f"{network} (p = {best:g})", lab.paired(own, other), ">", 0.0)


def against_patterns(run: Run, patterns: Run | None) -> pd.DataFrame:
    """Each p's vector in both sizes beside the strongest pattern that needs no gradient, see :func:`uapkit.lab.beside.compared`."""
    rated = []
    for r in run.measured.to_dict("records"):
        about = {"model": r["model"], "p": r["p"], "norm": r["norm"]}
        rated.append((about, run.flags("fooled", r["model"], f"{r['p']:g}", f"{r['norm']:g}")))
    return beside.against_patterns(run, patterns, rated)


def figure(run: Run, patterns: Run | None = None) -> Figure:
    """Fooling rate against p at an equal largest pixel and at an equal length, a panel a network.

    patterns: a run of ``ext_patterns``, whose strongest pattern stands beside those of the same networks and images. A pattern
    is as long as signs, so it is of both sizes.
    """
    return curves(
        run,
        "p",
        by="norm",
        beside=beside.strongest_patterns(run, patterns),
        marks=marks(run, patterns, math.inf, "inf", "inf"),
    )


def gallery(run: Run) -> Figure:
    """The vectors for several p as pictures, contrast stretched, a line a network."""
    return pictures.gallery(run.arrays)
