"""What paper K's items show on pictures: labels and confidences before and after a perturbation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import data, evaluate, lab
from uapkit.data import Images
from uapkit.figures import pictures
from uapkit.lab import Run
from uapkit.models import Model
from uapkit.seeds import child_seed


def example_pictures(name: str, n: int, seed: int, size: int | None) -> Images:
    """The pictures that examples are shown on: the free natural ones, or the first of a set's test images."""
    if name == "pictures":
        return data.load("pictures", size=size, resize="crop")[:n]
    return data.load(name, n=n, seed=child_seed(seed, "pictures"))


def surest(model: Model, x: Images, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(n,) predicted labels of x, or of x + v (unclipped), and (n,) their probabilities in [0, 1]."""
    found = evaluate.probabilities(model, x, v).max(1)
    return found.indices, found.values


def picture_rows(model: Model, shown: Images, v: Tensor) -> list[dict[str, Any]]:
    """A row a picture: label and confidence, clean and under v (unclipped, as the paper scores)."""
    names = lab.class_names(model)
    before, after = lab.keep(surest, model, shown), lab.keep(surest, model, shown, v)
    return [
        {
            "picture": k,
            "label": names[int(before[0][k])],
            "confidence": float(before[1][k]),
            "perturbed_label": names[int(after[0][k])],
            "perturbed_confidence": float(after[1][k]),
        }
        for k in range(len(shown))
    ]


def before_and_after(run: Run, rows: pd.DataFrame, v: np.ndarray, title: str) -> Figure:
    """The pictures of a run before and after ``v``, with the labels and confidences of ``rows``."""
    given = run.provenance["params"]
    shown = example_pictures(given["pictures"], len(rows), given["seed"], v.shape[-1])
    return pictures.examples(shown.x.numpy(), v, rows, title)
