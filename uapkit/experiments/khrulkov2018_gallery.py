"""Paper K's pictures of singular vectors: Figure 1 with spectra and activation maximisation, and the gallery over q."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import data as sets
from uapkit import evaluate
from uapkit.experiments.common import Bench, rank_correlation
from uapkit.experiments.khrulkov2018_shared import Layer, Study, best_sign, joined, layer_points
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.fourier import mean_wavelength, radial_spectrum
from uapkit.lab.sweep import sweep
from uapkit.models import Model
from uapkit.seeds import child_seed, generator

OVER = ("models", "layers", "pictures", "n_pictures")


def activation_picture(
    model: Model, layer: str, channel: int, shape: Sequence[int], *, n_steps: int, seed: int
) -> Tensor:
    """The picture (c, h, w) in [0, 1] that one channel of ``layer`` answers to most, on average over its positions.

    Gradient ascent from grey noise with steps of equal size that leave each colour's mean as it is, each on a randomly
    shifted (rolled) picture, so that no position is preferred. Source: the
    feature visualisations that [khrulkov2018] compares with, whose code is others'.
    """
    draws = generator(seed, "activation picture")
    device = model.mean.device
    x = (0.5 + 0.05 * torch.randn(tuple(shape), generator=draws)).clamp(0, 1).to(device)
    respond = model.until(layer)
    for _ in range(n_steps):
        down, right = torch.randint(-2, 3, (2,), generator=draws).tolist()
        part = x.roll((down, right), (1, 2))[None].requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(respond(part)[0, channel].mean(), part)
        gradient = gradient - gradient.mean((2, 3), keepdim=True)  # patterns, not brightness
        size = float(gradient.std())
        if not size:
            break  # a dead channel has no picture
        x = (part.detach()[0] + 0.02 * gradient[0] / size).clamp(0, 1).roll((-down, -right), (1, 2))
    return x


def spectrum(v: Tensor) -> np.ndarray:
    """(2, bins): frequency in cycles a pixel, and radially averaged power relative to its mean."""
    frequency, power = radial_spectrum(v.cpu())
    return np.stack([frequency.numpy(), (power / power.mean()).numpy()])


def spectral_correlation(v: Tensor, other: Tensor) -> float:
    """Correlation of the logarithms of two radially averaged spectra; NaN where one of them is empty or flat."""
    a, b = (spectrum(x)[1] for x in (v, other))
    if min(a.min(), b.min()) <= 0 or not np.isfinite(a + b).all():
        return math.nan
    return float(np.corrcoef(np.log(a), np.log(b))[0, 1])


def fig1_gallery(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    data: str = "digits",
    pictures: str = "digits",
    n_pictures: int = 4,
    n_fit: int = 16,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    n_steps: int = 40,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 1 of [khrulkov2018]: the (p, q)-singular vectors of several layers, and what they do to pictures.

    Rows of kind "vector", one a (model, layer): singular_value, wavelength (mean, in pixels), the fooling rate on the
    images fitted on, which only serves to choose the example's layer, and spectral_correlation with the activation
    maximisation (``n_steps`` steps) of the channel that the vector moves most. Rows of kind "untrained network" and
    "random signs": the nulls, compared with the same picture. Rows of kind "picture", one a (model, picture), for the
    example's layer: labels and confidences before and after. In ``attrs["arrays"]``, each followed by
    ``/<model>/<layer>``: ``v``, ``spectrum`` (frequency and power), ``activation`` (picture minus grey).
    """
    bench = Bench(data, n_fit, 0, 1, seed, device)
    study = Study(bench, p, q, eps, max_iter, seed)

    def vector(model: str, layer: str) -> tuple[list[dict], dict]:
        net, name = bench.model(model), f"{model}/{layer}"
        op = study.operator(model, layer)
        pair = study.pair(op)
        v, fit_rate = best_sign(bench, model, study.scaled(model, pair.v))
        fit = bench.images(net)[0].x
        moved = op.matvec(pair.v).view(n_fit, *net.until(layer)(fit[:1]).shape[1:])
        channel = (
            int(moved.flatten(2).square().mean((0, 2)).argmax())
            if moved.ndim > 2
            else int(moved.square().mean(0).argmax())
        )
        likes = activation_picture(net, layer, channel, v.shape, n_steps=n_steps, seed=seed)
        fresh = study.scaled(model, study.vector(model, layer, untrained=True).v)

        def about(kind: str, w: Tensor) -> dict[str, Any]:
            return {
                "kind": kind,
                "wavelength": mean_wavelength(w.cpu()),
                "spectral_correlation": spectral_correlation(w, likes),
            }

        row = about("vector", v) | {
            "singular_value": pair.value,
            "n_fit": n_fit,
            "rate_on_fit": fit_rate,
            "channel": channel,
        }
        rows = [row, about("untrained network", fresh), about("random signs", study.random(model))]
        rows.append({"kind": "activation maximum", "wavelength": mean_wavelength(likes.cpu()), "channel": channel})
        arrays = {f"v/{name}": v.cpu().numpy(), f"spectrum/{name}": spectrum(v)}
        return rows, arrays | {f"activation/{name}": likes.cpu().numpy() - 0.5}

    parts = []
    for spec in bench.specs(models):
        points = study.together(layer_points(bench, spec, layers, count=4))
        parts.append(sweep(points, vector, over=OVER, desc=f"{spec}: vectors"))
        if not (parts[-1]["status"] == "run").any():
            continue
        vectors = parts[-1][parts[-1]["kind"] == "vector"]
        best = vectors.loc[vectors["rate_on_fit"].idxmax(), "layer"]
        v = torch.from_numpy(parts[-1].attrs["arrays"][f"v/{spec}/{best}"]).to(device)
        parts[-1].attrs["arrays"][f"spectrum/{spec}/random signs"] = spectrum(study.random(spec))
        parts.append(picture_rows(bench.model(spec), spec, best, v, pictures, n_pictures, seed, device))
    return joined(bench, parts)


