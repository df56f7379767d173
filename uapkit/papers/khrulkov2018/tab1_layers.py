"""Tables 1 to 3 of [khrulkov2018]: singular value and fooling rate per layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.levels import level
from uapkit.figures.panels import legend, of_a_run
from uapkit.figures.style import broken, look, short, style, with_intervals
from uapkit.lab import Claim, Run, beside, claim, nulls
from uapkit.papers.khrulkov2018.ext_patterns import noise_like
from uapkit.papers.khrulkov2018.setting import Setting, depth, value_of


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
    max_iter: int = 15,
    n_random: int = 5,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Tables 1 to 3 of [khrulkov2018]: singular value and fooling rate per layer.

    One row a (model, layer, kind): kind "singular vector" is the attack; "random signs" its null at equal norm (one
    row a draw); "untrained network" the same attack computed on an untrained copy at the layer that is best on the
    held-in images, scored on the trained network. fooling_rate, low, high in [0, 1] on ``n`` images that were neither
    fitted nor chosen on; held_in_rate on the held-in ones; depth from 0 (input) to 1 (logits).
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, n_random=n_random)

    def attack(model: str, layer: str) -> tuple[list[dict], dict]:
        made = setting.vector(model, layer)
        score, v, fooled = setting.scored(model, made.v)
        row = {
            "kind": "singular vector",
            "singular_value": value_of(made),
            "depth": depth(bench.network(model), layer),
            "data": data,
            "n_fit": n_fit,
            **score,
        }
        return [row], {f"v/{model}/{layer}": v.cpu().numpy(), f"fooled/{model}/{layer}": fooled.cpu().numpy()}

    def random_signs(model: str) -> list[dict]:
        return [{"data": data, **row} for row in setting.random_rows(model)[0]]

    def untrained(model: str, layer: str) -> list[dict]:
        made = setting.vector(model, layer, untrained=True)
        about = {"kind": nulls.UNTRAINED, "singular_value": value_of(made), "data": data, "n_fit": n_fit}
        return [about | setting.scored(model, made.v)[0]]

    parts = []
    for network in bench.names(models):
        tried = lab.sweep(setting.layers(network, layers, count=5), attack, desc=f"{network}: layers")
        parts.append(tried)
        if (tried["status"] == "run").any():
            best = tried.loc[tried["held_in_rate"].idxmax(), "layer"]
            parts.append(lab.sweep([{"model": network}], random_signs, desc=f"{network}: random signs"))
            parts.append(lab.sweep([{"model": network, "layer": best}], untrained, desc=f"{network}: untrained copy"))
    return bench.told(lab.joined(parts))


def claims(run: Run, patterns: Run | None = None) -> Iterator[Claim]:
    """Evidence for the claims of Tables 1 to 3; the layer called best is the best on the held-in images.

    patterns: a run of ``ext_patterns``, whose strongest pattern is the null of a rate where it fools more than random signs.
    """
    largest_value, best_rate, drawn = [], [], beside.strongest_patterns(run, patterns)
    for network, rows in run.by_network():
        layers = lab.rows_of(rows, kind="singular vector")
        fooled = {layer: run.flags("fooled", network, layer) for layer in layers["layer"]}
        best = layers.loc[layers["held_in_rate"].idxmax()]
        random = nulls.RANDOM_SIGNS, lab.hull(lab.rows_of(rows, kind=nulls.RANDOM_SIGNS))
        pattern = (drawn[network].name, drawn[network].rate) if network in drawn else None
        strongest = beside.strongest(random, pattern)
        yield claim("64_images_fool_40_percent", network, lab.from_row(best), ">", 0.40, null=strongest)
        middle = layers["depth"].median()
        halves = layers[layers["depth"] <= middle], layers[layers["depth"] > middle]
        if all(len(half) for half in halves):
            early, late = (half.loc[half["held_in_rate"].idxmax(), "layer"] for half in halves)
            yield claim("early_layers_best", network, lab.paired(fooled[early], fooled[late]), ">", 0.0)
        largest = layers.loc[layers["singular_value"].idxmax(), "layer"]
        difference = lab.paired(fooled[best["layer"]], fooled[largest])
        yield claim("value_does_not_order_layers", network, difference, ">", 0.0)
        largest_value.append(layers["singular_value"].max())
        best_rate.append(best["fooling_rate"])
    if best_rate:
        rho = lab.rank_correlation(largest_value, best_rate)
        yield claim("value_orders_networks", f"{len(best_rate)} networks", rho, ">", 0.0)


def against_patterns(run: Run, patterns: Run | None) -> pd.DataFrame:
    """Each layer's vector beside the strongest pattern that needs no gradient, see :func:`uapkit.lab.beside.compared`."""
    rows = lab.rows_of(run.rows, kind="singular vector").to_dict("records")
    rated = (({"model": r["model"], "layer": r["layer"]}, run.flags("fooled", r["model"], r["layer"])) for r in rows)
    return beside.against_patterns(run, patterns, rated)


@of_a_run
def figure(run: Run, patterns: Run | None = None) -> Figure:
    """Fooling rate and singular value of each layer, a panel a network, with the null of random signs as a band.

    patterns: a run of ``ext_patterns``. Where its networks and images are the same, its strongest pattern is a line across, and
    noise with the spectrum of a layer's own vector stands at that layer.
    """
    networks, strongest = list(run.by_network()), beside.strongest_patterns(run, patterns)
    with style():
        drawn, axes = plt.subplots(
            len(networks), 1, figsize=(7, 2.7 * len(networks)), squeeze=False, layout="constrained"
        )
        for ax, (network, rows) in zip(axes[:, 0], networks, strict=True):
            attack, random = (lab.rows_of(rows, kind=kind) for kind in ("singular vector", nulls.RANDOM_SIGNS))
            untrained, place = lab.rows_of(rows, kind=nulls.UNTRAINED), range(len(attack))
            with_intervals(ax, list(place), attack, "fooling_rate", look("singular vector"), "singular vector")
            if len(random):
                colour = look(nulls.RANDOM_SIGNS).colour
                ax.axhspan(random["low"].min(), random["high"].max(), color=colour, alpha=0.25, label="random signs")
            if len(untrained):
                at = list(attack["layer"]).index(untrained["layer"].iloc[0])
                with_intervals(ax, [at], untrained, "fooling_rate", look(nulls.UNTRAINED), "untrained copy", line=False)
            if network in strongest:
                level(ax, strongest[network].rate, beside.BEST_PATTERN)
            for at, layer in enumerate(attack["layer"]):
                if noise := noise_like(run, patterns, network, run.flags("fooled", network, layer)):
                    rows = pd.DataFrame([noise.rate.columns("fooling_rate")])
                    with_intervals(ax, [at], rows, "fooling_rate", look(noise.kind), noise.kind, line=False)
            ax.set(title=short(network), ylabel="fooling rate", ylim=(0, 1), xticks=list(place))
            values = zip(attack["layer"], attack["singular_value"], strict=True)
            ax.set_xticklabels([f"{broken(layer)}\nσ = {value:.3g}" for layer, value in values], fontsize=8)
        legend(drawn, list(axes[:, 0]))
    return drawn
