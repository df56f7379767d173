"""The spectrum of attack directions over the course of a training, for two recipes; and what its spreading goes with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.special import stdtrit
from torch import nn

from uapkit import lab
from uapkit.data import Images
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look_of_network, style
from uapkit.intervals import Interval, mean_interval
from uapkit.lab import Claim, Run, claim, for_network
from uapkit.lab.training import CURVE_IMAGES
from uapkit.papers.equivariant2019 import recipes as r
from uapkit.papers.equivariant2019.drawing import LINES
from uapkit.papers.equivariant2019.watch import watch
from uapkit.seeds import child_seed

STATES = ("test_accuracy", "margin", "sure", "gradient_norm")  # what the share is set against
FIRST = (
    "stdcnn",
    "stdcnn_sgd",
    "gcnn",
    "gcnn_sgd",
    "roteqnet",
)  # recipes of networks; the others belong to the experiment


def run(
    *,
    recipes: Sequence[str] = ("stdcnn_sgd", "stdcnn"),
    seeds: Sequence[int] | Mapping[str, Sequence[int]] = (0,),
    data: str = "digits",
    rotation: float = 30.0,
    epochs: int | Mapping[str, int] | None = 2,
) -> pd.DataFrame:
    """The course over epochs of the share that five directions hold in [equivariant2019]'s Figure 1, recipe by recipe.

    recipes: names in :data:`uapkit.papers.equivariant2019.recipes.RECIPES`. seeds: of the trainings, one list or one a
    recipe ("other": the rest). epochs: one number, or one a recipe; None: the recipe's own. One row a (recipe, seed,
    epoch), epoch 0 before training: test_accuracy and the measures of :mod:`uapkit.papers.equivariant2019.watch` on the
    first 2000 turned test images. peak: the epoch of the largest top5_share of that training.
    """

    def course(model: str, training_seed: int) -> list[dict]:
        many = for_network(epochs, model, "epochs")
        wanted = r.prepared(model, data=data, rotation=rotation, seed=training_seed, epochs=many)
        curve = lab.keep(r.fit, *wanted).curve
        rows = [lab.keep(untrained, wanted[0], wanted[2]), *curve.to_dict("records")]
        peak = int(curve.loc[curve["top5_share"].idxmax(), "epoch"])
        recipe = wanted[0]
        about = {
            "network": recipe.net,
            "optimizer": recipe.optimizer,
            "weight_decay": recipe.weight_decay,
            "lr": recipe.lr,
            "epochs": recipe.epochs,
            "peak": peak,
            "n": min(CURVE_IMAGES, len(wanted[2])),
        }
        return [{**about, **{k: v for k, v in row.items() if "seconds" not in k}} for row in rows]

    points = [
        {"model": recipe, "training_seed": seed} for recipe in recipes for seed in for_network(seeds, recipe, "seeds")
    ]
    table = lab.sweep(points, course, desc="trainings")
    table.insert(0, "data", data)
    return table


def untrained(recipe: r.Recipe, test: Images) -> dict[str, float]:
    """Epoch 0: the measures of the weights that the training begins with, on the images that it is watched on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(recipe.seed, "initial_weights"))
        net: nn.Module = r.architecture(recipe.net)
    turned = test.rotated(recipe.rotation, r.TEST_ROTATION_SEED)[:CURVE_IMAGES]
    return {"epoch": 0, "test_accuracy": r.accuracy(net, turned), **watch(net, turned)}


def claims(run: Run) -> Iterator[Claim]:
    """Over training seeds: the share peaks early and falls afterwards; and at the end it is above 10 %, or not.

    The peak of a training is the epoch of the largest mean share of the others.
    """
    for recipe, rows in run.by_network():
        if recipe not in FIRST or rows["training_seed"].nunique() < 2:
            continue
        shares = rows.pivot(index="epoch", columns="training_seed", values="top5_share")
        ends, falls, rises = shares.iloc[-1].tolist(), [], []
        for seed, share in shares.items():
            # of the others: its own would lie above both ends anyhow
            peak = shares.drop(columns=[seed]).mean(axis=1).idxmax()
            falls.append(float(share[peak] - share.iloc[-1]))
            rises.append(float(share[peak] - share.loc[0]))
        how = "sgd" if recipe.endswith("_sgd") else "adamw"
        yield claim("share_rises_first", recipe, mean_interval(rises), ">", 0.0, training=how)
        yield claim("share_falls_afterwards", recipe, mean_interval(falls), ">", 0.0, training=how)
        yield claim("ends_above_10_percent", recipe, mean_interval(ends), ">", 0.10, training=how)
    gap = recipes_apart(run)
    if gap is not None:
        yield claim("fit_explains_the_share", "StdCNN", gap, "<", 0.0)


