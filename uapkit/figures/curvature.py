"""Figures of paper J: class scores along curvature directions, subspaces, and a walk with a slider."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit.figures.panels import legend, models_of, of_what_was_run, panels
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import COLOURS, MARKERS, short, style
from uapkit.figures.widgets import Frames, State, frames

LOOKS = {  # kind -> (colour, marker, line, name)
    "positive": (COLOURS[0], MARKERS[0], "-", "S positive"),
    "negative": (COLOURS[1], MARKERS[1], "-", "S negative"),
    "both": (COLOURS[2], MARKERS[2], "-", "S negative and positive"),
    "flat": (COLOURS[3], MARKERS[3], "-", "S flat"),
    "random": ("#777777", "", ":", "random subspace"),
    "data": ("#000000", "", "--", "principal components of the images"),
}


def _grid(rows: int, columns: int, height: float = 2.3) -> tuple[Figure, np.ndarray]:
    return plt.subplots(
        rows, columns, figsize=(2.7 * columns, height * rows), squeeze=False, layout="constrained", sharex=True
    )


@of_what_was_run
def scores(run: pd.DataFrame, model: str) -> Figure:
    """Figure 1: the target's score along each direction, a thin line for each image and their mean; a row a class."""
    arrays, rows = run.attrs["arrays"], run[run["model"] == model]
    targets, kinds = (list(dict.fromkeys(rows[column])) for column in ("target", "kind"))
    s = arrays[f"s/{model}"]
    with style():
        figure, axes = _grid(len(targets), len(kinds))
        for line, target in enumerate(targets):
            for column, kind in enumerate(kinds):
                curves, ax = arrays[f"curves/{model}/{target}/{kind}"], axes[line, column]
                ax.plot(s, curves.T, color=COLOURS[5], linewidth=0.6, alpha=0.6)
                ax.plot(s, curves.mean(0), color="#000000", linewidth=2)
                row = rows[(rows["target"] == target) & (rows["kind"] == kind)].iloc[0]
                ax.set_title(f"class {target}, {kind}\n{row['shift_share']:.0%} by shifts", fontsize=9)
                if line == len(targets) - 1:
                    ax.set_xlabel("s")
            axes[line, 0].set_ylabel("class score")
        figure.suptitle(short(model))
    return figure


@of_what_was_run
def bands(run: pd.DataFrame, model: str, *, rank: int = 1) -> Figure:
    """Figure 2: medians and bands of the scores (upper), shares of images moved in and staying (lower); a column a kind.

    All classes of the table are in it, one after another from above.
    """
    rows = run[(run["model"] == model) & (run["rank"] == rank)]
    targets, kinds = (list(dict.fromkeys(rows[column])) for column in ("target", "kind"))
    with style():
        figure, axes = _grid(2 * len(targets), len(kinds), 2.0)
        for line, target in enumerate(targets):
            for column, kind in enumerate(kinds):
                part = rows[(rows["target"] == target) & (rows["kind"] == kind)].sort_values("s")
                upper, lower = axes[2 * line, column], axes[2 * line + 1, column]
                for place, (name, label) in enumerate(
                    (("target_score", "target class"), ("other_score", "best other"))
                ):
                    upper.plot(part["s"], part[name], color=COLOURS[place], linestyle=("-", "--")[place], label=label)
                    upper.fill_between(
                        part["s"], part[f"{name}_30"], part[f"{name}_70"], color=COLOURS[place], alpha=0.2
                    )
                shares = (
                    ("moved_in", "moved in"),
                    ("softmax", "softmax"),
                    ("stays", "stay"),
                    ("changed", "change label"),
                )
                for place, (name, label) in enumerate(shares):
                    look = {"color": COLOURS[place], "linestyle": ("-", ":", "--", "-.")[place], "label": label}
                    lower.plot(part["s"], part[name], **look)
                lower.set_ylim(-0.03, 1.03)
                upper.set_title(f"class {target}, {kind}", fontsize=9)
            axes[2 * line, 0].set_ylabel("score")
            axes[2 * line + 1, 0].set_ylabel("share")
        for ax in axes[-1]:
            ax.set_xlabel("s")
        axes[0, 0].set_title(f"{short(model)}\nclass {targets[0]}, {kinds[0]}", fontsize=9)
        legend(figure, [axes[0, 0], axes[1, 0]], 3)
    return figure