@evidence
def fig1_gallery_evidence(table: pd.DataFrame) -> list[dict]:
    """Are vectors spectrally like the features that their layer answers to? Mean over layers, against untrained ones."""
    found = []
    for model, rows in by_network(table):
        like = [rows.loc[rows["kind"] == k, "spectral_correlation"].dropna() for k in ("vector", "untrained network")]
        if all(map(len, like)):
            mean, null = (evaluate.mean_interval(list(values)) for values in like)
            cells = {"estimate": mean.value, "low": mean.low, "high": mean.high, "n": mean.n}
            nulls = {"null": null.value, "null_low": null.low, "null_high": null.high}
            found.append(claim("resemble_edge_detectors", model, cells, ">", 0.5, **nulls))
    return found


def example_pictures(name: str, n: int, seed: int, size: int | None) -> sets.Images:
    """The pictures that examples are shown on: the free natural ones, or the first of a set's test images."""
    if name == "pictures":
        return sets.load("pictures", size=size, resize="crop")[:n]
    return sets.load(name, n=n, seed=child_seed(seed, "pictures"))


def picture_rows(
    net: Model, spec: str, layer: str, v: Tensor, pictures: str, n: int, seed: int, device: str, kind: str = "picture"
) -> pd.DataFrame:
    """Labels and confidences of some pictures, clean and perturbed (unclipped, as the paper scores)."""
    shown = example_pictures(pictures, n, seed, net.input_size[-1] if net.input_size else None).to(device)
    names = net.classes or tuple(str(k) for k in range(10**4))
    with torch.no_grad():
        before, after = (net(shown.x + shift).softmax(1).max(1) for shift in (0, v))
    rows = [
        {"model": spec, "layer": layer, "status": "run", "kind": kind, "picture": k}
        | {"label": names[int(before.indices[k])], "confidence": float(before.values[k])}
        | {"perturbed_label": names[int(after.indices[k])], "perturbed_confidence": float(after.values[k])}
        for k in range(len(shown))
    ]
    return pd.DataFrame(rows)


def fig_q_gallery(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    qs: Sequence[float] = (1.0, 2.0, 3.0, 5.0, 10.0, math.inf),
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    p: float = math.inf,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The figure of [khrulkov2018] with the singular vectors of one layer for several q.

    One row a (model, q): layer, singular_value, wavelength (mean, in pixels), neighbours (correlation of neighbouring
    pixels: 1 for smooth, 0 for noise), converged. Nulls with the same columns: kind "random signs" and, for each q, kind
    "untrained network". Vectors as ``v/<model>/q = <q>`` in ``attrs["arrays"]``. layer: None takes the best at q = 10
    on held-in images.
    """
    bench = Bench(data, n_fit, n_select, 1, seed, device)
    study = Study(bench, p, 10.0, eps, max_iter, seed, layer)
    over = ("models", "layer", "qs")

    def about(kind: str, v: Tensor) -> dict[str, Any]:
        return {"kind": kind, "wavelength": mean_wavelength(v.cpu()), "neighbours": neighbours(v.cpu())}

    def vector(model: str, layer: str, q: float) -> tuple[list[dict], dict]:
        pairs = [study.vector(model, layer, untrained=fresh, q=q) for fresh in (True, False)]
        fresh, v = (study.scaled(model, pair.v) for pair in pairs)
        v, _ = best_sign(bench, model, v)
        row = {"singular_value": pairs[1].value, "converged": pairs[1].converged, "n_fit": n_fit}
        null = about("untrained network", fresh) | {"singular_value": pairs[0].value}
        return [about("vector", v) | row, null], {f"v/{model}/q = {q:g}": v.cpu().numpy()}

    def noise(model: str, layer: str) -> list[dict]:
        return [about("random signs", study.random(model))]

    parts = []
    for spec in bench.specs(models):
        chosen = study.choose(spec, over)
        parts.append(
            sweep([{"model": spec, "layer": chosen, "q": q} for q in qs], vector, over=over, desc=f"{spec}: q")
        )
        parts.append(sweep([{"model": spec, "layer": chosen}], noise, over=over))
    return joined(bench, parts)


def neighbours(v: Tensor) -> float:
    """Mean correlation of neighbouring pixels of ``v`` (c, h, w), down and right: 0 for independent random signs."""
    w = v.double() - v.double().mean((1, 2), keepdim=True)
    size = w.square().mean()
    down, right = (w[:, 1:] * w[:, :-1]).mean(), (w[:, :, 1:] * w[:, :, :-1]).mean()
    return float((down + right) / (2 * size)) if size > 0 else math.nan


@evidence
def fig_q_gallery_evidence(table: pd.DataFrame) -> list[dict]:
    """Clearer edges for larger q: rank correlation of q with the correlation of neighbouring pixels."""
    found = []
    for model, rows in by_network(table):
        rho = {}
        for kind in ("vector", "untrained network"):
            part = rows[rows["kind"] == kind]
            rho[kind] = rank_correlation(
                list(-1 / part["q"]), list(part["neighbours"])
            )  # the order of q, infinity included
        null = rho["untrained network"]
        nulls = {"null": null["estimate"], "null_low": null["low"], "null_high": null["high"]}
        found.append(claim("edges_clearer_with_q", model, rho["vector"], ">", 0.0, **nulls))
    return found
