"""Fooling rate against q, the figure of [khrulkov2018], at one layer of each network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.lab import Claim, Run, beside, claim
from uapkit.papers.khrulkov2018.drawing import curves
from uapkit.papers.khrulkov2018.ext_patterns import marks
from uapkit.papers.khrulkov2018.setting import Layer, Setting, value_of
from uapkit.papers.khrulkov2018.trend import trend


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    qs: Sequence[float] = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, math.inf),
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    eps: float = 0.2,
    max_iter: int = 15,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Fooling rate against q, the figure of [khrulkov2018], at one layer of each network.

    One row a (model, q) of kind "singular vector": layer, singular_value, held_in_rate, fooling_rate (low, high, n).
    Nulls: kind "random signs", one row a draw, and kind "untrained network" (at q = 10). layer: None takes the best at
    q = 10 on held-in images. All q of a network share one linearisation; a finished q is not computed again.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, 10.0, eps, max_iter, seed, layer, n_random=n_random)

    def attack(model: str, layer: str, q: float) -> tuple[list[dict], dict]:
        made = setting.vector(model, layer, q=q)
        score, _, flags = setting.scored(model, made.v)
        row = {
            "kind": "singular vector",
            "singular_value": value_of(made),
            "converged": made.made_by["converged"],
            **score,
        }
        return [row], {f"fooled/{model}/{q:g}": flags.cpu().numpy()}

    parts = []
    for network in bench.names(models):
        chosen = setting.choose(network)
        points = [{"model": network, "layer": chosen, "q": q} for q in qs]
        parts += [lab.sweep(points, attack, desc=f"{network}: q"), setting.nulls(network, chosen)]
    return bench.told(lab.joined(parts))


def claims(run: Run) -> Iterator[Claim]:
    """The trend of the rate over all finite q, and the best inner q against the largest finite one; paired, scored images.

    The best of many q against q = 1 would call a curve rising that falls after its second point. q = inf stands apart: a
    large q is to stand in for it, and it counts one output of one image.
    """
    for network, rows in run.by_network():
        rows = lab.rows_of(rows, kind="singular vector").sort_values("q")
        rates = dict(zip(rows["q"], rows["held_in_rate"], strict=True))
        flags = {q: run.flags("fooled", network, f"{q:g}") for q in rates if q < math.inf}
        inner = [q for q in flags if 1 < q < max(flags)]
        if len(flags) > 1:
            yield claim("rises_with_q", f"{network} (q = {min(flags):g} to {max(flags):g})", trend(flags), ">", 0.0)
        if inner:
            best = max(inner, key=lambda q: rates[q])
            lead = lab.paired(flags[best], flags[max(flags)])
            yield claim("maximum_at_inner_q", f"{network} (q = {best:g})", lead, ">", 0.0)


def against_patterns(run: Run, patterns: Run | None) -> pd.DataFrame:
    """Each q's vector beside the strongest pattern that needs no gradient, see :func:`uapkit.lab.beside.compared`."""
    rows = lab.rows_of(run.rows, kind="singular vector").to_dict("records")
    rated = (({"model": r["model"], "q": r["q"]}, run.flags("fooled", r["model"], f"{r['q']:g}")) for r in rows)
    return beside.against_patterns(run, patterns, rated)


def figure(run: Run, patterns: Run | None = None) -> Figure:
    """Fooling rate against q, a panel a network, beside both nulls.

    patterns: a run of ``ext_patterns``, whose strongest pattern stands beside those of the same networks and images; so does,
    at q = 10, noise with the spectrum of the same vector.
    """
    return curves(run, "q", beside=beside.strongest_patterns(run, patterns), marks=marks(run, patterns, 10.0, "10"))
