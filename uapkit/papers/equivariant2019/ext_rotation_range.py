"""Does more invariance mean a stronger universal direction? Networks trained with rotations of several ranges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab, models
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look_of_network, short, style
from uapkit.intervals import Interval, Rate, mean_interval
from uapkit.lab import Claim, Run, claim, for_network, nulls
from uapkit.lab.training import MNIST_MEAN, MNIST_STD
from uapkit.papers.equivariant2019 import recipes
from uapkit.papers.equivariant2019.course import ERROR, IN_DATA, Course
from uapkit.papers.equivariant2019.setting import Setting
from uapkit.papers.equivariant2019.spectrum import top_share

NULLS = [nulls.RANDOM_DIRECTION, IN_DATA]
TURNED = ("turned_low", "turned_high")


def run(
    *,
    nets: Sequence[str] = ("stdcnn",),
    ranges: Sequence[float] = (0.0, 90.0),
    seeds: Sequence[int] | Mapping[str, Sequence[int]] = (0,),
    data: str = "digits",
    epochs: int | Mapping[str, int] | None = 3,
    n_fit: int = 200,
    n_eval: int | None = 200,
    norms: Sequence[float] = (0.25,),
    small: float = 0.5,
    k: int = 5,
    n_random: int = 5,
    energy: float = 0.8,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Does more invariance mean a stronger universal direction? An extension of [equivariant2019].

    Each net is trained here with random rotations of each range from each of the training seeds (one list, or one a net),
    by its recipe; epochs: one number, one a net, or None for the recipe's own. One row a (net, range, training_seed,
    kind, sign, norm), columns as in fig5_fooling, for the top gradient direction of test images turned in the net's own
    range; besides accuracy (on the scored images), turned_accuracy (on the same images turned by up to 180 degrees
    instead), invariance (the share of them that keep their label then; 1 where the range is 180), and top_share of the
    top k with its jackknife interval. Nulls, at the norm ``small`` and each at its better sign: "random direction", the same
    for all networks, and "random direction in the data's subspace", of the subspace that holds a share ``energy`` of the
    squares of the images, turned as the network's own; ValueError unless it lies in (0, 0.99].
    """

    def trained(model: str, trained_range: float, training_seed: int) -> list[dict]:
        many = for_network(epochs, model, "epochs")
        wanted = recipes.prepared(model, data=data, rotation=trained_range, seed=training_seed, epochs=many)
        done = lab.keep(recipes.fit, *wanted)
        name, net = f"{model}, {trained_range:g} degrees, seed {training_seed}", done.into(recipes.architecture(model))
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
        found += along.random(n_random, nulls.RANDOM_DIRECTION)[0]
        found += along.random(n_random, IN_DATA, energy=energy)[0]
        turned = along.labels(widely.turned(total)[n_fit:])
        share, low, high = lab.keep(top_share, directions, k)
        about = {
            "accuracy": float((along.clean == along.truth).double().mean()),
            "turned_accuracy": float((turned == along.truth).double().mean()),
            "invariance": float((turned == along.clean).double().mean()),
            "top_share": share,
            "share_low": low,
            "share_high": high,
            "epochs": len(done.curve),
        }
        return [{**row, **about} for row in found]

    points = [
        {"model": net, "trained_range": r, "training_seed": s}
        for net in nets
        for r in ranges
        for s in for_network(seeds, net, "seeds")
    ]
    table = lab.sweep(points, trained, desc="ranges")
    table.insert(0, "data", data)
    return table


