"""Running time of the power method of [khrulkov2018]: seconds against batch size and number of iterations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.stats import linregress
from scipy.stats import t as student
from torch import Tensor

from uapkit import lab
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look_of_network, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.models import Model
from uapkit.norms import dual_exponent, psi
from uapkit.operators import JacobianOperator
from uapkit.papers.khrulkov2018.setting import Layer, Setting
from uapkit.seeds import generator

VARIED = ("batch_size", "iterations")


def run(
    *,
    models: Sequence[Any] = ("vgg_digits",),
    layer: Layer = None,
    batch_sizes: Sequence[int] = (16, 32, 64, 128),
    iterations: Sequence[int] = (2, 4, 8, 16),
    n_repeat: int = 3,
    data: str = "digits",
    n_fit: int = 128,
    n_select: int = 64,
    p: float = math.inf,
    q: float = 10.0,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Running time of the power method of [khrulkov2018]: seconds against batch size and number of iterations.

    One row a (model, varied, batch_size, iterations): varied "batch_size" (at the most iterations) or "iterations" (at
    the largest batch); record_seconds for the linearisation, made once; seconds for the iterations, the fastest of
    ``n_repeat``; per_iteration_and_image. forward_seconds: one pass of the same images through the same layers, the
    yardstick that makes machines comparable. layer: None takes the best on held-in images.
    """
    bench = lab.Bench(data, n_fit, n_select, 1, seed, device)
    setting = Setting(bench, p, q, 0.2, max(iterations), seed, layer)

    def timed(model: str, layer: str, varied: str, batch_size: int, iterations: int) -> list[dict]:
        net, images = bench.network(model), bench.split(model).fit.x[:batch_size]
        given: dict[str, Any] = {
            "layer": layer,
            "iterations": iterations,
            "n_repeat": n_repeat,
            "p": p,
            "q": q,
            "seed": seed,
        }
        row = lab.keep(seconds_of, net, images, **given)
        return [row | {"per_iteration_and_image": row["seconds"] / (iterations * batch_size), "n": n_repeat}]

    parts = []
    for network in bench.names(models):
        at = {"model": network, "layer": setting.choose(network)}
        sizes = [b for b in batch_sizes if b <= n_fit]
        if not sizes:
            raise ValueError(
                f"batch_sizes must hold a size of at most n_fit = {n_fit}, got {list(batch_sizes)}; raise n_fit"
            )
        points = [at | {"varied": "batch_size", "batch_size": b, "iterations": max(iterations)} for b in sizes]
        points += [at | {"varied": "iterations", "batch_size": max(sizes), "iterations": k} for k in iterations]
        parts.append(lab.sweep(points, timed, desc=f"{network}: seconds"))
    return bench.told(lab.joined(parts))


def seconds_of(
    model: Model, x: Tensor, *, layer: str, iterations: int, n_repeat: int, p: float, q: float, seed: int
) -> dict[str, float]:
    """record_seconds, seconds of the iterations, forward_seconds; the last two the fastest of ``n_repeat``."""
    respond = model.until(layer)
    started = time.perf_counter()
    operator = JacobianOperator(respond, x)
    recorded = time.perf_counter() - started
    start = (torch.rand(operator.shape[1], generator=generator(seed, "start_vector")) - 0.5).to(x)

    def iterate() -> None:
        v = start
        for _ in range(iterations):  # by hand: no stopping rule, exactly this many iterations are on the clock
            g = operator.rmatvec(psi(operator.matvec(v), q, scaled=True))
            v = psi(g, dual_exponent(p), scaled=True)

    seconds = _fastest(iterate, n_repeat, x.device)
    with torch.no_grad():
        forward = _fastest(lambda: respond(x), n_repeat, x.device)
    return {"record_seconds": recorded, "seconds": seconds, "forward_seconds": forward}


def _fastest(work: Callable[[], object], n_repeat: int, device: torch.device) -> float:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    times = []
    for _ in range(n_repeat):
        wait()
        started = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - started)
    return min(times)


def claims(run: Run) -> Iterator[Claim]:
    """Slope of log seconds over log size, 1 if linear, with its 95 % interval: it lies between 0.75 and 1.25."""
    for network, rows in run.by_network():
        for varied in VARIED:
            part = lab.rows_of(rows, varied=varied)
            if len(part) >= 3:
                found = _slope(part[varied].astype(float), part["seconds"])
                yield claim("linear_in_batch_and_iterations", f"{network}: {varied}", found, ">", 0.75)
                yield claim("linear_in_batch_and_iterations", f"{network}: {varied}", found, "<", 1.25)


def _slope(size: pd.Series, seconds: pd.Series) -> Interval:
    fit = linregress(np.log(size), np.log(seconds))
    half = float(student.ppf(0.975, len(size) - 2) * fit.stderr)
    return Interval(float(fit.slope), len(size), float(fit.slope) - half, float(fit.slope) + half)


@of_a_run
def figure(run: Run) -> Figure:
    """Seconds against batch size and against iterations, double logarithmic, beside lines of slope one."""
    with style():
        drawn, axes = panels(VARIED, height=3.2)
        for ax, varied in zip(axes, VARIED, strict=True):
            for network, rows in run.where(varied=varied).groupby("model", sort=False):
                shown = look_of_network(str(network))
                given: dict[str, Any] = {"marker": shown.marker, "color": shown.colour, "label": short(str(network))}
                ax.loglog(rows[varied], rows["seconds"], **given)
                line = rows["seconds"].iloc[-1] * rows[varied] / rows[varied].iloc[-1]
                ax.loglog(rows[varied], line, ":", color=shown.colour)
            ticks = sorted(set(run.where(varied=varied)[varied]))
            ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.set(xlabel=varied.replace("_", " "), ylabel="seconds (dotted: slope one)")
        legend(drawn, axes)
    return drawn
