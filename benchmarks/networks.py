"""What networks work: every network of the zoo scored, attacked an image at a time, for all images and at its logits.

No time is measured here; a row says MISS where a network that ought to work does not, or one that ought to be refused is not.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks import _zoo as zoo
from uapkit import attacks, evaluate, models
from uapkit.operators import JacobianOperator

PROMISED = 1e-4  # of the products with a Jacobian, beside autograd's


def scored(net: Any, x: Tensor) -> str:
    """Fooling rate of v = 0, which must be 0."""
    rate = float(evaluate.fooling_rate(net, x, torch.zeros(x.shape[1:])))
    return "yes" if rate == 0 else f"v = 0 fools {rate:.0%}"


def per_image(net: Any, x: Tensor) -> str:
    """DeepFool: its labels must be those that scoring gives."""
    found = attacks.deepfool(net, x)
    return "yes" if torch.equal(evaluate.labels(net, x, found.r), found.adversarial) else "labels differ"


def for_all(net: Any, x: Tensor) -> str:
    """UAP: its rate must be the one that scoring gives."""
    found = attacks.uap(net, x, eps=0.05, max_passes=1, max_iter=5)
    same = found.made_by["fooling_rate_fit"] == float(evaluate.fooling_rate(net, x, found.v))
    return "yes" if same else "rates differ"


def at_a_layer(net: Any, x: Tensor) -> str:
    """The singular vector at the logits; J^T w must be autograd's."""
    model, layer = (models.wrap(net), "logits") if isinstance(net, nn.Module) else (net, net)
    attacks.singular_uap(model, x, layer=layer, q=2, max_iter=2)
    fn = model.until(layer) if layer == "logits" else layer
    op = JacobianOperator(fn, x)
    w = torch.randn(op.shape[0], generator=torch.Generator().manual_seed(0)).to(op.torch_dtype)
    leaf = x.to(op.torch_dtype).requires_grad_()
    (expected,) = torch.autograd.grad(fn(leaf).flatten(), leaf, w)
    gap = float((op.rmatvec(w) - expected.sum(0).flatten()).norm() / expected.sum(0).norm())
    return "yes" if gap < PROMISED else f"products differ by {gap:.1e}"


DOORS: dict[str, Callable[[Any, Tensor], str]] = {
    "scored": scored,
    "attacked_by_image": per_image,
    "for_all_images": for_all,
    "at_a_layer": at_a_layer,
}


def row(one: zoo.Foreign) -> dict[str, str]:
    """One network: "yes", "refused", or what is wrong, at each door; in which words it is refused; whether as it should be."""
    found, words, ok = {"network": one.name}, "", True
    for door, through in DOORS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[door] = through(zoo.built(one), zoo.images(one))
        except (ValueError, TypeError) as error:
            found[door] = "refused"
            words = words or str(error).split(";")[0]
            ok &= bool(one.says) and re.search(one.says, str(error)) is not None
        wanted = "yes" if not one.says or (one.scores and door == "scored") else "refused"
        ok &= found[door] == wanted
    return {**found, "in_words": words.replace("|", "\\|") or "–", "verdict": "ok" if ok else "MISS"}


def run() -> pd.DataFrame:
    """The table of the page "What networks work"."""
    return pd.DataFrame([row(one) for one in zoo.ZOO])