@of_what_was_run
def plane(run: pd.DataFrame) -> Figure:
    """The plane of the two most positive directions: share of images from outside that are in the target class."""
    arrays, models = run.attrs["arrays"], models_of(run)
    with style(grid=False):
        figure, axes = panels(models)
        for ax, model in zip(axes, models, strict=False):
            s, share = arrays[f"s/{model}"], arrays[f"grid/{model}"]
            shown = ax.pcolormesh(s, s, share.T, vmin=0, vmax=1, cmap="cividis")
            ax.set(title=short(model), xlabel="along the first", ylabel="along the second", aspect="equal")
            figure.colorbar(shown, ax=ax, label="share in the class")
    return figure


@of_what_was_run
def accuracy(run: pd.DataFrame) -> Figure:
    """Figure 3, top: accuracy on projected test images against the dimension; training images as faint lines."""
    with style():
        figure, axes = panels(models_of(run))
        for ax, model in zip(axes, models_of(run), strict=False):
            rows = run[run["model"] == model]
            for kind, (colour, marker, line, label) in LOOKS.items():
                part = rows[rows["kind"] == kind].sort_values("m")
                test, train = part[part["split"] == "test"], part[part["split"] == "train"]
                ax.plot(
                    test["m"], test["accuracy"], color=colour, marker=marker, linestyle=line, label=label, markersize=4
                )
                ax.fill_between(test["m"], test["low"], test["high"], color=colour, alpha=0.15)
                ax.plot(train["m"], train["accuracy"], color=colour, linestyle=line, linewidth=0.7, alpha=0.5)
            clean = rows[(rows["kind"] == "whole") & (rows["split"] == "test")]["accuracy"].iloc[0]
            ax.axhline(clean, color="#000000", linewidth=0.8)
            ax.set(
                title=short(model), xscale="log", ylim=(0, 1.02), xlabel="dimension of the subspace", ylabel="accuracy"
            )
        legend(figure, axes)
    return figure


@of_what_was_run
def energy(run: pd.DataFrame, model: str) -> Figure:
    """Figure 3, bottom: share of each attack's norm in the subspaces against their dimension, chance as a thin line."""
    rows = run[run["model"] == model]
    attacks = list(dict.fromkeys(rows["attack"]))
    with style():
        figure, axes = panels(attacks, 2, 2.5)
        for ax, name in zip(axes, attacks, strict=False):
            for kind, (colour, marker, line, label) in LOOKS.items():
                part = rows[(rows["attack"] == name) & (rows["kind"] == kind)].sort_values("m")
                ax.plot(
                    part["m"],
                    part["norm_share"],
                    color=colour,
                    marker=marker,
                    linestyle=line,
                    label=label,
                    markersize=4,
                )
            title = f"{name}, {short(model)}"
            ax.set(title=title, xscale="log", ylim=(0, 1.02), xlabel="dimension", ylabel="share of the norm")
        legend(figure, axes, 2)
    return figure


@of_what_was_run
def spectra(run: pd.DataFrame) -> Figure:
    """Curvature values of all classes, sorted, a panel a network; for ends alone, positive and negative ones."""
    with style():
        figure, axes = panels(models_of(run))
        for ax, model in zip(axes, models_of(run), strict=False):
            values = run.attrs["arrays"][f"values/{model}"]
            for one in values:
                ax.plot(np.arange(1, len(one) + 1), one, color=COLOURS[0], linewidth=0.8, alpha=0.6)
            ax.axhline(0, color="#000000", linewidth=0.8)
            ax.set(title=short(model), xlabel="place in the signed order", ylabel="curvature")
    return figure


