"""Paper M's explanation: the normals of the decision boundary have few directions in common (Figure 9, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from uapkit import evaluate, spectra
from uapkit.experiments.common import rate
from uapkit.experiments.moosavi2017_minimal import all_values, minimal
from uapkit.experiments.moosavi2017_shared import Study
from uapkit.experiments.tidy import by_network, claim, evidence, mean_of
from uapkit.lab.sweep import PerNetwork, sweep
from uapkit.seeds import child_seed, generator

NORMALS, SPHERE, INSIDE = "normals", "random, on the sphere", "random, in the images' subspace"
SHARES = (0.01, 0.1, 0.5)  # of the places of a spectrum, where a table reads it


def fig9_spectrum(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits"),
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 200,
    n_images: PerNetwork = None,
    k: int = 100,
    n_groups: int = 5,
    num_classes: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Singular values of the normals to the decision boundary, Figure 9 of [moosavi2017], beside those of random matrices.

    The rows r / |r|, r the minimal perturbation (DeepFool, 2-norm) of one image, are the normals at the boundary points
    x + r; of the first ``n_images`` (None: all) of ``n_fit``, as everywhere in this paper's items. Kinds: "normals";
    the paper's comparison "random, on the sphere", as many rows uniform on the unit sphere of R^d; and ours "random, in
    the images' subspace", on the unit sphere of the ``image_rank``-dimensional subspace that holds 99 % of the images'
    energy (no mean subtracted). One row a (model, kind, share): singular_value is the one at this share of the min(n,
    d) places, energy the share of the sum of squares up to there; half: how many directions hold half of it. Rows with
    ``group``: the same for one of ``n_groups`` equal parts of the images, from which the intervals come. mean_length:
    of r, 0 to 255. All values as ``values/<model>/<kind>`` in ``attrs["arrays"]``. k: singular vectors kept for
    :func:`sec_subspace`, which shares this item's computation.
    """
    study = Study(data, n_fit, n_images, 1, seed=seed, device=device)

    def spectrum(model: str) -> tuple[list[dict], dict]:
        images, _ = study.x(model)
        found = minimal(study.bench(model).model(model), images, k=k, n_groups=n_groups, num_classes=num_classes)
        d, m = images.x[0].numel(), int(found["image_rank"])
        about = {"d": d, "image_rank": m, "mean_length": 255 * float(found["lengths"].mean())}

        def kinds(normals: Tensor, n: int, name: str) -> dict[str, Tensor]:
            """In an orthonormal basis of a subspace, rows on its sphere are rows on the sphere of R^m."""
            nulls = {SPHERE: d, INSIDE: m}
            drawn = {kind: spectra.random_directions(n, w, child_seed(seed, name + kind)) for kind, w in nulls.items()}
            return {NORMALS: normals} | {kind: all_values(rows) for kind, rows in drawn.items()}

        n = len(found["lengths"])
        whole, rows = kinds(found["values"], n, "all"), []
        for kind, values in whole.items():
            rows += [{"kind": kind, **about, "n": n, **cells} for cells in _read(values, SHARES, min(n, d))]
        for g, part in enumerate(found["group_values"]):
            size = n // n_groups
            for kind, values in kinds(part, size, f"group {g}").items():
                rows += [{"kind": kind, "group": g, **about, "n": size, **_read(values, (0.1,), min(size, d))[0]}]
        return rows, {f"values/{model}/{kind}": values.float().numpy() for kind, values in whole.items()}

    points = [{"model": spec} for spec in study.specs(models)]
    return study.joined([sweep(points, spectrum, over=("models",), per_network=True, desc="spectra")])


def _read(values: Tensor, shares: Sequence[float], places: int) -> list[dict[str, float]]:
    """Singular value and energy at shares of the places (zero and one behind a spectrum's end), and half its energy."""
    energy = spectra.energy(values)
    half = int((energy < 0.5).sum()) + 1
    found = []
    for share in shares:
        i = max(1, round(share * places)) - 1
        inside = i < len(values)
        cells = {"singular_value": float(values[i]) if inside else 0.0, "energy": float(energy[i]) if inside else 1.0}
        found.append({"share": share, **cells, "half": half})
    return found


