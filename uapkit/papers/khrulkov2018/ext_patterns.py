"""What of a singular vector's effect does its spectrum have, and what has a pattern made from nothing? Ours, on [khrulkov2018]."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import look, short, style, with_intervals
from uapkit.lab import Claim, Run, beside, claim, nulls, patterns
from uapkit.models import Model
from uapkit.norms import lp_norm
from uapkit.operators import JacobianOperator
from uapkit.papers.khrulkov2018.setting import Setting, depth, value_of
from uapkit.seeds import child_seed

OWN, PHASE, RADIAL = "singular vector", "random phase", "random phase, radial"
FAMILIES = beside.PATTERNS
SHOWN = (OWN, PHASE, RADIAL, *FAMILIES, nulls.RANDOM_SIGNS)


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 10,
    n_random: int = 3,
    n_at_best: int = 5,
    periods: Sequence[float] = (4, 8),
    angles: Sequence[float] = (0, 45, 90),
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The singular vectors of [khrulkov2018] beside patterns that need no gradient, at equal norm; ours.

    One row a (model, layer, kind, draw). kind "singular vector": the attack at this layer; "random phase": noise with
    the vector's own two-dimensional spectrum, reduced to signs, ``n_random`` draws, ``n_at_best`` at the layer whose vector
    fools most held-in images; "random phase, radial": the same of its spectrum averaged over directions. Rows without a
    layer: "stripes", "checks", "Perlin noise", "Gabor noise", each at the one setting of a small grid (``periods`` in
    pixels, ``angles`` in degrees) that is best on the held-in images; "random signs". Everything has its better sign on the
    held-in images, the nulls too. fooling_rate, low, high in [0, 1] on ``n`` images that were neither fitted nor chosen on.
    value_share: ||J v||_q over that of the singular vector; converged: whether that one's power method ended before
    ``max_iter``. Flags as ``fooled/<model>/<layer>/<kind>/<draw>``; the vector of the first draw as ``v/<model>/<layer>/<kind>``.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, n_random=n_random)
    strongest: dict[str, list[tuple[str, str, Tensor]]] = {}

    def chosen(model: str) -> list[tuple[str, str, Tensor]]:
        """(family, setting, v) of each family's best on the held-in images."""
        if model not in strongest:
            best: dict[str, tuple[float, patterns.Pattern]] = {}
            for one in patterns.grid(
                bench.shape(model), eps=eps, norm=setting.norm, seed=seed, periods=periods, angles=angles
            ):
                rate = setting.better_sign(model, one.v.to(device))[1]
                if one.family not in best or rate > best[one.family][0]:
                    best[one.family] = rate, one
            strongest[model] = [(family, one.setting, one.v.to(device)) for family, (_, one) in best.items()]
        return strongest[model]

    def scored(model: str, layer: str, kind: str, draw: int, v: Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
        score, v, flags = setting.scored(model, v)
        row = {"kind": kind, "draw": draw, "is_null": kind != OWN, **score}
        arrays = {f"fooled/{model}/{layer}/{kind}/{draw}": flags.cpu().numpy()}
        return row, arrays | ({} if draw else {f"v/{model}/{layer}/{kind}": v.cpu().numpy()})

    def noise_of(model: str, layer: str, draw: int) -> tuple[list[dict], dict]:
        net, fit = bench.network(model), bench.split(model).fit.x
        made = setting.vector(model, layer)
        rows: list[dict] = []
        arrays: dict[str, Any] = {}
        for kind in (PHASE, RADIAL):
            one = child_seed(seed, f"{kind} {draw}")
            noise = patterns.random_phase(made.v, eps=eps, norm=setting.norm, seed=one, radial=kind == RADIAL)
            v = noise.to(device)
            row, more = scored(model, layer, kind, draw, v)
            share = lab.keep(value_at, net, fit, layer, v / eps, q) / value_of(made)
            rows.append({"depth": depth(net, layer), "value_share": share, **row})
            arrays |= more
        return rows, arrays

    def own_and_its_noise(model: str, layer: str) -> tuple[list[dict], dict]:
        net, fit = bench.network(model), bench.split(model).fit.x
        made = setting.vector(model, layer)
        row, arrays = scored(model, layer, OWN, 0, made.v)
        about = {"depth": depth(net, layer), "value_share": 1.0, "converged": made.made_by["converged"]}
        rows = [{**about, **row}]
        for k in range(n_random):
            noise, more = noise_of(model, layer, k)
            rows, arrays = rows + noise, arrays | more
        for family, _, v in [*chosen(model), (nulls.RANDOM_SIGNS, "", setting.random(model, 0))]:
            share = lab.keep(value_at, net, fit, layer, v / eps, q) / value_of(made)
            rows.append({"kind": f"value of {family}", "is_null": True, "value_share": share})
        return rows, arrays

    def made_from_nothing(model: str) -> tuple[list[dict], dict]:
        rows: list[dict] = []
        arrays: dict[str, Any] = {}
        for family, what, v in chosen(model):
            row, more = scored(model, "", family, 0, v)
            rows.append({"setting": what, **row})
            arrays |= more
        for k in range(n_random):
            row, more = scored(model, "", nulls.RANDOM_SIGNS, k, setting.random(model, k))
            rows.append(row)
            arrays |= more
        return rows, arrays

    parts = []
    for network in bench.names(models):
        parts.append(lab.sweep(setting.layers(network, layers, count=3), own_and_its_noise, desc=f"{network}: layers"))
        if n_at_best > n_random and "held_in_rate" in parts[-1]:
            best = {"model": network, "layer": best_layer(parts[-1])}
            parts.append(
                lab.sweep([best | {"draw": k} for k in range(n_random, n_at_best)], noise_of, desc="more draws")
            )
        parts.append(lab.sweep([{"model": network}], made_from_nothing, desc=f"{network}: patterns"))
    return bench.told(lab.joined(parts))


def value_at(net: Model, images: Tensor, layer: str, v: Tensor, q: float) -> float:
    """||J v||_q of the layer's Jacobian stacked over the images, for a direction v (c, h, w)."""
    product = torch.as_tensor(JacobianOperator(net.until(layer), images).matvec(v.reshape(-1)))
    return float(lp_norm(product, q))


def best_layer(rows: pd.DataFrame) -> str:
    """The layer whose own vector fools most held-in images."""
    own = lab.rows_of(rows, kind=OWN)
    return str(own.loc[own["held_in_rate"].idxmax(), "layer"])


def best_pattern(rows: pd.DataFrame) -> str:
    """The family of patterns made from nothing that fools most held-in images."""
    made = lab.rows_of(rows, kind=list(FAMILIES))
    return str(made.loc[made["held_in_rate"].idxmax(), "kind"])


def strongest_noise(rows: pd.DataFrame, layer: str) -> str:
    """Which noise with the spectrum of a layer's vector fools more held-in images: of its radial, or of its plane's spectrum."""
    noise = lab.rows_of(rows, layer=layer, kind=[PHASE, RADIAL])
    return str(noise.groupby("kind")["held_in_rate"].mean().idxmax())


def claims(run: Run) -> Iterator[Claim]:
    """Own vector minus each null on the same images, at the layer and the pattern that are best on the held-in images.

    Intervals are over the images and over the draws of noise.
    """
    for network, rows in run.by_network():
        layer = best_layer(rows)

        def flags(kind: str, at: str, network: str = network) -> np.ndarray:
            return np.stack(run.all_flags("fooled", network, at, kind)).astype(float)

        own, phase, random = flags(OWN, layer), flags(PHASE, layer), flags(nulls.RANDOM_SIGNS, "")
        family = best_pattern(rows)
        made = flags(family, "")
        name = f"{network}, {layer}"
        yield claim("beats_random_signs", name, lab.paired(own, random), ">", 0.0)
        noise = strongest_noise(rows, layer)
        yield claim("beats_its_own_spectrum", f"{name} against {noise}", lab.paired(own, flags(noise, layer)), ">", 0.0)
        yield claim("beats_patterns", f"{name} against {family}", lab.paired(own, made), ">", 0.0)
        yield claim("patterns_beat_it", f"{family} against {name}", lab.paired(made, own), ">", 0.0)
        yield claim("spectrum_explains_half", name, lab.paired(2 * phase, own + random), ">", 0.0)


def noise_like(run: Run, other: Run | None, network: str, fooled: np.ndarray) -> beside.Null | None:
    """Noise with the spectrum of the very vector that fooled these images of ``run``, from ``other``, a run of this item.

    That vector is known by its flags: it is the layer's whose own vector fools the same images, every one of them (two names may
    stand for one output). None where there is none.
    """
    rows = other.rows if other is not None else pd.DataFrame(columns=["model", "kind", "layer"])
    for layer in lab.rows_of(rows, model=network, kind=OWN)["layer"]:
        assert other is not None
        if np.array_equal(other.flags("fooled", network, layer, OWN, 0), fooled):
            draws = other.all_flags("fooled", network, layer, PHASE)
            return beside.null_of(run, other, network, PHASE, f"{PHASE}, {layer}", draws)
    return None


def marks(run: Run, other: Run | None, at: float, *path: str) -> dict[str, tuple[float, beside.Null]]:
    """(at, :func:`noise_like`) of each network's vector whose flags are ``fooled/<network>/<path>`` in ``run``."""
    found = {}
    for network in dict.fromkeys(run.rows["model"]):
        name = "/".join(("fooled", network, *path))
        if name in run.arrays and (noise := noise_like(run, other, network, run.arrays[name])):
            found[network] = at, noise
    return found


@of_a_run
def figure(run: Run) -> Figure:
    """Fooling rate at the best layer of the singular vector and of every pattern at equal norm, a panel a network."""
    networks = list(run.by_network())
    with style():
        drawn, axes = panels([name for name, _ in networks], columns=2, height=3.0)
        for ax, (network, rows) in zip(axes, networks, strict=False):
            layer = best_layer(rows)
            for place, kind in enumerate(SHOWN):
                part = lab.rows_of(rows, kind=kind)
                part = part[part["layer"] == layer] if kind in (OWN, PHASE, RADIAL) else part
                at = place + min(0.12, 0.5 / len(part)) * (np.arange(len(part)) - (len(part) - 1) / 2)
                with_intervals(ax, list(at), part, "fooling_rate", look(kind), kind, line=False)
            ax.set(title=f"{short(network)}\n{layer}", ylabel="fooling rate", ylim=(0, 1))
            ax.set_xticks(range(len(SHOWN)), SHOWN, fontsize=8, rotation=35, ha="right", rotation_mode="anchor")
    return drawn


@of_a_run
def by_layer(run: Run) -> Figure:
    """Fooling rate of each layer's vector and of noise with its spectrum against depth, and the best pattern as a line."""
    networks = list(run.by_network())
    with style():
        drawn, axes = panels([name for name, _ in networks], columns=2)
        for ax, (network, rows) in zip(axes, networks, strict=False):
            for kind in (OWN, PHASE):
                part = (
                    lab.rows_of(rows, kind=kind).groupby("depth")[["fooling_rate", "low", "high"]].mean().reset_index()
                )
                with_intervals(ax, list(part["depth"]), part, "fooling_rate", look(kind), kind)
            for kind in (best_pattern(rows), nulls.RANDOM_SIGNS):
                height = float(lab.rows_of(rows, kind=kind)["fooling_rate"].mean())
                ax.axhline(height, color=look(kind).colour, linestyle=look(kind).line, label=kind)
            ax.set(title=short(network), xlabel="depth of the layer", ylabel="fooling rate", ylim=(0, 1))
        legend(drawn, axes, columns=5)
    return drawn


@of_a_run
def gallery(run: Run) -> Figure:
    """The vector of each network's best layer, noise with its spectrum, and the best pattern made from nothing."""
    networks = list(run.by_network())
    with style(grid=False):
        size = (7.4, 2.2 * len(networks))
        drawn, axes = plt.subplots(len(networks), 4, figsize=size, squeeze=False, layout="constrained")
        for line, (network, rows) in zip(axes, networks, strict=True):
            layer, family = best_layer(rows), best_pattern(rows)
            shown = [(OWN, layer), (PHASE, layer), (RADIAL, layer), (family, "")]
            for ax, (kind, at) in zip(line, shown, strict=True):
                ax.imshow(as_picture(run.arrays[f"v/{network}/{at}/{kind}"], stretch=True), interpolation="nearest")
                ax.set_title(f"{short(network)}\n{kind}" if kind == OWN else f"\n{kind}", fontsize=8, loc="left")
                ax.axis("off")
    return drawn
