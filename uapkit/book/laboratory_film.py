"""Four short runs, one a bench, as a film strip with sentences: what a reader without JavaScript sees of the laboratory."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from torch import Tensor

from uapkit import attacks, data
from uapkit.attacks.uap import Pass
from uapkit.book.laboratory_answers import BETA, curvatures
from uapkit.book.laboratory_chain import floats
from uapkit.evaluate import fooling_rate, labels, random_perturbation
from uapkit.figures.style import style
from uapkit.intervals import Rate
from uapkit.models.model import Model

STRENGTH, N_OTHERS = 0.25, 200
Frame = dict[str, Any]  # picture (base64 of (28, 28) float32), below (its caption), signed


def runs(model: Model) -> list[dict[str, Any]]:
    """bench, frames and sentence of four runs at seed 0, as plain JSON."""
    others = data.load("digits", n=N_OTHERS)
    clean = labels(model, others)

    def rate(v: Tensor) -> Rate:
        return fooling_rate(model, others, v, clean=clean)

    random = rate(random_perturbation((1, 28, 28), eps=STRENGTH, seed=0))
    return [_power(model, rate, random), _universal(model, rate, random), _stacked(model, rate, random), _curved(model)]


def _frame(picture: Tensor, below: str, signed: bool = True) -> Frame:
    return {"picture": floats(picture), "below": below, "signed": signed}


def _unit(v: Tensor) -> Tensor:
    return v.view(1, 28, 28) * (STRENGTH / float(v.double().square().mean().sqrt()))


def _power(model: Model, rate: Any, random: Rate) -> dict[str, Any]:
    frames: list[Frame] = []

    def watch(k: int, v: Tensor, value: float) -> None:
        if k in (1, 2, 4, 8, 16):
            frames.append(_frame(v, f"iteration {k}\n{value:.1f}; {float(rate(_unit(v))):.1%}"))

    x = data.load("digits", split="train", n=16, seed=0)
    made = attacks.singular_uap(model, x, layer="block2_pool", q=10, eps=STRENGTH, max_iter=20, callback=watch)
    sentence = (
        f"The power method on 16 digits and the layer block2_pool: the value grows from {made.made_by['start_value']:.1f} for "
        f"random signs to {made.history[-1]:.1f}. Below each vector its value and the share of {N_OTHERS} other digits that "
        f"change their label under it at strength {STRENGTH}; in the end {_told(rate(made.v))}, random signs {_told(random)}."
    )
    return {"bench": "K", "frames": frames, "sentence": sentence}


def _universal(model: Model, rate: Any, random: Rate) -> dict[str, Any]:
    frames: list[Frame] = []

    def watch(one: Pass) -> None:
        frames.append(_frame(one.v, f"pass {one.number}\n{one.fooling_rate:.1%}; {float(rate(one.v)):.1%}"))

    x = data.load("digits", split="train", n=32, seed=0)
    made = attacks.uap(model, x, eps=STRENGTH, max_passes=5, target_rate=1.0, callback=watch)
    sentence = (
        f"Algorithm 1 on 32 digits, no pixel changed by more than {STRENGTH}: the vector after each pass, with its rate on the "
        f"digits it was fitted on and on {N_OTHERS} others. After {made.made_by['n_passes']} passes and "
        f"{made.made_by['steps']} pushes {_told(rate(made.v))} of the others change their label; random signs {_told(random)}."
    )
    return {"bench": "M", "frames": frames[:5], "sentence": sentence}


def _stacked(model: Model, rate: Any, random: Rate) -> dict[str, Any]:
    frames: list[Frame] = []
    last = random
    for n in (2, 8, 32, 128, 512):
        made = attacks.svd_uap(
            model, data.load("digits", split="train", n=n, seed=0), eps=STRENGTH * 28, norm=2, sign="both"
        )
        last = rate(made.v)
        frames.append(_frame(made.v, f"{n} gradients\n{made.made_by['share']:.1%}; {float(last):.1%}"))
    sentence = (
        f"The first singular vector of 2 to 512 loss gradients, with its share of their squared length and its rate on "
        f"{N_OTHERS} others: {_told(last)} in the end, random signs {_told(random)}."
    )
    return {"bench": "E", "frames": frames, "sentence": sentence}


def _curved(model: Model, target: int = 3) -> dict[str, Any]:
    x = data.load("digits", split="train", n=20, seed=0)
    found = curvatures(model, x, target, most=20, beta=BETA, seed=0)
    test = data.load("digits", n=1).x
    frames = []
    for distance in (-14.0, -7.0, 0.0, 7.0, 14.0):
        moved = test + distance * found.vectors[:, 0].view(1, 1, 28, 28)
        label = int(model(moved).argmax())
        frames.append(_frame(moved, f"distance {distance:g}\n{label}", signed=False))
    sentence = (
        f"A test digit moved along the direction in which the score of class {target} bends most upwards near its boundary "
        f"(curvature of a smooth copy {float(found.values[0]):.2f}; the most negative is {float(found.values[1]):.2f}), with the "
        "label that the network itself gives it."
    )
    return {"bench": "J", "frames": frames, "sentence": sentence}


def _told(r: Rate) -> str:
    return f"{r.value:.1%} [{r.low:.1%}, {r.high:.1%}]"


def strip(made: list[dict[str, Any]]) -> bytes:
    """The runs as one PNG, a row a bench."""
    width = max(len(run["frames"]) for run in made)
    with style(grid=False):
        figure, axes = plt.subplots(len(made), width, figsize=(1.5 * width, 2.1 * len(made)), squeeze=False)
        for row, run in zip(axes, made, strict=True):
            for ax in row:
                ax.set_axis_off()
            for ax, frame in zip(row, run["frames"], strict=False):
                x = _picture(frame["picture"])
                top = float(np.abs(x).max()) or 1.0
                low, high = (-top, top) if frame["signed"] else (0.0, 1.0)
                ax.imshow(x, cmap="gray", vmin=low, vmax=high)
                ax.text(0.5, -0.04, frame["below"], transform=ax.transAxes, ha="center", va="top", fontsize=8)
            row[0].text(-0.08, 0.5, run["bench"], transform=row[0].transAxes, ha="right", va="center", weight="bold")
        out = io.BytesIO()
        figure.savefig(out, format="png", bbox_inches="tight", metadata={"Software": None})
    return out.getvalue()


def _picture(text: str) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(text), "<f4")
    return flat.reshape(math.isqrt(len(flat)), -1)


def page(made: list[dict[str, Any]], picture: str) -> str:
    """The strip and its sentences as Markdown."""
    alt = "Four rows of five small pictures: " + "; ".join(f"{r['bench']}, {len(r['frames'])} frames" for r in made)
    lines = [f"```{{image}} {picture}\n:alt: {alt}\n:width: 100%\n```", ""]
    return "\n".join([*lines, *(f"- **{run['bench']}.** {run['sentence']}" for run in made), ""])
