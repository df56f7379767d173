"""Paper M's pictures: one perturbation on many images (Figure 1), examples (Figure 3) and the gallery (Figure 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from uapkit import data as sets
from uapkit import evaluate
from uapkit.data.images import Images
from uapkit.experiments.common import class_names, rate
from uapkit.experiments.moosavi2017_rates import UAP, gram
from uapkit.experiments.moosavi2017_shared import Study, facts, kind_of_null
from uapkit.experiments.tidy import as_null, by_network, claim, evidence
from uapkit.fourier import mean_wavelength
from uapkit.lab.sweep import PerNetwork, sweep
from uapkit.seeds import child_seed


def example_pictures(name: str, n: int, seed: int, size: int | None) -> Images:
    """The pictures that examples are shown on: the free natural ones ("pictures"), or n test images of a set."""
    if name == "pictures":
        return sets.load("pictures", size=size, resize="squash256")[:n]
    return sets.load(name, n=n, seed=child_seed(seed, "pictures"))


def _picture_rows(study: Study, spec: str, v: Tensor, kind: str, shown: Images) -> list[dict]:
    """Labels and confidences of pictures, clean and perturbed (unclipped, as the paper scores)."""
    net = study.bench(spec).model(spec)
    names = class_names(net)
    before, after = (evaluate.probabilities(net, shown.x, shift).max(1) for shift in (None, v))
    return [
        {"kind": kind, "what": "picture", "picture": k}
        | {"label": names[int(before.indices[k])], "confidence": float(before.values[k])}
        | {"perturbed_label": names[int(after.indices[k])], "perturbed_confidence": float(after.values[k])}
        for k in range(len(shown))
    ]


def _scored_row(study: Study, spec: str, v: Tensor, kind: str) -> dict[str, Any]:
    """What happens to the scored images: who is fooled, and the mean confidence of fooled images before and after."""
    net, scored = study.bench(spec).model(spec), study.x(spec)[1]
    flags = study.fooled(spec, v)
    row = {"kind": kind, "what": "scored images", **rate(flags)}
    if bool(flags.any()):
        hit = scored.x[flags.to(scored.x.device)]
        before, after = (float(evaluate.probabilities(net, hit, shift).amax(1).mean()) for shift in (None, v))
        row |= {"confidence": before, "perturbed_confidence": after}
    return row


def fig1_teaser(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    pictures: str = "digits",
    n_pictures: int = 5,
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 1 of [moosavi2017]: one perturbation, added to many pictures, changes the label of most of them.

    Rows with what "picture", one a (model, kind, picture): label, confidence, perturbed_label, perturbed_confidence;
    with what "scored images", one a (model, kind): fooling_rate, low, high, n. kind "UAP", or the null of the same norm.
    The perturbation as ``v/<model>`` in ``attrs["arrays"]``. pictures: free photographs, or images of a set.
    """
    study = Study(data, n_fit, n_images, n_eval, eps, target_rate, max_passes, seed, device)

    def teaser(model: str) -> tuple[list[dict], dict]:
        made = study.fit(model, norm=norm)
        shown = example_pictures(pictures, n_pictures, seed, made.v.shape[-1]).to(device)
        rows = []
        for kind, v in ((UAP, made.v), (kind_of_null(norm), study.random(model, 0, norm))):
            rows += _picture_rows(study, model, v, kind, shown)
            rows.append({"kind": kind, "what": "scored images", **rate(study.fooled(model, v))})
        return rows, {f"v/{model}": made.v.cpu().numpy()}

    return study.joined(
        [sweep([{"model": s} for s in study.specs(models)], teaser, over=("models",), per_network=True)]
    )