def claims(run: Run) -> Iterator[Claim]:
    """Widest range minus narrowest, over training seeds: error along the vector, its share, and accuracy on turned images."""
    for network, rows in run.by_network():
        ends = [rows["trained_range"].min(), rows["trained_range"].max()]
        rows = lab.rows_of(rows, relative_norm=rows["relative_norm"].max(), trained_range=ends, chosen=True)
        if not ends[0] < ends[1]:
            continue
        ours = lab.rows_of(rows, kind="singular vector")
        bound = max(0.0, _by_chance(rows))  # less robust to anything is not enough
        stronger = _difference(ours, *ERROR)
        yield claim("more_invariance_stronger_attack", network, stronger, ">", bound)
        concentrated = _difference(ours, "top_share", "share_low", "share_high")
        yield claim("more_invariance_more_concentrated", network, concentrated, ">", 0.0)
        needed = _difference(_with_interval(ours, "turned_accuracy"), "turned_accuracy", *TURNED)
        yield claim("robustness_needs_rotations_in_training", network, needed, ">", 0.05)


def _by_chance(rows: pd.DataFrame) -> float:
    """The largest, over the nulls, of the draws' 97.5 % quantile of the difference in error, widest range minus narrowest."""
    drawn = lab.rows_of(rows, kind=NULLS).groupby(["kind", "draw"])
    gaps = pd.Series({key: _difference(one, "error_rate").value for key, one in drawn})
    return float(gaps.groupby(level=0).quantile(0.975).max())


def _with_interval(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """The rows, and Wilson's interval of a rate over their images as the columns :data:`TURNED`."""
    rates = [Rate.of(round(share * n), int(n)) for share, n in zip(rows[value], rows["n"], strict=True)]
    return rows.assign(**dict(zip(TURNED, ([r.low for r in rates], [r.high for r in rates]), strict=True)))


def _difference(rows: pd.DataFrame, value: str, low: str = "", high: str = "") -> Interval:
    """Of the widest range minus the narrowest: Student's over training seeds; of one seed over images, or without an interval.

    Errors over images are independent: other networks, other rotations.
    """
    ends = [one for _, one in rows.sort_values("trained_range").groupby("trained_range")]
    narrow, wide = (one.sort_values("training_seed") for one in (ends[0], ends[-1]))
    gaps = wide[value].to_numpy(dtype=float) - narrow[value].to_numpy(dtype=float)
    if len(gaps) > 1:
        return replace(mean_interval(gaps.tolist()), n=int(wide["n"].iloc[0]))
    half = math.hypot(*(float((one[high] - one[low]).iloc[0]) / 2 for one in (narrow, wide))) if low else math.nan
    return Interval(float(gaps[0]), int(wide["n"].iloc[0]), gaps[0] - half, gaps[0] + half)


def figure(run: Run, values: Sequence[str] = ("accuracy", "turned_accuracy", "top_share", "error_rate")) -> Figure:
    """How accuracy, invariance, concentration and error at the largest norm depend on the range trained with."""
    chosen = run.where(relative_norm=run.rows["relative_norm"].max(), chosen=True)
    with style():
        drawn, axes = panels(values, height=2.9)
        for ax, value in zip(axes, values, strict=True):
            for model, of_model in chosen.groupby("model", sort=False):
                shown, name = look_of_network(f"{str(model).split('_')[0]}_mnist_rot"), short(str(model))
                of_vector = lab.rows_of(of_model, kind="singular vector")
                rows = of_vector.groupby("trained_range")[value].agg(["mean", "min", "max"])  # over training seeds
                ax.plot(rows.index, rows["mean"], color=shown.colour, marker=shown.marker, label=name)
                ax.fill_between(rows.index, rows["min"], rows["max"], color=shown.colour, alpha=0.2)
                if value == "error_rate":
                    for kind, null in lab.rows_of(of_model, kind=NULLS).groupby("kind", sort=False):
                        worst = null.groupby("trained_range")["error_rate"].max()
                        line = "--" if kind == IN_DATA else ":"
                        ax.plot(worst.index, worst, line, color=shown.colour, label=f"{name}, {kind}")
            ax.set(xlabel="trained range in degrees", ylabel=value.replace("_", " "), ylim=(0, 1.02))
            ax.set_xticks(sorted(set(chosen["trained_range"])))
        legend(drawn, axes[-1:], columns=1)
    return drawn
