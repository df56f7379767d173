"""The figure of singular values of [khrulkov2018]: one for every layer, and which networks have the larger ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from uapkit import lab
from uapkit.checks import NotHere
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.style import look, look_of_network, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.papers.khrulkov2018.setting import Setting, depth, value_of

KINDS = ("conv", "activation", "pool")
LINES = {  # column: meaning
    "singular_value": "singular vector",
    "random_value": nulls.RANDOM_SIGNS,
    "untrained_value": nulls.UNTRAINED,
}


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layers: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 16,
    p: float = math.inf,
    q: float = 10.0,
    max_iter: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The figure of singular values of [khrulkov2018]: one for every convolution, activation and pooling output.

    One row a (model, layer): place (from 0), depth from 0 to 1, layer_kind, singular_value of the stacked Jacobian in
    pixels of [0, 1], per_grey_level the same for pixels from 0 to 255 as in the paper (1/255 of it). Nulls: the value
    of the random signs that the iteration starts from (random_value), and untrained_value, that of a copy with fresh
    weights. layers: a list, a mapping by network, or None for all (also of networks that the mapping does not name). A network
    asked for with random weights ("vgg16[random]") shows the shape of its curve only: it is a null itself, kind "untrained
    network", and no claim rests on it. data, n_fit: for all networks, or by network.
    """
    bench = lab.Bench(data, n_fit, 0, 1, seed, device)
    setting = Setting(bench, p, q, max_iter=max_iter, seed=seed)

    def value(model: str, layer: str) -> list[dict]:
        net = bench.network(model)
        kinds = {name: kind for kind in KINDS for name in net.layers(kind=kind)}
        made, fresh = setting.vector(model, layer), bench.weights(model) == "random"
        null = made if fresh else setting.vector(model, layer, untrained=True)
        before, last = (made.made_by["start_value"], *made.history)[-2:]
        row = {
            "kind": nulls.UNTRAINED if fresh else "trained",
            "place": net.layers().index(layer),
            "depth": depth(net, layer),
            "layer_kind": kinds.get(layer, "other"),
            "singular_value": value_of(made),
            "per_grey_level": value_of(made) / 255,
            "random_value": made.made_by["start_value"],
            "untrained_value": value_of(null),
            "growth": last / before - 1,
            "n": for_network(n_fit, model, "n_fit"),
        }
        return [row]

    parts = []
    for network in bench.names(models):
        named = layers
        if isinstance(layers, Mapping):
            named = layers.get(network) or layers.get(lab.split_name(network)[0])
        points = setting.layers(network, named or _all_outputs(bench, network), count=1)
        parts.append(lab.sweep(points, value, desc=f"{network}: layers"))
    return bench.told(lab.joined(parts))


def _all_outputs(bench: lab.Bench, network: str) -> list[str] | None:
    try:
        return bench.network(network).layers(kind=KINDS)
    except NotHere:
        return None


def claims(run: Run) -> Iterator[Claim]:
    """ResNets against VGGs, and VGG-19 against VGG-16, by the typical (median) layer; bootstrap over the layers.

    Trained networks only. CIFAR-10's ResNets have no VGG beside them, so they are shown and not judged.
    """
    trained = run.measured.groupby("model", sort=False)
    values = {str(network): np.log(rows["singular_value"].to_numpy(float)) for network, rows in trained}
    for network, own in values.items():
        for other, others in values.items():
            if network.startswith("resnet") and other.startswith("vgg") and "digits" not in other:
                yield claim("resnet_far_smaller", f"{network} / {other}", _ratio(own, others), "<", 0.5)
            if network.startswith("vgg19") and other.startswith("vgg16"):
                yield claim("vgg19_above_vgg16", f"{network} / {other}", _ratio(own, others), ">", 1.0)


def _ratio(over: np.ndarray, under: np.ndarray) -> Interval:
    """Quotient of the medians of two networks' values, given as logarithms, a number a layer."""
    draws = np.random.default_rng(0)
    differences = [
        np.median(draws.choice(over, len(over))) - np.median(draws.choice(under, len(under))) for _ in range(2000)
    ]
    low, high = np.exp(np.percentile(differences, [2.5, 97.5]))
    value = float(np.exp(np.median(over) - np.median(under)))
    return Interval(value, min(len(over), len(under)), float(low), float(high))


@of_a_run
def figure(run: Run) -> Figure:
    """Singular value of every layer, a panel a network, beside random signs and an untrained copy; logarithmic."""
    with style():
        drawn, axes = panels(models_of(run.rows))
        for ax, (network, rows) in zip(axes, run.by_network(), strict=False):
            rows = rows.sort_values("place")
            for column, meaning in LINES.items():
                colour, marker, line = look(meaning)
                ax.semilogy(
                    range(len(rows)), rows[column], marker=marker, ms=3, color=colour, linestyle=line, label=meaning
                )
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set(title=short(network), xlabel="layer, from input to output", ylabel="singular value")
        legend(drawn, axes)
    return drawn


@of_a_run
def networks(run: Run) -> Figure:
    """Singular value against depth, all networks in one panel, so that their order can be seen."""
    with style():
        drawn, axes = panels(["all"], height=3.6)
        for network, rows in run.by_network():
            rows, shown = rows.sort_values("place"), look_of_network(network)
            axes[0].semilogy(
                rows["depth"],
                rows["singular_value"],
                marker=shown.marker,
                ms=3,
                color=shown.colour,
                linestyle=":" if rows["is_null"].all() else "-",
                label=short(network),
            )
        axes[0].set(xlabel="depth, from input (0) to logits (1)", ylabel="singular value")
        legend(drawn, axes, columns=2)
    return drawn