def fig3_examples(
    *,
    models: Sequence[Any] = ("lenet_digits", "vgg_digits"),
    norms: Sequence[float] = (2.0, math.inf),
    data: PerNetwork = "digits",
    pictures: str = "digits",
    n_pictures: int = 6,
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 3 of [moosavi2017]: perturbed images with the labels that the network gives them, in both norms.

    Rows with what "picture", one a (model, norm, kind, picture): label, confidence, perturbed_label,
    perturbed_confidence. Rows with what "scored images", one a (model, norm, kind): fooling_rate, low, high, n, and the
    mean confidence of the images that are fooled, before (confidence) and after (perturbed_confidence). kind "UAP" or the
    null. Perturbations as ``v/<model>/<norm>`` in ``attrs["arrays"]``.
    """
    study = Study(data, n_fit, n_images, n_eval, eps, target_rate, max_passes, seed, device)

    def examples(model: str, norm: float) -> tuple[list[dict], dict]:
        made = study.fit(model, norm=norm)
        shown = example_pictures(pictures, n_pictures, seed, made.v.shape[-1]).to(device)
        rows = []
        for kind, v in ((UAP, made.v), (kind_of_null(norm), study.random(model, 0, norm))):
            rows += _picture_rows(study, model, v, kind, shown)
            rows.append(_scored_row(study, model, v, kind))
        return rows, {f"v/{model}/{norm:g}": made.v.cpu().numpy()}

    points = [{"model": s, "norm": norm} for s in study.specs(models) for norm in norms]
    return study.joined([sweep(points, examples, over=("models", "norms"), per_network=True, desc="examples")])


def fig4_gallery(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits", "vgg_digits"),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 4 of [moosavi2017]: the universal perturbations of several networks, their sizes and how alike they are.

    Rows of kind "UAP", one a model: l2_norm and linf_norm (0 to 255), fraction_entries_abs_ge_9 (entries within a tenth
    of the radius: at least 9 of 10), wavelength (mean, in pixels), end, steps, and fooling_rate with low and high. The
    null with the same columns: kind "random signs" or "random direction". Rows of kind "pair", one a pair of networks on
    the same images: other_network and cosine_similarity; of kind "random pair": the null. Perturbations as ``v/<model>/``
    in ``attrs["arrays"]``.
    """
    study = Study(data, n_fit, n_images, n_eval, eps, target_rate, max_passes, seed, device)

    def about(model: str, kind: str, v: Tensor) -> dict[str, Any]:
        size = study.radius(model, norm)
        share = float((v.abs() >= 0.9 * size).float().mean()) if norm == math.inf else math.nan
        norms = {"l2_norm": 255 * float(v.double().norm()), "linf_norm": 255 * float(v.abs().max())}
        row = {"kind": kind, **norms, "fraction_entries_abs_ge_9": share, "wavelength": mean_wavelength(v.cpu())}
        return row | rate(study.fooled(model, v))

    def picture(model: str) -> tuple[list[dict], dict]:
        made = study.fit(model, norm=norm)
        row = {k: v for k, v in facts(made).items() if k in ("n_fit", "end", "passes", "steps")}
        null = about(model, kind_of_null(norm), study.random(model, 0, norm))
        return [about(model, UAP, made.v) | row, null], {f"v/{model}/": made.v.cpu().numpy()}

    specs = study.specs(models)
    parts = [sweep([{"model": s} for s in specs], picture, over=("models",), per_network=True, desc="gallery")]
    found = {k.split("/")[1]: torch.from_numpy(v) for k, v in parts[0].attrs["arrays"].items()}
    rows = []
    for a, b in combinations(found, 2):
        if study.bench(a) is study.bench(b) and found[a].shape == found[b].shape:
            noise = [study.random(a, k, norm) for k in (0, 1)]
            for kind, both in (("pair", [found[a], found[b]]), ("random pair", noise)):
                row = {"model": a, "other_network": b, "status": "run", "kind": kind}
                rows.append(row | {"cosine_similarity": float(gram(both)[0, 1])})
    return study.joined([*parts, pd.DataFrame(rows)] if rows else parts)


@evidence
def fig4_gallery_evidence(table: pd.DataFrame) -> list[dict]:
    """The networks' perturbations are nearly orthogonal: the largest modulus of a network's cosines with the others.

    The interval runs from its smallest to its largest modulus; the authors' own six arrays stay below 0.07. Random vectors
    satisfy the claim, too: it counts where the network's perturbation fools more than a random one, so the null holds only
    where it does not.
    """
    if "other_network" not in table:
        return []
    found, pairs = [], table[table["kind"] == "pair"]
    for model, rows in by_network(table):
        own = pairs[(pairs["model"] == model) | (pairs["other_network"] == model)]["cosine_similarity"].abs()
        attack, chance = rows[rows["kind"] == UAP], rows[rows["kind"].isin(["random signs", "random direction"])]
        if len(own) and len(attack):
            here = {"estimate": own.max(), "low": own.min(), "high": own.max(), "n": len(own)}
            above = attack["low"].min() > chance["high"].max()
            null = dict.fromkeys(("estimate", "low", "high"), math.nan if above else 0.0)
            found.append(claim("nearly_orthogonal", model, here, "<", 0.1, **as_null(null)))
    return found
