"""Figure 1 of [jetley2018]: class scores along directions of positive, of negative and of no chosen curvature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab, names
from uapkit.figures.panels import of_a_run
from uapkit.figures.pictures import as_picture
from uapkit.figures.style import look, short, style
from uapkit.figures.widgets import Frames, State, frames
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.papers.jetley2018.along import FIRST, direction, positions, scores_along
from uapkit.papers.jetley2018.drawing import grid
from uapkit.papers.jetley2018.setting import told
from uapkit.papers.jetley2018.subspaces import RANDOM, Curved, deciding
from uapkit.seeds import child_seed

N_SHOWN = 40  # curves kept for the page
N_PICTURES = 6  # images that can be walked with


def run(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    targets: Sequence[int] = (3, 8),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 500,
    n_fit: int | Mapping[str, int] = 30,
    n_eval: int | None = 150,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    reach: float = 10.0,
    n_positions: int = 41,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 1 of [jetley2018]: the score of a class against the way s along one direction, a curve for each test image.

    One row a (model, target, kind), kind "positive" and "negative" (the ends of the class's curvature spectrum) and the
    null "random": curvature; shift_share, the share of the curves' variance that their mean explains, with its
    bootstrap interval over the images (low, high) and n; even_share about the best centre s_0 (even_low, even_high,
    centre), even_share_at_0, odd_even_ratio = sqrt(odd/even) about s_0; converged and overlap_halves, what vouches for
    the directions, see :meth:`Curved.vouched`. Arrays: positions ``s/<model>``, curves of the
    target score ``curves/<model>/<target>/<kind>``, directions ``v/...``, and for a walk through pictures
    ``x/<model>`` and all scores ``scores/<model>/<target>/<kind>`` (images, positions, classes).
    """
    bench = lab.Bench(data, n_train, 0, n_eval, seed, device, from_training=True)
    curved = Curved(bench, n_fit, k, step_factor, max_products)

    def curves(model: str, target: int) -> tuple[list[dict], dict]:
        found, images, shape = curved.curvatures(model, target), bench.split(model).scored, bench.shape(model)
        s, few = positions(shape, reach, n_positions), slice(0, N_PICTURES)
        rows, arrays = [], {f"s/{model}": s, f"x/{model}": images.x[few].cpu().numpy()}
        vouched = curved.vouched(model, target)
        for kind in ("positive", "negative", RANDOM):
            v, curvature = direction(found, kind, shape, seed=seed)
            scores = lab.keep(scores_along, bench.network(model), images.x, v, s)
            f = scores[:, :, target].double().numpy()
            rows.append({"kind": kind, "curvature": curvature, **measured(f, s, seed), **vouched})
            place = f"{model}/{target}/{kind}"
            arrays[f"curves/{place}"] = f[:N_SHOWN].astype(np.float32)
            arrays[f"v/{place}"] = v.cpu().numpy()
            arrays[f"scores/{place}"] = scores[few].numpy()
        return rows, arrays

    points = [{"model": model, "target": target} for model in bench.names(models) for target in targets]
    return told(bench, lab.sweep(points, curves, desc="scores along directions"), FIRST)


