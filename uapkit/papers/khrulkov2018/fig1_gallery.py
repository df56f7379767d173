"""Figure 1 of [khrulkov2018]: the singular vectors of several layers as pictures, their spectra, and their likeness to features."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import Tensor

from uapkit import lab
from uapkit.figures import pictures as drawn_pictures
from uapkit.figures.panels import legend_beside, panels
from uapkit.figures.style import broken, in_order, look, short, style
from uapkit.fourier import mean_wavelength, radial_spectrum
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.claims import RANKED
from uapkit.models import Model
from uapkit.operators import LayerJacobians
from uapkit.papers.khrulkov2018.pictures import before_and_after, example_pictures, picture_rows
from uapkit.papers.khrulkov2018.setting import Setting, value_of
from uapkit.seeds import generator


def run(
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
    bench = lab.Bench(data, n_fit, 0, 1, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed)

    def vector(model: str, layer: str) -> tuple[list[dict], dict]:
        net, fit = bench.network(model), bench.split(model).fit.x
        made = setting.vector(model, layer)
        v, rate_on_fit = setting.better_sign(model, made.v)
        recorded = setting.jacobians(model, layer)
        channel = lab.keep(channel_moved_most, net, fit, made.v, layer=layer, recorded=recorded)
        likes = lab.keep(activation_picture, net, layer, channel, v.shape, n_steps=n_steps, seed=seed)
        row = {
            **_compared("vector", v, likes),
            "singular_value": value_of(made),
            "n_fit": n_fit,
            "rate_on_fit": rate_on_fit,
            "channel": channel,
        }
        rows = [
            row,
            _compared(nulls.UNTRAINED, setting.vector(model, layer, untrained=True).v, likes),
            _compared(nulls.RANDOM_SIGNS, setting.random(model), likes),
            {"kind": "activation maximum", "wavelength": mean_wavelength(likes.cpu()), "channel": channel},
        ]
        name = f"{model}/{layer}"
        arrays = {
            f"v/{name}": v.cpu().numpy(),
            f"spectrum/{name}": spectrum(v),
            f"activation/{name}": likes.cpu().numpy() - 0.5,
        }
        return rows, arrays

    def examples_of(model: str, layer: str) -> tuple[list[dict], dict]:
        net = bench.network(model)
        shown = example_pictures(pictures, n_pictures, seed, net.input_size[-1] if net.input_size else None)
        v = setting.better_sign(model, setting.vector(model, layer).v)[0]
        rows = [{"kind": "picture", **row} for row in picture_rows(net, shown.to(device), v)]
        return rows, {f"spectrum/{model}/{nulls.RANDOM_SIGNS}": spectrum(setting.random(model))}

    parts = []
    for network in bench.names(models):
        tried = lab.sweep(setting.layers(network, layers, count=4), vector, desc=f"{network}: vectors")
        parts.append(tried)
        if (tried["status"] == "run").any():
            found = lab.rows_of(tried, kind="vector")
            best = found.loc[found["rate_on_fit"].idxmax(), "layer"]
            parts.append(lab.sweep([{"model": network, "layer": best}], examples_of, desc=f"{network}: examples"))
    return bench.told(lab.joined(parts))


def channel_moved_most(model: Model, x: Tensor, v: Tensor, *, layer: str, recorded: LayerJacobians) -> int:
    """The channel of ``layer`` in which J v, over the images x that J was recorded at, is longest."""
    change = recorded.at(layer).matvec(v)
    moved = change.view(len(x), *model.until(layer)(x[:1]).shape[1:])
    size = moved.flatten(2).square().mean((0, 2)) if moved.ndim > 2 else moved.square().mean(0)
    return int(size.argmax())


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


def _compared(kind: str, v: Tensor, likes: Tensor) -> dict[str, Any]:
    wavelength = mean_wavelength(v.cpu())
    return {"kind": kind, "wavelength": wavelength, "spectral_correlation": spectral_correlation(v, likes)}


def claims(run: Run) -> Iterator[Claim]:
    """Have vectors the scales and the directions of the features that their layer answers to? Mean over layers.

    The null is each vector lying on its side: as smooth, with its lines in other directions. Fewer than eight layers
    decide nothing.
    """
    for network, rows in run.by_network():
        both: list[tuple[float, float]] = []
        for layer in lab.rows_of(rows, kind="vector")["layer"]:
            v, likes = (torch.as_tensor(run.flags(kind, network, layer)) for kind in ("v", "activation"))
            pair = oriented_correlation(v, likes), oriented_correlation(v.transpose(1, 2), likes)
            both += [pair] if not any(map(math.isnan, pair)) else []
        if both:
            own, side = (_over_layers(list(values)) for values in zip(*both, strict=True))
            yield claim("resemble_edge_detectors", network, own, ">", 0.5, null=side)


def _over_layers(values: list[float]) -> Interval:
    found = lab.mean_of(values)
    return found if len(values) >= RANKED else Interval(found.value, found.n, -1.0, 1.0)


def oriented_correlation(v: Tensor, other: Tensor) -> float:
    """Correlation of the logarithms of two pictures' power in bins of frequency *and* direction; NaN for a constant picture.

    Eight rings of equal width by twelve directions of 15 degrees, all colours (c, h, w) together; the mean is left out.
    """
    first, second = (_oriented_power(x) for x in (v, other))
    seen = (first > 0) & (second > 0)
    if seen.sum() < 3:
        return math.nan
    return float(np.corrcoef(np.log(first[seen]), np.log(second[seen]))[0, 1])


def _oriented_power(x: Tensor) -> np.ndarray:
    power = torch.fft.fft2(x.double() - x.double().mean((1, 2), keepdim=True)).abs().square().sum(0)
    fy, fx = (torch.fft.fftfreq(n, dtype=torch.float64) for n in power.shape)
    radius = torch.sqrt(fy[:, None] ** 2 + fx[None] ** 2)
    turn = torch.atan2(fy[:, None].expand_as(radius), fx[None].expand_as(radius)).remainder(math.pi) / math.pi
    inside = (radius > 0) & (radius < 0.5)
    place = (radius * 16).long() * 12 + (turn * 12 + 0.5).long() % 12
    found = torch.zeros(96, dtype=torch.float64).index_add_(0, place[inside], power[inside])
    return (found / torch.bincount(place[inside], minlength=96).clamp_min(1)).numpy()


def figure(run: Run, *, stretch: bool = True) -> Figure:
    """The vectors as pictures, a line a network, with their contrast stretched or at true scale."""
    return drawn_pictures.gallery(run.arrays, stretch=stretch)


def spectra(run: Run) -> Figure:
    """Radially averaged spectra, a panel a network, a line a layer from input (dark) to output, and random signs."""
    found = [(k.split("/", 2)[1:], v) for k, v in run.arrays.items() if k.startswith("spectrum/")]
    networks = list(dict.fromkeys(network for (network, _), _ in found))
    with style():
        drawn, axes = panels(networks, columns=1, height=2.5, width=7.4)
        for ax, network in zip(axes, networks, strict=False):
            lines = {layer: line for (name, layer), line in found if name == network}
            layers = [layer for layer in lines if layer != nulls.RANDOM_SIGNS]
            looks = dict(zip(layers, in_order(len(layers)), strict=True)) | {
                nulls.RANDOM_SIGNS: look(nulls.RANDOM_SIGNS)
            }
            for layer, (frequency, power) in lines.items():
                ax.loglog(frequency, power, looks[layer].line, color=looks[layer].colour, label=layer)
            ax.set(title=short(network), xlabel="cycles a pixel", ylabel="power over its mean")
            ax.xaxis.set_minor_formatter(NullFormatter())
            legend_beside(ax)
    return drawn


def beside(run: Run) -> Figure:
    """Each singular vector above the activation maximisation of the channel that it moves most, contrast stretched."""
    names = [k.removeprefix("activation/") for k in run.arrays if k.startswith("activation/")]
    with style(grid=False):
        rows, columns = 2 * max(1, math.ceil(len(names) / 4)), max(1, min(4, len(names)))
        drawn, axes = plt.subplots(rows, columns, figsize=(7.4, 2.3 * rows), squeeze=False, layout="constrained")
        for ax in axes.flat:
            ax.axis("off")
        for k, name in enumerate(names):
            network, layer = name.split("/", 1)
            kinds = {"v": f"{short(network)}\n{broken(layer)}", "activation": "its features"}
            for line, (kind, words) in enumerate(kinds.items()):
                ax = axes[2 * (k // 4) + line, k % 4]
                v = drawn_pictures.as_picture(run.flags(kind, name), stretch=True)
                ax.imshow(v, interpolation="nearest")
                ax.set_title(words, fontsize=8)
    return drawn


def examples(run: Run) -> Iterator[Figure]:
    """Pictures before and after the vector of the example's layer, a figure a network."""
    for network, rows in run.where(kind="picture").groupby("model", sort=False):
        v = run.flags("v", network, rows["layer"].iloc[0])
        yield before_and_after(run, rows, v, short(str(network)))