@of_what_was_run
def steps(run: pd.DataFrame) -> Figure:
    """Largest and smallest value, overlap with the paper's step, and images moved in, for each way to take the Hessian."""
    models = models_of(run)
    with style():
        figure, axes = plt.subplots(
            len(models), 3, figsize=(8.4, 2.9 * len(models)), squeeze=False, layout="constrained", sharey="row"
        )
        for line, model in enumerate(models):
            rows = run[run["model"] == model]
            names = list(
                dict.fromkeys(f"{h} {s:g}" if s else h for h, s in zip(rows["how"], rows["size"], strict=True))
            )
            places = [names.index(f"{h} {s:g}" if s else h) for h, s in zip(rows["how"], rows["size"], strict=True)]
            values, overlap, moved = axes[line]
            values.plot(rows["largest"], places, "o", color=COLOURS[0], label="largest")
            values.plot(rows["smallest"], places, "s", color=COLOURS[1], label="smallest")
            values.set(yticks=range(len(names)), yticklabels=names, title=short(model), xlabel="curvature")
            values.legend(fontsize=8)
            overlap.plot(rows["overlap"], places, "^", color=COLOURS[2])
            overlap.axvline(rows["chance"].iloc[0], color="#777777", linestyle=":")
            overlap.set(xlim=(-0.03, 1.03), xlabel="overlap with the paper's step")
            moved.plot(rows["moved_in"], places, "D", color=COLOURS[3])
            moved.set(xlim=(-0.03, 1.03), xlabel="share moved in")
            values.invert_yaxis()
    return figure


def directions(run: pd.DataFrame, model: str) -> Figure:
    """The directions of one network as pictures, stretched to the full contrast."""
    found = {k: v for k, v in run.attrs["arrays"].items() if k.startswith(f"v/{model}/")}
    columns = min(4, len(found))
    rows = -(-len(found) // columns)
    with style(grid=False):
        figure, axes = plt.subplots(
            rows, columns, figsize=(2.1 * columns, 2.3 * rows), squeeze=False, layout="constrained"
        )
        for ax in axes.flat:
            ax.axis("off")
        for ax, (name, v) in zip(axes.flat, found.items(), strict=False):
            ax.imshow(as_picture(v, stretch=True), interpolation="nearest")
            target, _, kind = name.removeprefix(f"v/{model}/").partition("/")
            ax.set_title(f"class {target}\n{kind}" if kind else target, fontsize=9)
    return figure


def walk(
    run: pd.DataFrame, model: str, *, classes: Sequence[str] | None = None, n_images: int | None = None, every: int = 2
) -> Frames:
    """A slider along the directions of Figure 1: the image, its class scores (softmax) and the predicted label.

    n_images: None shows two grey images or one in colour, whose pictures weigh twice as much.
    """
    arrays = run.attrs["arrays"]
    if n_images is None:
        n_images = 1 if arrays[f"x/{model}"].shape[1] == 3 else 2
    rows = run[(run["status"] == "run") & (run["model"] == model)]
    target = rows["target"].iloc[0]
    s, x = arrays[f"s/{model}"][::every], arrays[f"x/{model}"]
    n = next(v for k, v in arrays.items() if k.startswith(f"scores/{model}/")).shape[-1]
    names = [str(c) for c in (classes or range(n))]
    states = []
    for kind in dict.fromkeys(rows["kind"]):
        v, logits = arrays[f"v/{model}/{target}/{kind}"], arrays[f"scores/{model}/{target}/{kind}"][:, ::every]
        share = np.exp(logits - logits.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        for i in range(min(n_images, len(x))):
            for at, place in enumerate(s):
                label = names[int(logits[i, at].argmax())]
                states.append(
                    State(
                        at={"direction": kind, "image": f"image {i + 1}", "s": round(float(place), 2)},
                        pictures=x[i] + place * v,
                        facts={"predicted": label, f"score of {names[target]}": round(float(logits[i, at, target]), 2)},
                        bars=dict(zip(names, share[i, at].tolist(), strict=True)),
                        marked=names[target],
                        alt=f"a test image moved by {place:.2f} along a {kind} direction, predicted {label}",
                    )
                )
    return frames(
        states,
        title=f"A walk along directions of class {names[target]}, {short(model)}",
        bars="softmax of the class scores",
        start=len(s) // 2,
        note="Pictures are clipped to the pixel range for display only.",
        width=140,
    )