def measured(curves: np.ndarray, s: np.ndarray, seed: int) -> dict[str, float]:
    """What part of curves (n, s) is a shift of one another, and what part is even, with intervals over the images."""
    centre = best_centre(curves)
    low, high = bootstrap(lambda counts: shift_share(curves, counts), len(curves), seed)
    even = even_share(curves, centre)
    even_low, even_high = bootstrap(lambda counts: even_share(curves, centre, counts), len(curves), seed)
    return {
        "shift_share": shift_share(curves),
        "low": low,
        "high": high,
        "even_share": even,
        "even_low": even_low,
        "even_high": even_high,
        "centre": float(s[centre]),
        "even_share_at_0": even_share(curves, len(s) // 2),
        "odd_even_ratio": math.sqrt((1 - even) / even) if even else math.inf,
        "n": len(curves),
    }


def shift_share(curves: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Share of the variance of curves (n, s), each about its own mean, that their mean curve explains; in [0, 1].

    1 where all curves are vertical shifts of one another; about 1/n for unrelated ones. counts: how often each counts.
    """
    own = curves - curves.mean(1, keepdims=True)
    w = np.ones(len(own)) if counts is None else counts
    mean = (w @ own) / w.sum()
    total = float(w @ (own**2).sum(1))
    return float(w.sum() * (mean**2).sum() / total) if total else math.nan


def even_share(curves: np.ndarray, centre: int, counts: np.ndarray | None = None) -> float:
    """Energy of the even parts of curves (n, s) about position ``centre``, as a share of even and odd; in [0, 1].

    Each curve is taken relative to its value there, over the widest window that is symmetric about it.
    """
    half = min(centre, curves.shape[1] - 1 - centre)
    g = curves[:, centre - half : centre + half + 1] - curves[:, centre : centre + 1]
    even, odd = (g + g[:, ::-1]) / 2, (g - g[:, ::-1]) / 2
    w = np.ones(len(g)) if counts is None else counts
    e, o = float(w @ (even**2).sum(1)), float(w @ (odd**2).sum(1))
    return e / (e + o) if e + o else math.nan


def best_centre(curves: np.ndarray) -> int:
    """The place s_0, in the middle half of the positions, about which the mean curve is most nearly even."""
    n = curves.shape[1]
    mean = curves.mean(0, keepdims=True)
    return max(range(n // 4, n - n // 4), key=lambda c: even_share(mean, c))


def bootstrap(measure: Callable[[np.ndarray], float], n: int, seed: int, n_boot: int = 500) -> tuple[float, float]:
    """95 % percentile interval of ``measure(counts)`` over n images drawn with replacement."""
    rng = np.random.default_rng(child_seed(seed, "bootstrap"))
    draws = [measure(np.bincount(rng.integers(0, n, n), minlength=n).astype(float)) for _ in range(n_boot)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def claims(run: Run) -> Iterator[Claim]:
    """Along the ends of the spectrum: shifts explain over half of the curves' variance, and over half of it is even."""
    for network, rows in run.by_network():
        rows = deciding(run, network, rows)
        for _, one in rows[rows["kind"] != RANDOM].iterrows():
            null = lab.rows_of(rows, target=one["target"], kind=RANDOM).iloc[0]
            name = f"{network} (class {one['target']}, {one['kind']})"
            shifts, chance = (lab.from_row(row, "shift_share") for row in (one, null))
            yield claim("curves_are_shifts", name, shifts, ">", 0.5, null=chance)
            even, chance = (_even(row) for row in (one, null))
            yield claim("symmetric_curves", name, even, ">", 0.5, null=chance)


def _even(row: pd.Series) -> Interval:
    return lab.from_row(row, "even_share", "even_low", "even_high")


@of_a_run
def figure(run: Run, network: str) -> Figure:
    """The target's score along each direction, a thin line for each image and their mean; a row a class."""
    rows, s = run.where(model=network), run.arrays[f"s/{network}"]
    targets, kinds = (list(dict.fromkeys(rows[column])) for column in ("target", "kind"))
    with style():
        drawn, axes = grid(len(targets), len(kinds))
        for line, target in enumerate(targets):
            for ax, kind in zip(axes[line], kinds, strict=True):
                curves, colour = run.flags("curves", network, target, kind), look(kind).colour
                ax.plot(s, curves.T, color=colour, linewidth=0.6, alpha=0.35)
                ax.plot(s, curves.mean(0), color=colour, linewidth=2.4)
                share = lab.rows_of(rows, target=target, kind=kind)["shift_share"].iloc[0]
                ax.set_title(f"{names.label(network, target)}, {kind}\n{share:.0%} by shifts", fontsize=9)
                if line == len(targets) - 1:
                    ax.set_xlabel("s")
            axes[line, 0].set_ylabel("class score")
        drawn.suptitle(short(network))
    return drawn


@of_a_run
def directions(run: Run, network: str) -> Figure:
    """The directions of one network as pictures, stretched to the full contrast; a row a class."""
    rows = run.where(model=network)
    targets, kinds = (list(dict.fromkeys(rows[column])) for column in ("target", "kind"))
    with style(grid=False):
        drawn, axes = grid(len(targets), len(kinds))
        for line, target in zip(axes, targets, strict=True):
            for ax, kind in zip(line, kinds, strict=True):
                ax.imshow(as_picture(run.flags("v", network, target, kind), stretch=True), interpolation="nearest")
                ax.set_title(f"{names.label(network, target)}\n{kind}", fontsize=9)
                ax.axis("off")
    return drawn


def slider(
    run: Run, network: str, *, classes: Sequence[str] | None = None, n_images: int | None = None, every: int = 2
) -> Frames:
    """A slider along the directions of the first class: the image, its class scores (softmax) and the predicted label.

    n_images: None shows two grey images or one in colour, whose pictures weigh twice as much.
    """
    rows, x = run.where(model=network), run.flags("x", network)
    if n_images is None:
        n_images = 1 if x.shape[1] == 3 else 2
    target, s = rows["target"].iloc[0], run.flags("s", network)[::every]
    n_classes = run.all_flags("scores", network)[0].shape[-1]
    called = [str(c) for c in classes or (names.label(network, k) for k in range(n_classes))]
    states = []
    for kind in dict.fromkeys(rows["kind"]):
        v, logits = (run.flags(what, network, target, kind) for what in ("v", "scores"))
        logits = logits[:, ::every]
        share = np.exp(logits - logits.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        for i in range(min(n_images, len(x))):
            for at, place in enumerate(s):
                label = called[int(logits[i, at].argmax())]
                states.append(
                    State(
                        at={"direction": kind, "image": f"image {i + 1}", "s": round(float(place), 2)},
                        pictures=x[i] + place * v,
                        facts={
                            "predicted": label,
                            f"score of {called[target]}": round(float(logits[i, at, target]), 2),
                        },
                        bars=dict(zip(called, share[i, at].tolist(), strict=True)),
                        marked=called[target],
                        alt=f"a test image moved by {place:.2f} along a {kind} direction, predicted {label}",
                    )
                )
    return frames(
        states,
        title=f"A walk along directions of {called[target]}, {short(network)}",
        bars="softmax of the class scores",
        start=len(s) // 2,
        note="Pictures are clipped to the pixel range for display only.",
        width=140,
    )
