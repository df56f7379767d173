"""Singular vectors against UAP ([moosavi2017], Algorithm 1) for equal numbers of images, as [khrulkov2018] compares them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import attacks, lab
from uapkit.attacks import Perturbation
from uapkit.lab import Claim, Run, beside, claim, nulls
from uapkit.models import Model
from uapkit.papers.khrulkov2018.drawing import curves
from uapkit.papers.khrulkov2018.setting import Layer, Setting

FULL = "UAP, full length"


def run(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    layer: Layer = None,
    n_images: Sequence[int] = (8, 16, 32),
    data: str = "digits",
    n_fit: int = 32,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    target_rate: float = 0.8,
    max_passes: int = 3,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The comparison of [khrulkov2018] with UAP ([moosavi2017], Algorithm 1) for equal numbers of images.

    One row a (model, n_images, kind), kind "singular vector" or "UAP", both fitted on the first n_images of ``n_fit``:
    fooling_rate (low, high, n) on scored images, rate_on_fit, seconds of the method itself, on one clock. For UAP:
    end says why it stopped, passes how many were made. UAP has no free sign, so none is chosen. Kind "UAP, full length", ours:
    the signs of UAP's vector at the full radius, since the singular vector always fills the cube and UAP's rarely does;
    l2_norm: length, 0 to 255. Nulls: "random signs",
    one row a draw, and "untrained network" (the singular vector of all n_fit).
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, layer, n_random=n_random)

    def singular(model: str, layer: str, n_images: int) -> tuple[list[dict], dict]:
        given = {"layer": layer, "p": p, "q": q, "eps": eps, "max_iter": max_iter, "seed": seed}
        fit = bench.split(model).fit.x[:n_images]
        made, seconds = lab.keep(timed, attacks.singular_uap, bench.network(model), fit, **given)
        score, v, flags = setting.scored(model, made.v)
        row = {
            "kind": "singular vector",
            "seconds": seconds,
            "rate_on_fit": _rate_on_fit(bench, model, v, n_images),
            **score,
        }
        return [row], {f"fooled/{model}/{n_images}/singular vector": flags.cpu().numpy()}

    def moosavi(model: str, layer: str, n_images: int) -> tuple[list[dict], dict]:
        given = {"eps": eps, "target_rate": target_rate, "max_passes": max_passes, "seed": seed}
        fit = bench.split(model).fit.x[:n_images]
        made, seconds = lab.keep(timed, attacks.uap, bench.network(model), fit, **given)
        about = {"seconds": seconds, "end": made.made_by["end"], "passes": made.made_by["n_passes"]}
        rows, arrays = [], {}
        for kind, v in (("UAP", made.v), (FULL, made.eps * made.v.sign())):
            flags = bench.fooled(model, v)
            on_fit, length = _rate_on_fit(bench, model, v, n_images), 255 * float(v.double().norm())
            rows.append({"kind": kind, **about, "l2_norm": length, "rate_on_fit": on_fit, **lab.rate(flags)})
            arrays[f"fooled/{model}/{n_images}/{kind}"] = flags.cpu().numpy()
        return rows, arrays

    parts = []
    for network in bench.names(models):
        at = {"model": network, "layer": setting.choose(network)}
        points = [at | {"n_images": n} for n in n_images if n <= n_fit]
        parts.append(lab.sweep(points, singular, desc=f"{network}: singular vectors"))
        parts.append(lab.sweep(points, moosavi, desc=f"{network}: UAP"))
        parts.append(setting.nulls(network, at["layer"]))
    return bench.told(lab.joined(parts))


def timed(attack: Callable[..., Perturbation], model: Model, x: Tensor, **given: Any) -> tuple[Perturbation, float]:
    """What an attack makes, and the seconds that it took."""
    started = time.perf_counter()
    made = attack(model, x, **given)
    return made, time.perf_counter() - started


def _rate_on_fit(bench: lab.Bench, network: str, v: Tensor, n: int) -> float:
    return float(bench.fooled(network, v, "fit")[:n].float().mean())


def claims(run: Run, patterns: Run | None = None) -> Iterator[Claim]:
    """Singular vector minus UAP on the same scored images, at the smallest number of images.

    The null is what random signs have over UAP, or what the strongest pattern of ``patterns`` (a run of ``ext_patterns``) has
    over it, whichever is more. "beats_uap_at_full_length": the same with UAP at full length, for every number of images.
    """
    drawn = beside.strongest_patterns(run, patterns)
    for network, rows in run.by_network():
        random = np.stack(run.all_flags("fooled", network, nulls.RANDOM_SIGNS))
        counts = sorted({int(n) for n in rows["n_images"].dropna()})
        against = [
            ("beats_uap_at_few_images", "UAP", counts[0]),
            *(("beats_uap_at_full_length", FULL, n) for n in counts),
        ]
        for one, kind, n in against:
            if kind not in set(rows["kind"]):
                continue
            own, other = (run.flags("fooled", network, n, of) for of in ("singular vector", kind))
            noise, name = lab.paired(random, other), f"{network} ({n} images)"
            strongest = beside.strongest((nulls.RANDOM_SIGNS, noise), beside.lead(drawn.get(network), other))
            yield claim(one, name, lab.paired(own, other), ">", 0.0, null=strongest)
            if kind == "UAP":
                yield claim("random_signs_beat_uap", name, noise, ">", 0.0)


def against_patterns(run: Run, patterns: Run | None) -> pd.DataFrame:
    """Each method and number of images beside the strongest pattern, see :func:`uapkit.lab.beside.compared`."""
    rated = []
    for r in run.measured.to_dict("records"):
        about = {"model": r["model"], "kind": r["kind"], "n_images": int(r["n_images"])}
        rated.append((about, run.flags("fooled", r["model"], about["n_images"], r["kind"])))
    return beside.against_patterns(run, patterns, rated)


def figure(run: Run, patterns: Run | None = None) -> Figure:
    """Fooling rate against the number of images, both methods, a panel a network, beside both nulls.

    patterns: a run of ``ext_patterns``, whose strongest pattern stands beside those of the same networks and images.
    """
    return curves(run, "n_images", beside=beside.strongest_patterns(run, patterns))
