"""Figure 3 of [jetley2018], top: what the network recognises on curvature subspaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.papers.jetley2018.drawing import SUBSPACES
from uapkit.papers.jetley2018.setting import FEW, Projected, accuracy, mean_image, right, told
from uapkit.papers.jetley2018.spans import directions, singular_basis
from uapkit.papers.jetley2018.subspaces import DATA, KINDS, RANDOM, Curved, deciding

NEARLY = 0.9  # the share of all dimensions from which on a subspace is nearly the whole space
AGREE = 0.1  # accuracies that differ by less are called alike


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
    accuracy against true labels (low, high, n). overlap_hi: mean squared cosine of the principal angles between the subspace
    and S_hi of its dimension, from DeepFool at the training images; m / D by chance. Of the curvature: asymmetry and n_points,
    averaged over classes; converged and overlap_halves, what vouches for the directions, see :meth:`Curved.vouched`. Flags of
    test images as ``right/<model>/<kind>/<m>``.
    """
    bench = lab.Bench(data, n_train, 0, n_eval, seed, device, from_training=True)
    curved = Curved(bench, n_fit, k, step_factor, max_products)

    def accuracies(model: str) -> tuple[list[dict], dict]:
        spaces, mean, net = curved.subspaces(model), mean_image(bench, model), bench.network(model)
        about = {
            "asymmetry": float(np.mean([c.asymmetry for c in spaces.classes])),
            "n_points": float(np.mean([c.n for c in spaces.classes])),
            **curved.vouched_by_some(model, spaces),
        }
        hi = lab.keep(singular_basis, directions(bench, model, "deepfool", max_iter=50))[0]
        rows: list[dict[str, Any]] = []
        arrays = {f"values/{model}": np.stack([c.values.cpu().numpy() for c in spaces.classes])}
        images = {"train": bench.split(model).fit, "test": bench.split(model).scored}
        for kind, d, basis in [("whole", 0, None), *spaces.with_nulls(dims)]:
            m = spaces.d if basis is None else basis.shape[1]
            for split, part in images.items():
                flags = right(net if basis is None else Projected(net, basis, mean), part)
                row = {"kind": kind, "d": d, "m": m, "share": m / spaces.d, "split": split}
                row["overlap_hi"] = 1.0 if basis is None else mean_squared_cosine(basis.cpu(), hi[:, :m])
                rows.append({**row, **accuracy(flags), **about})
                if split == "test":
                    arrays[f"right/{model}/{kind}/{m}"] = flags.numpy()
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    return told(bench, lab.sweep(points, accuracies, desc="accuracy"), ("data", "model", "weights"))


def mean_squared_cosine(one: Tensor, other: Tensor) -> float:
    """Of the principal angles between the spans of orthonormal (D, m) and (D, m), in [0, 1]."""
    return float((one.double().T @ other.double()).square().sum()) / one.shape[1]


def claims(run: Run) -> Iterator[Claim]:
    """On a tenth of the dimensions, as few; and over the whole curve up to nine tenths of them, beside random subspaces.

    Differences on test images are paired. Only directions that are vouched for decide.
    """
    for network, rows in run.by_network():
        rows = deciding(run, network, rows)
        if len(rows):
            yield from on_few(run, network, lab.rows_of(rows, split="test"))
            yield from on_the_whole_curve(run, network, rows)


def on_few(run: Run, network: str, test: pd.DataFrame) -> Iterator[Claim]:
    """On a tenth: over half of the accuracy, more than on as many principal components, and the span of S_hi."""
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
        if "overlap_hi" in one:
            same, chance = (Interval(v, 0, v, v) for v in (float(one["overlap_hi"]), float(null["overlap_hi"])))
            yield claim("spans_first_order_directions", name, same, ">", 0.5, null=chance)


def on_the_whole_curve(run: Run, network: str, rows: pd.DataFrame) -> Iterator[Claim]:
    """Up to nine tenths of the dimensions: S_flat, the sign, training against test, and all of them against random subspaces."""
    test = lab.rows_of(rows, split="test")
    clean = lab.rows_of(test, kind="whole")["accuracy"].item()
    curves = {kind: part for kind in KINDS if len(part := _curve(test, kind))}
    for kind, part in curves.items():
        mine, random = (_mean_flags(run, network, what, part["m"]) for what in (kind, RANDOM))
        gain, name = lab.paired(mine, random), f"{network} ({kind}, {len(part)} dimensions)"
        if kind == "flat":
            yield claim("flat_is_useless", name, gain, "<", 0.0)
        else:
            yield claim("curved_beyond_random", name, gain, ">", 0.0)
        train = lab.rows_of(rows, split="train", kind=kind, m=list(part["m"]))
        yield claim("training_and_test_agree", f"{network} ({kind})", _apart(part, train), "<", AGREE)
    if "flat" in curves:
        best = curves["flat"].loc[curves["flat"]["accuracy"].idxmax()]
        null = lab.rows_of(test, kind=RANDOM, m=best["m"]).iloc[0]
        name = f"{network} (best of the curve, {best['m']:g} dimensions)"
        found, chance = (_relative(row, clean) for row in (best, null))
        yield claim("flat_useless_until_complete", name, found, "<", 0.5, null=chance)
    if {"positive", "negative"} <= set(curves):
        sizes = set(curves["positive"]["m"]) & set(curves["negative"]["m"])
        gaps = {m: lab.paired(*(run.flags("right", network, k, m) for k in ("positive", "negative"))) for m in sizes}
        m = max(gaps, key=lambda m: abs(gaps[m].value))
        name = f"{network} (widest apart, {m:g} dimensions)"
        yield claim("sign_does_not_matter", name, _size(gaps[m]), "<", AGREE)


def _curve(test: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of a kind up to nine tenths of the dimensions; what comes after is nearly the whole image."""
    return test[(test["kind"] == kind) & (test["share"] <= NEARLY)].sort_values("m")


def _mean_flags(run: Run, network: str, kind: str, sizes: Sequence[int]) -> np.ndarray:
    """(n,) for each image the share of the curve's dimensions at which it is classified correctly."""
    return np.mean([run.flags("right", network, kind, int(m)) for m in sizes], 0)


def _size(found: Interval) -> Interval:
    """The modulus of a difference."""
    if found.low >= 0:
        return found
    if found.high <= 0:
        return Interval(-found.value, found.n, -found.high, -found.low)
    return Interval(abs(found.value), found.n, 0.0, max(-found.low, found.high))


def _apart(test: pd.DataFrame, train: pd.DataFrame) -> Interval:
    """Mean difference over the curve between test and other, training images; the halves of their intervals added in squares."""
    both = test.merge(train, on="m", suffixes=("", "_train"))
    gap = float((both["accuracy"] - both["accuracy_train"]).mean())
    halves = (both["high"] - both["low"]) ** 2 + (both["high_train"] - both["low_train"]) ** 2
    half = float(np.sqrt(halves).mean()) / 2
    return _size(Interval(gap, int(both["n"].max()), gap - half, gap + half))


def _few(rows: pd.DataFrame, kind: str) -> pd.Series | None:
    """The row of a kind with the most directions that still are few."""
    part = rows[(rows["kind"] == kind) & (rows["share"] <= FEW + 0.01)]
    return None if part.empty else part.sort_values("m").iloc[-1]


def _relative(row: pd.Series, clean: float) -> Interval:
    """An accuracy as a share of the clean one."""
    found = lab.from_row(row, "accuracy")
    return Interval(found.value / clean, found.n, found.low / clean, found.high / clean)


@of_a_run
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


@of_a_run
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
