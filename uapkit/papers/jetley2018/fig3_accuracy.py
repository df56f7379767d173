"""Figure 3 of [jetley2018], top: what the network recognises on curvature subspaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.papers.jetley2018.drawing import SUBSPACES, drawn_if_run
from uapkit.papers.jetley2018.setting import FEW, Projected, accuracy, mean_image, right, told
from uapkit.papers.jetley2018.subspaces import DATA, RANDOM, Curved


def run(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    dims: Sequence[int] = (1, 2, 4, 8, 16, 39, 78),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 900,
    n_fit: int | Mapping[str, int] = 10,
    n_eval: int | None = 300,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 3 of [jetley2018], top: accuracy on images projected on curvature subspaces, training and test images.

    One row a (model, kind, d, split): kind "positive", "negative", "both" (2 d directions a class), "flat", with d
    directions a class and m, the dimension of the space that those of all classes span together; "whole" without a
    projection. Nulls for every m: "random" subspace, "data", the first principal components of the training images.
    accuracy against true labels (low, high, n); curvature: asymmetry and n_points of the bases, averaged over classes;
    flat_is: what S_flat is made of. Flags of test images as ``right/<model>/<kind>/<m>``.
    """
    bench = lab.Bench(data, n_train, 0, n_eval, seed, device, from_training=True)
    curved = Curved(bench, n_fit, k, step_factor, max_products)

    def accuracies(model: str) -> tuple[list[dict], dict]:
        spaces, mean, net = curved.subspaces(model), mean_image(bench, model), bench.network(model)
        about = {
            "asymmetry": float(np.mean([c.asymmetry for c in spaces.classes])),
            "n_points": float(np.mean([c.n for c in spaces.classes])),
            "converged": all(c.converged for c in spaces.classes),
            "flat_is": spaces.flat_is,
        }
        rows: list[dict[str, Any]] = []
        arrays = {f"values/{model}": np.stack([c.values.cpu().numpy() for c in spaces.classes])}
        images = {"train": bench.split(model).fit, "test": bench.split(model).scored}
        for kind, d, basis in [("whole", 0, None), *spaces.with_nulls(dims)]:
            m = spaces.d if basis is None else basis.shape[1]
            for split, part in images.items():
                flags = right(net if basis is None else Projected(net, basis, mean), part)
                row = {"kind": kind, "d": d, "m": m, "share": m / spaces.d, "split": split}
                rows.append({**row, **accuracy(flags), **about})
                if split == "test":
                    arrays[f"right/{model}/{kind}/{m}"] = flags.numpy()
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    return told(bench, lab.sweep(points, accuracies, desc="accuracy"), ("data", "model", "weights"))


def claims(run: Run) -> Iterator[Claim]:
    """On a tenth of the dimensions: curvature subspaces keep over half of the accuracy; paired differences to nulls."""
    for network, rows in run.by_network():
        test = lab.rows_of(rows, split="test")
        clean = lab.rows_of(test, kind="whole")["accuracy"].item()
        for kind in ("positive", "negative"):
            one = _few(test, kind)
            if one is None:
                continue
            m = int(one["m"])
            null = lab.rows_of(test, kind=RANDOM, m=m).iloc[0]
            name = f"{network} ({kind}, {m} of {round(m / one['share'])} dimensions)"
            share, chance = (_relative(row, clean) for row in (one, null))
            yield claim("few_directions_carry_accuracy", name, share, ">", 0.5, null=chance)
            if f"right/{network}/{DATA}/{m}" in run.arrays:
                gain = lab.paired(run.flags("right", network, kind, m), run.flags("right", network, DATA, m))
                yield claim("beyond_principal_components", name, gain, ">", 0.0)
        flat = _few(test, "flat")
        if flat is not None:
            m = int(flat["m"])
            gain = lab.paired(run.flags("right", network, "flat", m), run.flags("right", network, RANDOM, m))
            yield claim("flat_is_useless", f"{network} ({m} dimensions)", gain, "<", 0.0)


def _few(rows: pd.DataFrame, kind: str) -> pd.Series | None:
    """The row of a kind with the most directions that still are few."""
    part = rows[(rows["kind"] == kind) & (rows["share"] <= FEW + 0.01)]
    return None if part.empty else part.sort_values("m").iloc[-1]


def _relative(row: pd.Series, clean: float) -> Interval:
    """An accuracy as a share of the clean one."""
    found = lab.from_row(row, "accuracy")
    return Interval(found.value / clean, found.n, found.low / clean, found.high / clean)


@drawn_if_run
def figure(run: Run) -> Figure:
    """Accuracy on projected test images against the dimension, a panel a network; training images as faint lines."""
    networks = list(run.by_network())
    with style():
        drawn, axes = panels([network for network, _ in networks])
        for ax, (network, rows) in zip(axes, networks, strict=False):
            for kind, label in SUBSPACES.items():
                shown, part = look(kind), lab.rows_of(rows, kind=kind).sort_values("m")
                test, train = (lab.rows_of(part, split=split) for split in ("test", "train"))
                line: dict[str, Any] = {"color": shown.colour, "linestyle": shown.line}
                ax.plot(test["m"], test["accuracy"], marker=shown.marker, markersize=4, label=label, **line)
                ax.fill_between(test["m"], test["low"], test["high"], color=shown.colour, alpha=0.15)
                ax.plot(train["m"], train["accuracy"], linewidth=0.7, alpha=0.5, **line)
            clean = lab.rows_of(rows, kind="whole", split="test")["accuracy"].iloc[0]
            ax.axhline(clean, color=look("clean").colour, linestyle=look("clean").line, linewidth=0.8)
            ax.set(
                title=short(network),
                xscale="log",
                ylim=(0, 1.02),
                xlabel="dimension of the subspace",
                ylabel="accuracy",
            )
        legend(drawn, axes)
    return drawn


@drawn_if_run
def spectra(run: Run) -> Figure:
    """Curvature values of all classes, sorted, a panel a network; for ends alone, positive and negative ones."""
    networks = [network for network, _ in run.by_network()]
    with style():
        drawn, axes = panels(networks)
        for ax, network in zip(axes, networks, strict=False):
            for one in run.flags("values", network):
                ax.plot(np.arange(1, len(one) + 1), one, color=look("both").colour, linewidth=0.8, alpha=0.6)
            ax.axhline(0, color=look("none").colour, linewidth=0.8)
            ax.set(title=short(network), xlabel="place in the signed order", ylabel="curvature")
    return drawn
