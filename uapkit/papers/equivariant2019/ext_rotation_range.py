"""Does more invariance mean a stronger universal direction? Networks trained with rotations of several ranges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab, models
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look_of_network, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, for_network, nulls
from uapkit.lab.training import MNIST_MEAN, MNIST_STD
from uapkit.papers.equivariant2019 import recipes
from uapkit.papers.equivariant2019.course import ERROR, Course
from uapkit.papers.equivariant2019.setting import Setting
from uapkit.papers.equivariant2019.spectrum import top_share


def run(
    *,
    nets: Sequence[str] = ("stdcnn",),
    ranges: Sequence[float] = (0.0, 90.0),
    data: str = "digits",
    epochs: int | Mapping[str, int] | None = 3,
    n_fit: int = 200,
    n_eval: int | None = 200,
    norms: Sequence[float] = (0.25,),
    small: float = 0.5,
    k: int = 5,
    n_random: int = 3,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Does more invariance mean a stronger universal direction? An extension of [equivariant2019].

    Each net is trained here with random rotations of each range, by one recipe; epochs: one number, or one a net. One row
    a (net, range, kind, sign, norm), columns as in fig5_fooling, for the top gradient direction of test images turned in
    the net's own range; besides accuracy (on the scored images), top_share of the top k with its jackknife interval, and
    invariance: the share of scored images that keep their label when turned by up to 180 degrees instead (the same images,
    and so 1, where the range is 180). Kind "random direction" is the null of equal norm, the same directions for all
    networks.
    """

    def trained(model: str, trained_range: float) -> list[dict]:
        many = for_network(epochs, model, "epochs")
        wanted = recipes.prepared(model, data=data, rotation=trained_range, seed=seed, epochs=many)
        done = lab.keep(recipes.fit, *wanted)
        name, net = f"{model}, {trained_range:g} degrees", done.into(recipes.architecture(model))
        setting, widely = (Setting.of(data, r, labels, seed=seed, device=device) for r in (trained_range, 180.0))
        setting.bench.names(
            [models.wrap(net, mean=MNIST_MEAN, std=MNIST_STD, input_size=(1, 28, 28), name=name)]  # known by its name
        )
        total = setting.count(None if n_eval is None else n_fit + n_eval)
        along = Course(setting, name, total, total - n_fit, norms, small)
        directions = setting.directions(name, "gradient", n_fit)
        v = along.vector(directions)
        chosen = along.better_sign(v, along.images[:n_fit])
        found, _ = along.rows(v, kind="singular vector", n_fit=n_fit)
        found = [{**row, "chosen": row["sign"] == chosen} for row in found]
        found += along.random(n_random, nulls.RANDOM_DIRECTION)
        same = along.labels(widely.turned(total)[n_fit:]) == along.clean
        share, low, high = lab.keep(top_share, directions, k)
        about = {
            "accuracy": float((along.clean == along.truth).double().mean()),
            "invariance": float(same.double().mean()),
            "top_share": share,
            "share_low": low,
            "share_high": high,
            "epochs": len(done.curve),
        }
        return [{**row, **about} for row in found]

    table = lab.sweep([{"model": net, "trained_range": r} for net in nets for r in ranges], trained, desc="ranges")
    table.insert(0, "data", data)
    return table


def claims(run: Run) -> Iterator[Claim]:
    """Widest range minus narrowest: error at the largest norm and chosen sign, against that of random directions; top share."""
    for network, rows in run.by_network():
        ends = [rows["trained_range"].min(), rows["trained_range"].max()]
        rows = lab.rows_of(rows, relative_norm=rows["relative_norm"].max(), trained_range=ends, chosen=True)
        if not ends[0] < ends[1]:
            continue
        ours = lab.rows_of(rows, kind="singular vector").sort_values("trained_range")
        draws = lab.rows_of(rows, kind=nulls.RANDOM_DIRECTION).sort_values("trained_range").groupby("draw")
        highest = [_difference(pair, *ERROR).high for _, pair in draws]
        bound = max([0.0, *highest])  # less robust to anything is not enough
        yield claim("more_invariance_stronger_attack", network, _difference(ours, *ERROR), ">", bound)
        concentrated = _difference(ours, "top_share", "share_low", "share_high")
        yield claim("more_invariance_more_concentrated", network, concentrated, ">", 0.0)


def _difference(pair: pd.DataFrame, value: str, low: str, high: str) -> Interval:
    """Of the last row minus the first, whose errors are independent: other networks, other rotations."""
    a, b = pair.iloc[-1], pair.iloc[0]
    half = math.hypot(*((one[high] - one[low]) / 2 for one in (a, b)))
    gap = float(a[value] - b[value])
    return Interval(gap, int(a["n"]), gap - half, gap + half)


def figure(run: Run, values: Sequence[str] = ("accuracy", "invariance", "top_share", "error_rate")) -> Figure:
    """How accuracy, invariance, concentration and error at the largest norm depend on the range trained with."""
    chosen = run.where(relative_norm=run.rows["relative_norm"].max(), chosen=True)
    with style():
        drawn, axes = panels(values, height=2.9)
        for ax, value in zip(axes, values, strict=True):
            for model, of_model in chosen.groupby("model", sort=False):
                shown, name = look_of_network(f"{model}_mnist_rot"), short(str(model))
                rows = lab.rows_of(of_model, kind="singular vector").sort_values("trained_range")
                ax.plot(rows["trained_range"], rows[value], color=shown.colour, marker=shown.marker, label=name)
                if value == "error_rate":
                    ax.fill_between(
                        rows["trained_range"], rows["error_low"], rows["error_high"], color=shown.colour, alpha=0.2
                    )
                    null = lab.rows_of(of_model, kind=nulls.RANDOM_DIRECTION)
                    worst = null.groupby("trained_range")["error_rate"].max()
                    ax.plot(worst.index, worst, ":", color=shown.colour, label=f"{name}, random direction")
            ax.set(xlabel="trained range in degrees", ylabel=value.replace("_", " "), ylim=(0, 1))
        legend(drawn, axes[-1:])
    return drawn