def recipes_apart(run: Run, net: str = "stdcnn") -> Interval | None:
    """How far the courses of one net lie apart at equal accuracy, minus at equal epoch: RMS of the log share.

    Over all pairs of recipes of the net, training seed 0, after both peaks; the interval leaves out one recipe at a
    time (jackknife). Negative: accuracy tells the share better than the length of the training does. None for fewer than
    three recipes that have epochs in common.
    """
    courses = _after_peak(run, net)
    if len(courses) < 3:
        return None

    def difference(names: Sequence[str]) -> float:
        return spread(courses, names, "test_accuracy") - spread(courses, names, "epoch")

    names = list(courses)
    value, left = difference(names), [difference([n for n in names if n != out]) for out in names]
    if not np.isfinite([value, *left]).all():
        return None
    error = math.sqrt((len(left) - 1) / len(left) * float(np.square(np.array(left) - np.mean(left)).sum()))
    half = float(stdtrit(len(left) - 1, 0.975)) * error
    return Interval(value, len(names), value - half, value + half)


def _after_peak(run: Run, net: str) -> dict[str, pd.DataFrame]:
    rows = lab.rows_of(run.rows, network=net, training_seed=0)
    rows = rows[rows["epoch"] >= rows["peak"]]
    return {str(name): one for name, one in rows.groupby("model", sort=False) if len(one) > 1}


def spread(courses: Mapping[str, pd.DataFrame], names: Sequence[str], state: str) -> float:
    """RMS difference of log top5_share between pairs of courses where both have the same ``state``, interpolated.

    Each pair counts the same; the state is compared on a grid of the range that both pass through. NaN without any.
    """
    squares = []
    for j, one in enumerate(names):
        for other in names[:j]:
            pair = [courses[name].sort_values(state) for name in (one, other)]
            low, high = max(p[state].min() for p in pair), min(p[state].max() for p in pair)
            if low < high:
                grid = np.linspace(low, high, 20)
                a, b = (np.interp(grid, p[state], np.log(p["top5_share"])) for p in pair)
                squares.append(float(np.square(a - b).mean()))
    return math.sqrt(float(np.mean(squares))) if squares else math.nan


def explained(run: Run, net: str = "stdcnn") -> pd.DataFrame:
    """One row a state (epoch, accuracy, margin, ...): how far the courses lie apart where it is equal, see :func:`spread`."""
    courses = _after_peak(run, net)
    rows = [{"equal": s, "apart": spread(courses, list(courses), s)} for s in ("epoch", *STATES) if s in run.rows]
    return pd.DataFrame(rows).assign(recipes=len(courses))


def figure(run: Run) -> Figure:
    """Share of the top five over the epochs, and against accuracy, margin and gradient norm: a line a training."""
    states = ("epoch", "test_accuracy", "margin", "gradient_norm")
    with style():
        drawn, axes = panels(states, columns=2, height=3.2)
        for ax, state in zip(axes, states, strict=True):
            for network, of_network in run.rows.groupby("network", sort=False):
                colour = look_of_network(f"{network}_mnist_rot").colour
                for j, (recipe, rows) in enumerate(of_network.groupby("model", sort=False)):
                    for k, (_, one) in enumerate(rows.groupby("training_seed")):
                        one, label = one.sort_values("epoch"), None if k else str(recipe).replace("_", " ")
                        line, width = LINES[j % len(LINES)], 1.6 if recipe in FIRST else 0.9
                        ax.plot(one[state], one["top5_share"], line, color=colour, linewidth=width, label=label)
            ax.set(xlabel=state.replace("_", " "), ylabel="share of the top five", ylim=(0, None))
            ax.axhline(0.1, color="black", linestyle=":", linewidth=0.8)
        legend(drawn, axes[:1])
    return drawn
