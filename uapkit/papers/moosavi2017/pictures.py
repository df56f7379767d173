"""The pictures that paper M's examples are shown on, and what a network says of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from uapkit import data, evaluate, lab
from uapkit.data.images import Images
from uapkit.models import Model
from uapkit.seeds import child_seed


def example_pictures(name: str, n: int, seed: int, size: int | None) -> Images:
    """The pictures that examples are shown on: the free natural ones ("pictures"), or n test images of a set."""
    if name == "pictures":
        return data.load("pictures", size=size, resize="squash256")[:n]
    return data.load(name, n=n, seed=child_seed(seed, "pictures"))


def shown_in(run: lab.Run, n: int, size: int) -> Images:
    """The ``n`` pictures that a run has rows of."""
    given = run.provenance["params"]
    return example_pictures(given["pictures"], n, given["seed"], size)


def picture_rows(net: Model, v: Tensor, kind: str, shown: Images) -> list[dict[str, Any]]:
    """Labels and confidences of pictures, clean and perturbed (unclipped, as the paper scores)."""
    names = lab.class_names(net)
    before, after = (lab.keep(evaluate.probabilities, net, shown, shift).max(1) for shift in (None, v))
    return [
        {
            "kind": kind,
            "what": "picture",
            "picture": k,
            "label": names[int(before.indices[k])],
            "confidence": float(before.values[k]),
            "perturbed_label": names[int(after.indices[k])],
            "perturbed_confidence": float(after.values[k]),
        }
        for k in range(len(shown))
    ]
