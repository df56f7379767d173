"""The baseline that [khrulkov2018] lacks: plain projected gradient ascent on the same objective at equal cost; ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.attacks import Perturbation
from uapkit.lab import Claim, Run, beside, claim
from uapkit.models import Model
from uapkit.norms import psi
from uapkit.operators import LayerJacobians
from uapkit.papers.khrulkov2018.drawing import curves
from uapkit.papers.khrulkov2018.setting import Layer, Setting, response
from uapkit.seeds import generator

ASCENTS = ("gradient ascent", "gradient ascent, no linearisation")


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    steps: Sequence[float] = (0.03, 0.1, 0.3, 1.0, 3.0),
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
    """The baseline that [khrulkov2018] lacks: plain projected gradient ascent on the same objective at equal cost; ours.

    One row a (model, kind, step): kind "power method" (p = inf; step NaN); "gradient ascent" on ||J v||_q over the cube
    |v| <= 1, one product with J and one with its transpose an iteration like the power method, steps of ``step`` times
    the gradient over its mean modulus; "gradient ascent, no linearisation" on ||f(x + eps v) - f(x)||_q itself, one
    forward and one backward pass an iteration (q above 20 counts as 20, which float32 can hold). value: ||J v||_q of
    the result (unit largest entry); fooling_rate (low, high, n); held_in_rate, which the claim's step is chosen by. All
    start at random signs. Nulls as elsewhere.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, math.inf, q, eps, max_iter, seed, layer, n_random=n_random)

    def judged(model: str, layer: str, kind: str, v: Tensor, step: float) -> tuple[list[dict], dict]:
        net, fit, recorded = bench.network(model), bench.split(model).fit.x, setting.jacobians(model, layer)
        value, _ = lab.keep(response, net, fit, v, layer=layer, p=math.inf, q=q, recorded=recorded)
        score, _, flags = setting.scored(model, Perturbation(v, 1.0).scaled(eps).v)
        return [{"kind": kind, "value": value, **score}], {f"fooled/{model}/{kind}/{step:g}": flags.cpu().numpy()}

    def power(model: str, layer: str) -> tuple[list[dict], dict]:
        return judged(model, layer, "power method", setting.vector(model, layer).v, math.nan)

    def ascent(model: str, layer: str, step: float) -> tuple[list[dict], dict]:
        recorded = setting.jacobians(model, layer)
        given: dict[str, Any] = {"layer": layer, "step": step, "q": q, "max_iter": max_iter, "seed": seed}
        v = lab.keep(ascended, bench.network(model), bench.split(model).fit.x, **given, recorded=recorded)
        return judged(model, layer, ASCENTS[0], v, step)

    def true_change(model: str, layer: str, step: float) -> tuple[list[dict], dict]:
        given: dict[str, Any] = {"layer": layer, "step": step, "q": q, "eps": eps, "max_iter": max_iter, "seed": seed}
        v = lab.keep(ascended_without_linearising, bench.network(model), bench.split(model).fit.x, **given)
        return judged(model, layer, ASCENTS[1], v, step)

    parts = []
    for network in bench.names(models):
        at = {"model": network, "layer": setting.choose(network)}
        points = [at | {"step": step} for step in steps]
        parts.append(lab.sweep([at], power, desc=f"{network}: power method"))
        parts.append(lab.sweep(points, ascent, desc=f"{network}: gradient ascent"))
        parts.append(lab.sweep(points, true_change, desc=f"{network}: without linearisation"))
        parts.append(setting.nulls(network, at["layer"]))
    return bench.told(lab.joined(parts))


def ascended(
    model: Model, x: Tensor, *, layer: str, step: float, q: float, max_iter: int, seed: int, recorded: LayerJacobians
) -> Tensor:
    """(c, h, w) in [-1, 1]: gradient ascent on ||J v||_q, J being recorded at x, projected on the cube."""
    operator = recorded.at(layer)
    v = _start(operator.shape[1], seed).to(operator.device, operator.torch_dtype)
    for _ in range(max_iter):
        g = operator.rmatvec(psi(operator.matvec(v), q, scaled=True))
        v = (v + step * g / g.abs().mean()).clamp(-1, 1)
    return v.view(x.shape[1:])


def ascended_without_linearising(
    model: Model, x: Tensor, *, layer: str, step: float, q: float, eps: float, max_iter: int, seed: int
) -> Tensor:
    """(c, h, w) in [-1, 1]: gradient ascent on ||f(x + eps v) - f(x)||_q, f up to the layer, projected on the cube."""
    respond = model.until(layer)
    v = _start(x[0].numel(), seed).to(x).view(x.shape[1:])
    with torch.no_grad():
        clean = [respond(part) for part in x.split(16)]
        now = (respond(part + eps * v) for part in x.split(16))
        scale = max(float((a - b).abs().max()) for a, b in zip(now, clean, strict=True))
    for _ in range(max_iter):
        w, g = v.clone().requires_grad_(), torch.zeros_like(v)
        for part, before in zip(x.split(16), clean, strict=True):
            with torch.enable_grad():
                change = (respond(part + eps * w) - before) / scale
                g += torch.autograd.grad(change.abs().pow(min(q, 20)).sum(), w)[0]
        v = (v + step * g / g.abs().mean()).clamp(-1, 1)
    return v


def _start(d: int, seed: int) -> Tensor:
    """(d,) random signs."""
    uniform = torch.rand(d, generator=generator(seed, "start_vector"), dtype=torch.float64)
    return torch.where(uniform < 0.5, -1.0, 1.0)


def claims(run: Run) -> Iterator[Claim]:
    """Power method minus gradient ascent (its step chosen on held-in images), on the same scored images."""
    for network, rows in run.by_network():
        own = run.flags("fooled", network, "power method", "nan")
        for kind in ASCENTS:
            tried = lab.rows_of(rows, kind=kind)
            if len(tried):
                step = tried.loc[tried["held_in_rate"].idxmax(), "step"]
                difference = lab.paired(own, run.flags("fooled", network, kind, f"{step:g}"))
                yield claim("power_method_beats_ascent", f"{network}: {kind}", difference, ">", 0.0)


def against_patterns(run: Run, patterns: Run | None) -> pd.DataFrame:
    """Each kind and step beside the strongest pattern that needs no gradient, see :func:`uapkit.lab.beside.compared`."""
    rated = []
    for r in run.measured.to_dict("records"):
        about = {"model": r["model"], "kind": r["kind"], "step": r["step"]}
        rated.append((about, run.flags("fooled", r["model"], r["kind"], f"{r['step']:g}")))
    return beside.against_patterns(run, patterns, rated)


def figure(run: Run, patterns: Run | None = None) -> Figure:
    """Fooling rate of gradient ascent against its step, a panel a network, beside the power method and both nulls.

    patterns: a run of ``ext_patterns``, whose strongest pattern stands beside those of the same networks and images.
    """
    return curves(run, "step", beside=beside.strongest_patterns(run, patterns))