@evidence
def fig9_spectrum_evidence(table: pd.DataFrame) -> list[dict]:
    """A tenth of the directions: energy of the normals minus that of a random matrix, over groups of images.

    Against the images' own subspace only where there are more images than dimensions: it is not known otherwise.
    """
    found = []
    for model, rows in by_network(table):
        energy = rows[rows["group"].notna()].pivot(index="group", columns="kind", values="energy")
        found.append(claim("fast_decay", model, mean_of(energy[NORMALS] - energy[SPHERE]), ">", 0.0))
        whole = rows[rows["group"].isna()]
        if int(whole["n"].max()) >= int(whole["d"].max()):
            gain = mean_of(energy[NORMALS] - energy[INSIDE])
            found.append(claim("faster_than_in_the_images_subspace", model, gain, ">", 0.0))
    return found


IN_NORMALS, ANYWHERE, IN_IMAGES = "subspace of normals", "random direction", "subspace of the images"
BASES = {IN_NORMALS: "vectors", IN_IMAGES: "image_vectors"}


def sec_subspace(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits"),
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 200,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 200,
    ks: Sequence[int] = (10, 100),
    eps: float = 0.2,
    n_random: int = 10,
    n_groups: int = 5,
    num_classes: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Random vectors in the span of the normals' first singular vectors, section 4 of [moosavi2017], on other images.

    The normals are those of ``n_images`` of ``n_fit`` images (:func:`fig9_spectrum`); the ``n_eval`` scored ones are
    others. One row a (model, kind, k, draw): fooling_rate, low, high, n. Kinds: "subspace of normals", Gaussian
    coefficients on the first k vectors, scaled to the radius; the paper's comparison "random direction", uniform on the
    sphere of R^d; and ours "subspace of the images", the same with the images' own singular vectors. eps: the 2-norm's
    radius is the one that goes with this radius in the infinity norm (the paper's 2000 with 10); l2_norm: that radius,
    0 to 255. The paper does not say how it draws its vectors, nor how many.
    """
    study = Study(data, n_fit, n_images, n_eval, eps=eps, seed=seed, device=device)
    found: dict[str, dict[str, Tensor]] = {}

    def score(model: str, kind: str, k: int) -> list[dict]:
        images, scored = study.x(model)
        net = study.bench(model).model(model)
        clean = study.bench(model).clean(model, net, "scored", scored)
        size, basis = study.radius(model, 2.0), None
        if kind in BASES:
            if model not in found:
                found[model] = minimal(net, images, k=max(ks), n_groups=n_groups, num_classes=num_classes)
            basis = found[model][BASES[kind]][:k]
        draws, rows = generator(seed, f"random vectors, {kind}, {k}"), []
        for draw in range(n_random):
            v = torch.randn(scored.x[0].numel() if basis is None else len(basis), generator=draws)
            v = v if basis is None else v @ basis
            flags = evaluate.fooled(net, scored, (v * (size / v.norm())).view(scored.shape).to(device), clean)
            rows.append({"draw": draw, "l2_norm": 255 * size, "n_fit": len(images), **rate(flags)})
        return rows

    kinds = [(ANYWHERE, 0), *((kind, k) for kind in BASES for k in ks)]
    points = [{"model": spec, "kind": kind, "k": k} for spec in study.specs(models) for kind, k in kinds]
    return study.joined([sweep(points, score, over=("models",), per_network=True, desc="random vectors")])


@evidence
def sec_subspace_evidence(table: pd.DataFrame) -> list[dict]:
    """Mean rate in the largest subspace of normals minus that of the others, over draws scored on the same images."""
    found = []
    for model, rows in by_network(table):
        most = int(rows.loc[rows["kind"] == IN_NORMALS, "k"].max())
        rates = {
            kind: torch.tensor(part.sort_values("draw")["fooling_rate"].to_numpy())
            for kind, part in rows[(rows["k"] == most) | (rows["kind"] == ANYWHERE)].groupby("kind")
        }
        for kind, name in ((ANYWHERE, "subspace_beats_random"), (IN_IMAGES, "subspace_beats_the_images_own")):
            if kind in rates:
                found.append(claim(name, f"{model} (k = {most})", mean_of(rates[IN_NORMALS] - rates[kind]), ">", 0.0))
    return found
