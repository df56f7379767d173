"""Convergence of the power method of [khrulkov2018]: the singular value over the iterations, from several starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from uapkit import attacks, lab
from uapkit.attacks import Perturbation
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, beside, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.models import Model
from uapkit.operators import LayerJacobians
from uapkit.papers.khrulkov2018.setting import Setting
from uapkit.seeds import child_seed

FEW = 5  # iterations that are called few
USUAL = 15  # iterations of the released example


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 5.0,
    eps: float = 0.2,
    max_iter: PerNetwork = USUAL,
    n_seeds: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Convergence of the power method of [khrulkov2018]: the singular value over the iterations, from several starts.

    One row a (model, layer, kind, start, iteration): singular_value, share of that start's last value; iteration 0 is
    the random start itself. kind "trained", or "untrained network" for a copy with fresh weights. For the trained
    network's iterations 5, 15 and last: fooling_rate, low, high of the vector as it is then. cosine: with the first start's
    last vector, at the last iteration. q = 5 and 15 iterations are those of the paper's released example; max_iter: for all
    networks, or by network. Flags as ``fooled/<model>/<layer>/<start>/``, then "few", "usual" (15) and "last".
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, seed=seed)

    def starts(model: str, layer: str) -> tuple[list[dict], dict]:
        rows, arrays, first = [], {}, None
        net, fit, most = bench.network(model), bench.split(model).fit.x, for_network(max_iter, model, "max_iter")
        given: dict[str, Any] = {
            "p": p,
            "q": q,
            "eps": eps,
            "max_iter": most,
            "recorded": setting.jacobians(model, layer),
        }
        for k in range(n_seeds):
            start = child_seed(seed, f"start {k}")
            early, usual, last = lab.keep(stages, net, fit, layer=layer, at=(FEW, USUAL), seed=start, **given)
            first = last.v if first is None else first
            lines = _trace("trained", k, last)
            for words, made in {"few": early, "usual": usual, "last": last}.items():
                if words != "last" and made.made_by["n_iter"] == last.made_by["n_iter"]:
                    continue  # it is the last one
                score, _, flags = setting.scored(model, made.v)
                lines[made.made_by["n_iter"]] |= score
                arrays[f"fooled/{model}/{layer}/{k}/{words}"] = flags.cpu().numpy()
            lines[-1]["cosine"] = _cosine(last.v, first)
            rows += lines
        rows += _trace(nulls.UNTRAINED, 0, setting.vector(model, layer, untrained=True, max_iter=most))
        return rows, arrays

    parts = []
    for network in bench.names(models):
        parts.append(lab.sweep(setting.layers(network, layers, count=2), starts, desc=f"{network}: starts"))
    return bench.told(lab.joined(parts))


def stages(
    model: Model,
    x: Tensor,
    *,
    layer: str,
    at: Sequence[int],
    p: float,
    q: float,
    eps: float,
    max_iter: int,
    seed: int,
    recorded: LayerJacobians,
) -> list[Perturbation]:
    """One run of :func:`uapkit.attacks.singular_uap`: its vector after each of ``at`` iterations, and at the end.

    One that ended before has its last vector there. Source of the method: [khrulkov2018], Algorithm 3.
    """
    seen: dict[int, tuple[int, Tensor, float]] = {}

    def note(k: int, v: Tensor, value: float) -> None:
        seen.update({most: (k, v.clone(), value) for most in at if k <= most})

    given: dict[str, Any] = {"p": p, "q": q, "eps": eps, "max_iter": max_iter, "seed": seed}
    last = attacks.singular_uap(model, x, layer=layer, recorded=recorded, callback=note, **given)
    found = []
    for most in at:
        k, v, value = seen[most]
        made_by = last.made_by | {"singular_value": value, "n_iter": k}
        early = replace(last, v=v.view(x.shape[1:]), made_by=made_by, history=last.history[:k])
        found.append(early.scaled(eps))
    return [*found, last]


def _trace(kind: str, start: int, made: Perturbation) -> list[dict]:
    """A row for each iteration of an attack, its start included."""
    values = (made.made_by["start_value"], *made.history)
    return [
        {"kind": kind, "start": start, "iteration": k, "singular_value": value, "share": value / values[-1]}
        for k, value in enumerate(values)
    ]


def _cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.double().flatten(), b.double().flatten()
    return float(a @ b / (a.norm() * b.norm()))


def claims(run: Run) -> Iterator[Claim]:
    """After 5 iterations: the share of the last value (mean over layers and starts), and what the rate still gains after them."""
    for network, rows in run.by_network():
        rows = lab.rows_of(rows, kind="trained")
        few, start = (rows[rows["iteration"] <= k].groupby(["layer", "start"])["share"].last() for k in (FEW, 0))
        if len(few):
            yield claim("few_iterations_suffice", network, lab.mean_of(few), ">", 0.9, null=lab.mean_of(start))
        ends = [name.rpartition("/")[0] for name in run.arrays if name.startswith(f"fooled/{network}/")]
        both = [name for name in dict.fromkeys(ends) if f"{name}/few" in run.arrays and f"{name}/last" in run.arrays]
        if both:
            last, early = ([run.flags(name, when) for name in both] for when in ("last", "few"))
            yield claim("rate_is_there_after_few", network, lab.paired_draws(last, early), "<", 0.02)


def against_patterns(run: Run, patterns: Run | None) -> pd.DataFrame:
    """The last vectors of each layer, all starts, beside the strongest pattern, see :func:`uapkit.lab.beside.compared`."""
    rated = []
    for (network, layer), rows in lab.rows_of(run.rows, kind="trained").groupby(["model", "layer"], sort=False):
        last = [run.flags("fooled", network, layer, k, "last") for k in sorted(set(rows["start"].astype(int)))]
        rated.append(({"model": network, "layer": layer}, np.stack(last)))
    return beside.against_patterns(run, patterns, rated)


@of_a_run
def figure(run: Run, published: Sequence[float] = ()) -> Figure:
    """Share of the last singular value over the iterations, a panel a (network, layer), beside the published trace."""
    groups = list(run.rows.groupby(["model", "layer"], sort=False))
    with style():
        drawn, axes = panels([f"{network} {layer}" for (network, layer), _ in groups])
        for ax, ((network, layer), rows) in zip(axes, groups, strict=False):
            for (kind, _), part in rows.groupby(["kind", "start"], sort=False):
                colour, marker, line = look(kind)
                name = "this network, one line a start" if kind == "trained" else "untrained copy"
                given: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line, "ms": 3, "alpha": 0.7}
                ax.plot(part["iteration"], part["share"], label=name, **given)
            if published:
                share, shown = np.asarray(published) / published[-1], look("published")
                places = range(1, len(share) + 1)
                label = "published: VGG-19 block2_pool"
                ax.plot(places, share, color=shown.colour, marker=shown.marker, ms=4, linestyle="--", label=label)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set_title(f"{short(network)}\n{layer}", fontsize=9)
            ax.set(xlabel="iteration", ylabel="share of last value", ylim=(0, 1.05))
        legend(drawn, axes)
    return drawn
